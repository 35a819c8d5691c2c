//! Settings beside a function's configuration, whose change is no new revision: recursion, and updates of the runtime.
//!
//! Only kept here; whoever acts on them reads them.

use firelet_types::{FunctionName, Scope};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::{Entry, Functions, Version, row};

/// When a version of a function gets another version of its runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeUpdate {
    /// Whenever there is one.
    #[default]
    Auto,
    /// With the next change of the function.
    FunctionUpdate,
    /// Never: it stays at this one.
    Manual {
        /// The ARN of the version of the runtime.
        version_arn: String,
    },
}

impl Functions {
    /// Whether a function may cause invocations of itself without end, or none if there is no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn allows_recursion(&self, scope: &Scope, name: &FunctionName) -> Result<Option<bool>, Error> {
        let step = "read the recursion setting of a function";
        self.database.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT allows_recursion FROM function WHERE account = ?1 AND region = ?2 AND name = ?3",
                )
                .map_err(Error::database(step))?
                .query_row(params![scope.account.as_str(), scope.region.as_str(), name.as_str()], |row| {
                    row.get(0)
                })
                .optional()
                .map_err(Error::database(step))
        })
    }

    /// When a version of a function gets another version of its runtime, or none if there is no such version.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn runtime_update(
        &self,
        scope: &Scope,
        name: &FunctionName,
        version: Version,
    ) -> Result<Option<RuntimeUpdate>, Error> {
        let step = "read the runtime setting of a function";
        let values =
            params![scope.account.as_str(), scope.region.as_str(), name.as_str(), row::number(version)];
        let found: Option<Option<String>> = self.database.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT runtime_update FROM function JOIN version ON version.function = function.id
                     WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
                )
                .map_err(Error::database(step))?
                .query_row(values, |row| row.get(0))
                .optional()
                .map_err(Error::database(step))
        })?;
        let decode = |json: Option<String>| match json {
            Some(json) => serde_json::from_str(&json).map_err(Error::corrupt("function")),
            None => Ok(RuntimeUpdate::default()),
        };
        found.map(decode).transpose()
    }
}

impl Entry<'_> {
    /// Lets the function cause invocations of itself without end, or not; without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_allows_recursion(&mut self, allows: bool) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute("UPDATE function SET allows_recursion = ?2 WHERE id = ?1", params![function, allows])
    }

    /// Sets when a version gets another version of its runtime; without effect if there is no such version.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_runtime_update(&mut self, version: Version, update: &RuntimeUpdate) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        let json = serde_json::to_string(update).map_err(Error::corrupt("function"))?;
        self.execute(
            "UPDATE version SET runtime_update = ?3 WHERE function = ?1 AND number = ?2",
            params![function, row::number(version), json],
        )
    }
}
