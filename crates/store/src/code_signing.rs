//! Code signing configurations, and which functions are under which.
//!
//! Knows no signature and no rule: whether a configuration may go, or code may come, is decided inside
//! [`CodeSigningConfigs::update`] and [`Functions::update`](crate::Functions::update).

mod row;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use firelet_types::{CodeSigningConfigId, FunctionName, Scope, Timestamp};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::error::Error;
use crate::function::{Entry, Functions};

/// A code signing configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeSigningConfig {
    /// Its id.
    pub id: CodeSigningConfigId,
    /// When it was last changed.
    pub last_modified: Timestamp,
    /// What the caller configured.
    pub definition: CodeSigningDefinition,
}

/// What a caller configures about code signing, as it is stored: a JSON column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSigningDefinition {
    /// The caller's words about it.
    pub description: Option<String>,
    /// The ARNs of the signing profile versions that may sign.
    pub publishers: Vec<String>,
    /// What becomes of code that nobody of them signed.
    pub untrusted_artifact: UntrustedArtifact,
    /// Tags of the configuration.
    pub tags: BTreeMap<String, String>,
}

/// What becomes of code that no allowed publisher signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UntrustedArtifact {
    /// It is taken, with a warning.
    #[default]
    Warn,
    /// It is refused.
    Enforce,
}

/// The table of code signing configurations.
#[derive(Debug, Clone)]
pub struct CodeSigningConfigs {
    database: Arc<Database>,
}

impl CodeSigningConfigs {
    pub(crate) const fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// One configuration.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&self, scope: &Scope, id: &CodeSigningConfigId) -> Result<Option<CodeSigningConfig>, Error> {
        self.database.read(|connection| row::find(connection, scope, id))
    }

    /// Up to `limit` configurations after `after`, by id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(
        &self,
        scope: &Scope,
        after: Option<&CodeSigningConfigId>,
        limit: usize,
    ) -> Result<Vec<CodeSigningConfig>, Error> {
        self.database.read(|connection| row::list(connection, scope, after, limit))
    }

    /// Up to `limit` functions after `after` that are under a configuration, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn functions(
        &self,
        scope: &Scope,
        id: &CodeSigningConfigId,
        after: Option<&FunctionName>,
        limit: usize,
    ) -> Result<Vec<FunctionName>, Error> {
        self.database.read(|connection| row::functions(connection, scope, id, after, limit))
    }

    /// Looks at a configuration and changes it, as one step that no other change can come between.
    ///
    /// # Errors
    /// What `decide` answered, or why the change could not be stored; then nothing of it is.
    pub async fn update<T, E, F>(&self, scope: &Scope, id: &CodeSigningConfigId, decide: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut CodeSigningEntry<'_>) -> Result<T, E> + Send + 'static,
    {
        let (scope, id) = (scope.clone(), id.clone());
        self.database.write(move |connection| decide(&mut CodeSigningEntry { connection, scope, id })).await
    }
}

/// An id in a scope, and the configuration that has it, if there is one.
pub struct CodeSigningEntry<'a> {
    connection: &'a Connection,
    scope: Scope,
    id: CodeSigningConfigId,
}

impl CodeSigningEntry<'_> {
    /// The configuration as it is now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn config(&self) -> Result<Option<CodeSigningConfig>, Error> {
        row::find(self.connection, &self.scope, &self.id)
    }

    /// The first `limit` functions that are under it, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn functions(&self, limit: usize) -> Result<Vec<FunctionName>, Error> {
        row::functions(self.connection, &self.scope, &self.id, None, limit)
    }

    /// Stores the configuration: a new one, or in place of the one with this id.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put(&mut self, last_modified: Timestamp, definition: &CodeSigningDefinition) -> Result<(), Error> {
        row::put(self.connection, &self.scope, &self.id, last_modified, definition)
    }

    /// Deletes the configuration; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete(&mut self) -> Result<(), Error> {
        row::delete(self.connection, &self.scope, &self.id)
    }
}

impl Functions {
    /// The id of the configuration that a function is under, if it is under any; none if there is no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn code_signing(
        &self,
        scope: &Scope,
        name: &FunctionName,
    ) -> Result<Option<Option<CodeSigningConfigId>>, Error> {
        self.database.read(|connection| row::of_function(connection, scope, name))
    }
}

impl Entry<'_> {
    /// The configuration that the function is under.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn code_signing(&self) -> Result<Option<CodeSigningConfig>, Error> {
        match row::of_function(self.connection, &self.scope, &self.name)?.flatten() {
            Some(id) => row::find(self.connection, &self.scope, &id),
            None => Ok(None),
        }
    }

    /// A configuration of the function's account and Region, whether the function is under it or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn code_signing_config(&self, id: &CodeSigningConfigId) -> Result<Option<CodeSigningConfig>, Error> {
        row::find(self.connection, &self.scope, id)
    }

    /// Puts the function under a configuration, or under none; without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_code_signing(&mut self, id: Option<&CodeSigningConfigId>) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute(
            "UPDATE function SET code_signing_config = ?2 WHERE id = ?1",
            params![function, id.map(CodeSigningConfigId::as_str)],
        )
    }
}
