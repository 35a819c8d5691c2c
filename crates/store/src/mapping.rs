//! Event source mappings and their tags.
//!
//! A mapping names its function and outlives it. Like functions, mappings are read synchronously and changed one
//! after the other inside the writer; nothing here polls an event source.

pub mod source;

mod editor;
mod row;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use firelet_types::{FunctionArn, FunctionName, MappingId, Qualifier, Scope, Timestamp};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::error::Error;

pub use editor::Editor;
pub use source::{EventSource, Settings};

use row::COLUMNS;

/// One event source mapping, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// The account and Region of the mapping.
    pub scope: Scope,
    /// What the mapping is known by.
    pub id: MappingId,
    /// The name of the function that gets the records; it may no longer exist.
    pub function: FunctionName,
    /// The version or alias of the function, as the caller wrote it.
    pub qualifier: Option<Qualifier>,
    /// Where the records come from.
    pub source: EventSource,
    /// What the caller can change about the mapping.
    pub settings: Settings,
    /// Whether records are to be polled.
    pub state: MappingState,
    /// When the caller last changed the mapping, or its state changed.
    pub last_modified: Timestamp,
}

impl Mapping {
    /// The ARN of the function, in the form that the caller used.
    #[must_use]
    pub fn function_arn(&self) -> FunctionArn {
        FunctionArn {
            scope: self.scope.clone(),
            name: self.function.clone(),
            qualifier: self.qualifier.clone(),
        }
    }
}

/// What a mapping is to become, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Polls.
    Enabled,
    /// Does not poll.
    Disabled,
}

/// Where a mapping is in its life.
///
/// See <https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html>, `State`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingState {
    /// Being made; then at rest.
    Creating(Rest),
    /// About to poll.
    Enabling,
    /// About to stop polling.
    Disabling,
    /// Takes over a change; then at rest as before.
    Updating(Rest),
    /// About to be gone.
    Deleting,
    /// Nothing is under way.
    Settled(Rest),
}

impl MappingState {
    /// Whether a change of the mapping has still to be finished.
    #[must_use]
    pub const fn is_unsettled(self) -> bool {
        !matches!(self, Self::Settled(_))
    }
}

/// Which mappings a list shows: those that fit every member that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of this function, by exactly this qualifier or none.
    pub function: Option<(FunctionName, Option<Qualifier>)>,
    /// Of the event source with this ARN.
    pub source_arn: Option<String>,
}

/// The table of event source mappings.
#[derive(Debug, Clone)]
pub struct Mappings {
    database: Arc<Database>,
}

impl Mappings {
    pub(crate) const fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// One mapping.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&self, scope: &Scope, id: MappingId) -> Result<Option<Mapping>, Error> {
        self.database.read(|connection| row::find(connection, scope, id))
    }

    /// Up to `limit` mappings of the selection after `after`, by id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(
        &self,
        scope: &Scope,
        selection: &Selection,
        after: Option<MappingId>,
        limit: usize,
    ) -> Result<Vec<Mapping>, Error> {
        let step = "list event source mappings";
        // Named, because the planner would go through all mappings of the scope rather than pick one of these.
        let index = match selection {
            Selection { function: Some(_), .. } => "INDEXED BY event_source_mapping_function",
            Selection { source_arn: Some(_), .. } => "INDEXED BY event_source_mapping_source",
            Selection { function: None, source_arn: None } => "",
        };
        let (name, qualifier) = match &selection.function {
            Some((name, qualifier)) => (name.as_str(), qualifier.as_ref().map(ToString::to_string)),
            None => ("", None),
        };
        let of_function = match selection.function {
            Some(_) => "function = ?5 AND qualifier IS ?6",
            None => "?5 = '' AND ?6 IS NULL",
        };
        let of_source = match selection.source_arn {
            Some(_) => "source_arn = ?7",
            None => "?7 IS NULL",
        };
        let query = format!(
            "SELECT {COLUMNS} FROM event_source_mapping {index}
             WHERE account = ?1 AND region = ?2 AND uuid > ?3 AND {of_function} AND {of_source}
             ORDER BY uuid LIMIT ?4"
        );
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let values = params![
                scope.account.as_str(),
                scope.region.as_str(),
                after.map(|after| after.to_string()).unwrap_or_default(),
                i64::try_from(limit).unwrap_or(i64::MAX),
                name,
                qualifier,
                selection.source_arn,
            ];
            row::decode_all(&mut statement, values, step)
        })
    }

    /// The tags of a mapping, or none if there is no such mapping.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tags(&self, scope: &Scope, id: MappingId) -> Result<Option<BTreeMap<String, String>>, Error> {
        let step = "read tags of an event source mapping";
        self.database.read(|connection| {
            let known = connection
                .prepare_cached(
                    "SELECT 1 FROM event_source_mapping WHERE account = ?1 AND region = ?2 AND uuid = ?3",
                )
                .map_err(Error::database(step))?
                .query_row(params![scope.account.as_str(), scope.region.as_str(), id.to_string()], |_| Ok(()))
                .optional()
                .map_err(Error::database(step))?;
            known.map(|()| row::tags(connection, scope, id)).transpose()
        })
    }

    /// All mappings whose change has still to be finished.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unsettled(&self) -> Result<Vec<Mapping>, Error> {
        let step = "list unfinished event source mappings";
        self.database.read(|connection| {
            let query = format!("SELECT {COLUMNS} FROM event_source_mapping WHERE unsettled = 1");
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            row::decode_all(&mut statement, [], step)
        })
    }

    /// Looks at the mappings and functions of a scope and changes mappings, as one step that no other change can
    /// come between.
    ///
    /// What `decide` did is stored when this answers `Ok`; when `decide` answers an error, nothing of it is.
    ///
    /// # Errors
    /// What `decide` answered, or why the change could not be stored.
    pub async fn update<T, E, F>(&self, scope: &Scope, decide: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Editor<'_>) -> Result<T, E> + Send + 'static,
    {
        let scope = scope.clone();
        self.database.write(move |connection| decide(&mut Editor::new(connection, scope))).await
    }
}
