//! Functions: create, get, update, publish, delete.

mod create;
mod delete;
mod get;
mod publish;
mod update;

use firelet_store::function::{Entry, Reason};
use firelet_store::{FunctionVersion, LastUpdate, State, Version};
use firelet_types::RevisionId;

use crate::error::{Conflict, Error};
use crate::name::{Target, arn};

/// The reason of creations, and, in the same words, of updates.
pub(crate) fn creating() -> Reason {
    Reason { code: "Creating".to_owned(), text: "The function is being created.".to_owned() }
}

/// The reason while `$LATEST.PUBLISHED` is published again.
fn updating() -> Reason {
    Reason { code: "Updating".to_owned(), text: "The function is being updated.".to_owned() }
}

/// `$LATEST` of a function that may be updated now: of the revision that the caller saw, and not being changed.
fn updatable(entry: &Entry<'_>, target: &Target, seen: Option<&str>) -> Result<FunctionVersion, Error> {
    let record = entry.version(Version::Latest)?.ok_or_else(|| target.function_not_found())?;
    check_revision(record.revision, seen)?;
    match (&record.state, &record.last_update) {
        (State::Pending(_), _) => Err(Conflict::State { state: "Pending" }.into()),
        (_, Some(LastUpdate::InProgress(_))) => {
            Err(Conflict::UpdateInProgress { arn: arn(&record.scope, &record.name) }.into())
        }
        _ => Ok(record),
    }
}

pub(crate) fn check_revision(current: RevisionId, seen: Option<&str>) -> Result<(), Error> {
    match seen {
        Some(seen) if seen != current.to_string() => Err(Error::RevisionMismatch),
        _ => Ok(()),
    }
}
