//! The wire of the Lambda API: types, routes, constraints and error shapes, generated from the service model.
//!
//! A request goes through [`route`], then through [`DecodeRequest::decode`], which gives a checked input; an
//! output leaves through [`EncodeResponse::encode`], a refusal through [`ApiError::encode`]. The crate knows no
//! sockets, no accounts and no state: the same bytes always give the same answer.

mod blob;
mod constraint;
mod decode;
mod encode;
mod enumeration;
mod error;
#[rustfmt::skip]
mod generated;
mod read;
mod routes;
mod shape;
mod time;

pub use constraint::Violations;
pub use decode::{DecodeError, DecodeRequest, Request};
pub use encode::{EncodeResponse, EncodedResponse};
pub use enumeration::UnknownValue;
pub use error::ApiError;
pub use generated::errors::ErrorKind;
pub use generated::model;
pub use generated::operations::Operation;
pub use generated::wire::check;
pub use routes::{RouteError, Routed, route};
pub use time::EpochSeconds;
