//! The mappings and functions of one scope, looked at and changed inside the writer's transaction.

use std::collections::BTreeMap;

use firelet_types::{FunctionName, MappingId, Scope};
use rusqlite::{Connection, Params, params};

use crate::error::Error;
use crate::function::Entry;

use super::Mapping;
use super::row::{self, COLUMNS, Definition};

/// The mappings of a scope.
pub struct Editor<'a> {
    connection: &'a Connection,
    scope: Scope,
}

impl<'a> Editor<'a> {
    pub(super) const fn new(connection: &'a Connection, scope: Scope) -> Self {
        Self { connection, scope }
    }

    /// A function of this scope, to be looked at.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn function(&self, name: &FunctionName) -> Result<Entry<'a>, Error> {
        Entry::find(self.connection, self.scope.clone(), name.clone())
    }

    /// One mapping.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&self, id: MappingId) -> Result<Option<Mapping>, Error> {
        row::find(self.connection, &self.scope, id)
    }

    /// The mappings of a function, by whatever qualifier.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn of_function(&self, name: &FunctionName) -> Result<Vec<Mapping>, Error> {
        let step = "list the event source mappings of a function";
        let query = format!(
            "SELECT {COLUMNS} FROM event_source_mapping INDEXED BY event_source_mapping_function
             WHERE account = ?1 AND region = ?2 AND function = ?3 ORDER BY uuid"
        );
        let mut statement = self.connection.prepare_cached(&query).map_err(Error::database(step))?;
        let values = params![self.scope.account.as_str(), self.scope.region.as_str(), name.as_str()];
        row::decode_all(&mut statement, values, step)
    }

    /// Stores a mapping: a new one, or in place of the one with its id. Its scope is that of the editor, whatever
    /// the record says.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put(&mut self, mapping: &Mapping) -> Result<(), Error> {
        let corrupt = || Error::corrupt("event source mapping");
        let state = serde_json::to_string(&mapping.state).map_err(corrupt())?;
        let definition = Definition { source: mapping.source.clone(), settings: mapping.settings.clone() };
        let definition = serde_json::to_string(&definition).map_err(corrupt())?;
        self.execute(
            "INSERT INTO event_source_mapping (account, region, uuid, function, qualifier, source_arn,
                 last_modified, state, unsettled, definition)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (account, region, uuid) DO UPDATE SET function = excluded.function,
                 qualifier = excluded.qualifier, source_arn = excluded.source_arn,
                 last_modified = excluded.last_modified, state = excluded.state,
                 unsettled = excluded.unsettled, definition = excluded.definition",
            params![
                self.scope.account.as_str(),
                self.scope.region.as_str(),
                mapping.id.to_string(),
                mapping.function.as_str(),
                mapping.qualifier.as_ref().map(ToString::to_string),
                mapping.source.arn(),
                mapping.last_modified.as_millis(),
                state,
                mapping.state.is_unsettled(),
                definition,
            ],
        )
    }

    /// Deletes a mapping with its tags; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete(&mut self, id: MappingId) -> Result<(), Error> {
        self.execute(
            "DELETE FROM event_source_mapping WHERE account = ?1 AND region = ?2 AND uuid = ?3",
            params![self.scope.account.as_str(), self.scope.region.as_str(), id.to_string()],
        )
    }

    /// The tags of a mapping; none if there is no such mapping.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tags(&self, id: MappingId) -> Result<BTreeMap<String, String>, Error> {
        row::tags(self.connection, &self.scope, id)
    }

    /// Sets the tags of a mapping that exists to exactly `tags`.
    ///
    /// # Errors
    /// When the database refuses it, for example because there is no such mapping.
    pub fn set_tags(&mut self, id: MappingId, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        let (account, region, uuid) =
            (self.scope.account.as_str(), self.scope.region.as_str(), id.to_string());
        self.execute(
            "DELETE FROM event_source_mapping_tag WHERE account = ?1 AND region = ?2 AND uuid = ?3",
            params![account, region, uuid],
        )?;
        for (key, value) in tags {
            self.execute(
                "INSERT INTO event_source_mapping_tag (account, region, uuid, key, value)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![account, region, uuid, key, value],
            )?;
        }
        Ok(())
    }

    fn execute(&self, statement: &str, values: impl Params) -> Result<(), Error> {
        let step = "change an event source mapping";
        let mut statement = self.connection.prepare_cached(statement).map_err(Error::database(step))?;
        statement.execute(values).map_err(Error::database(step))?;
        Ok(())
    }
}
