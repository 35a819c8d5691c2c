//! What `cargo xtask codegen` writes from `api/lambda.json`; nothing in this folder is edited by hand.

pub(crate) mod errors;
pub mod model;
pub(crate) mod operations;
pub(crate) mod shapes;
pub(crate) mod wire;
