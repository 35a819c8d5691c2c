//! Function logs on their way out.
