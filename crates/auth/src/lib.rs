//! Who calls, and for which Region, as the signature of a request says.
//!
//! A signature is parsed here and not yet verified: the server listens on loopback only, where any credentials are
//! accepted. Pure functions; no clock, no keys.

mod signature;

pub use signature::{Caller, Error, caller};
