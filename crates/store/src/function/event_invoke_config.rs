//! How asynchronous invocations are retried, and who hears of their end: one record for each function, version or alias
//! that has one.

use firelet_types::{FunctionName, Qualifier, Scope, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::entry::Entry;
use super::{Functions, row};

/// What [`decode`] reads of `event_invoke_config`.
const COLUMNS: &str = "qualifier, last_modified, definition";

/// How asynchronous invocations are retried, and who hears of their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventInvokeConfig {
    /// The name under which they are invoked; `$LATEST` for the bare name of the function.
    pub qualifier: Qualifier,
    /// When the caller last changed this.
    pub last_modified: Timestamp,
    /// How often an event is tried again.
    pub maximum_retry_attempts: Option<u32>,
    /// For how many seconds an event is tried.
    pub maximum_event_age_seconds: Option<u32>,
    /// The ARN of whom to tell of success.
    pub on_success: Option<String>,
    /// The ARN of whom to tell of failure.
    pub on_failure: Option<String>,
}

/// The JSON of the column `definition`.
#[derive(Serialize, Deserialize)]
struct Definition {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_seconds: Option<u32>,
    on_success: Option<String>,
    on_failure: Option<String>,
}

impl Functions {
    /// The record of one qualifier of a function; none if there is none, or no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn event_invoke_config(
        &self,
        scope: &Scope,
        name: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<EventInvokeConfig>, Error> {
        self.database.read(|connection| match row::find_function(connection, scope, name)? {
            Some(function) => find(connection, function.id, qualifier),
            None => Ok(None),
        })
    }

    /// Up to `limit` records of a function after the one of the qualifier `after`, in the order of the qualifiers'
    /// texts; none if there is no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn event_invoke_configs(
        &self,
        scope: &Scope,
        name: &FunctionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<EventInvokeConfig>>, Error> {
        let step = "list event invoke configurations";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|connection| {
            let Some(function) = row::find_function(connection, scope, name)? else { return Ok(None) };
            let query = format!(
                "SELECT {COLUMNS} FROM event_invoke_config WHERE function = ?1 AND qualifier > ?2
                 ORDER BY qualifier LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let values = params![function.id, after.unwrap_or_default(), limit];
            let mut rows = statement.query(values).map_err(Error::database(step))?;
            let mut configs = Vec::new();
            while let Some(row) = rows.next().map_err(Error::database(step))? {
                configs.push(decode(row)?);
            }
            Ok(Some(configs))
        })
    }
}

impl Entry<'_> {
    /// The record of one qualifier of the function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn event_invoke_config(&self, qualifier: &Qualifier) -> Result<Option<EventInvokeConfig>, Error> {
        match &self.function {
            Some(function) => find(self.connection, function.id, qualifier),
            None => Ok(None),
        }
    }

    /// Stores a record: a new one, or in place of the one of its qualifier. Without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put_event_invoke_config(&mut self, config: &EventInvokeConfig) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        let definition = Definition {
            maximum_retry_attempts: config.maximum_retry_attempts,
            maximum_event_age_seconds: config.maximum_event_age_seconds,
            on_success: config.on_success.clone(),
            on_failure: config.on_failure.clone(),
        };
        let definition =
            serde_json::to_string(&definition).map_err(Error::corrupt("event invoke configuration"))?;
        self.execute(
            "INSERT INTO event_invoke_config (function, qualifier, last_modified, definition)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (function, qualifier) DO UPDATE SET last_modified = excluded.last_modified,
                 definition = excluded.definition",
            params![function, config.qualifier.to_string(), config.last_modified.as_millis(), definition],
        )
    }

    /// Deletes the record of a qualifier; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete_event_invoke_config(&mut self, qualifier: &Qualifier) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute(
            "DELETE FROM event_invoke_config WHERE function = ?1 AND qualifier = ?2",
            params![function, qualifier.to_string()],
        )
    }
}

fn find(
    connection: &Connection,
    function: i64,
    qualifier: &Qualifier,
) -> Result<Option<EventInvokeConfig>, Error> {
    let step = "read an event invoke configuration";
    let query = format!("SELECT {COLUMNS} FROM event_invoke_config WHERE function = ?1 AND qualifier = ?2");
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let found = statement.query_row(params![function, qualifier.to_string()], |row| Ok(decode(row)));
    found.optional().map_err(Error::database(step))?.transpose()
}

fn decode(row: &Row<'_>) -> Result<EventInvokeConfig, Error> {
    let corrupt = || Error::corrupt("event invoke configuration");
    let qualifier: String = row.get(0).map_err(corrupt())?;
    let definition: Definition = row::json(row, 2)?;
    Ok(EventInvokeConfig {
        qualifier: Qualifier::from(qualifier.as_str()),
        last_modified: Timestamp::from_millis(row.get(1).map_err(corrupt())?),
        maximum_retry_attempts: definition.maximum_retry_attempts,
        maximum_event_age_seconds: definition.maximum_event_age_seconds,
        on_success: definition.on_success,
        on_failure: definition.on_failure,
    })
}
