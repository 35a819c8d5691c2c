//! Event source mappings: create, get, list, update, delete, and what a change leaves to be done.
//!
//! Configuration only: nothing here reads an event source, and no source is asked whether it exists.

pub(crate) mod error;

mod create;
mod delete;
mod describe;
mod duplicate;
mod function;
mod get;
mod kind;
mod list;
mod pattern;
mod settings;
mod settle;
mod source;
mod state;
mod update;

use firelet_store::mapping::{Editor, Mapping, MappingState, Rest};
use firelet_types::{MappingId, Scope};

use crate::error::Error;

use error::MappingError;

/// The resource of the ARN of a mapping.
pub(crate) const RESOURCE: &str = "event-source-mapping";

/// The ARN of a mapping.
pub(crate) fn arn(scope: &Scope, id: MappingId) -> String {
    let Scope { account, region } = scope;
    format!("arn:{}:lambda:{region}:{account}:{RESOURCE}:{id}", region.partition())
}

/// The id that an ARN of this scope carries.
pub(crate) fn id_of_arn(scope: &Scope, text: &str) -> Option<MappingId> {
    let id = id(text.rsplit(':').next()?).ok()?;
    (arn(scope, id) == text).then_some(id)
}

/// The id that a caller wrote. Text that is no id names no mapping.
fn id(text: &str) -> Result<MappingId, MappingError> {
    let id: MappingId = text.parse().map_err(|_| MappingError::NotFound)?;
    if id.to_string() == text { Ok(id) } else { Err(MappingError::NotFound) }
}

/// A mapping that is at rest, so that it can be changed, and how it rests.
fn at_rest(editor: &Editor<'_>, id: MappingId, action: &'static str) -> Result<(Mapping, Rest), Error> {
    let mapping = editor.get(id)?.ok_or(MappingError::NotFound)?;
    match mapping.state {
        MappingState::Settled(rest) => Ok((mapping, rest)),
        _ => Err(MappingError::InUse { action }.into()),
    }
}
