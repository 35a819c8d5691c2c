//! Signature parsing: who calls, and for which Region.
