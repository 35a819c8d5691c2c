//! The HTTP front: who calls, what is called, and how the answer looks on the wire.
//!
//! The only crate that turns errors into statuses. It decides nothing about functions: it decodes, calls
//! `firelet-control` or `firelet-invoke`, and encodes.

mod audience;
mod body;
mod dispatch;
mod environments;
mod error;
mod event_stream;
mod internal;
mod invocation;
mod server;

pub use server::{Gateway, Services};
