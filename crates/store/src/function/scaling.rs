//! How many execution environments a version on a capacity provider is to have. Only kept: nothing is started for it.

use firelet_types::{FunctionName, Scope};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::{Entry, Functions, Version, row};

/// Bounds of the number of execution environments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// The least number.
    pub minimum: Option<i32>,
    /// The largest number.
    pub maximum: Option<i32>,
}

impl Functions {
    /// The bounds of a version, none if it has none or is not there.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn scaling(
        &self,
        scope: &Scope,
        name: &FunctionName,
        version: Version,
    ) -> Result<Option<Scaling>, Error> {
        let step = "read the scaling of a version";
        let values =
            params![scope.account.as_str(), scope.region.as_str(), name.as_str(), row::number(version)];
        let found: Option<Option<String>> = self.database.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT scaling FROM function JOIN version ON version.function = function.id
                     WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4",
                )
                .map_err(Error::database(step))?
                .query_row(values, |row| row.get(0))
                .optional()
                .map_err(Error::database(step))
        })?;
        let decode = |json: String| serde_json::from_str(&json).map_err(Error::corrupt("function"));
        found.flatten().map(decode).transpose()
    }
}

impl Entry<'_> {
    /// Sets the bounds of a version, or takes them away; without effect if there is no such version.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_scaling(&mut self, version: Version, scaling: Option<Scaling>) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        let encode = |scaling| serde_json::to_string(&scaling).map_err(Error::corrupt("function"));
        self.execute(
            "UPDATE version SET scaling = ?3 WHERE function = ?1 AND number = ?2",
            params![function, row::number(version), scaling.map(encode).transpose()?],
        )
    }
}
