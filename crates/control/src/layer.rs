//! Layers: publish, get, list, delete, permissions, and what a function may use.
//!
//! A layer version never changes but for its policy, and nothing here takes a layer from a function that has it.

mod access;
pub(crate) mod attach;
mod compatibility;
mod delete;
mod describe;
mod error;
mod get;
mod list;
mod policy;
mod publish;

use firelet_types::{LayerArn, LayerVersionArn, Scope, VersionNumber};

use crate::error::Error;

pub use error::LayerError;

/// The layer that a request means by a name or an ARN, which has to be one of the caller's own.
fn own_layer(scope: &Scope, text: &str, action: &'static str) -> Result<LayerArn, Error> {
    let layer = LayerArn::resolve(scope, text).map_err(|_| LayerError::Missing)?;
    if layer.scope.account != scope.account {
        return Err(access::denied(scope, action, &layer).into());
    }
    if layer.scope.region != scope.region {
        return Err(LayerError::Missing.into());
    }
    Ok(layer)
}

/// A version of one of the caller's own layers.
fn own_version(
    scope: &Scope,
    text: &str,
    number: i64,
    action: &'static str,
) -> Result<LayerVersionArn, Error> {
    let number = version_number(number)?;
    Ok(own_layer(scope, text, action)?.version(number))
}

fn version_number(number: i64) -> Result<VersionNumber, LayerError> {
    VersionNumber::try_from(number).ok().filter(|number| *number > 0).ok_or(LayerError::VersionNumber)
}
