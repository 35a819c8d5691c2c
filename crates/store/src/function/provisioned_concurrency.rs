//! Provisioned concurrency: executions that are kept initialised for a version, and how far the server is with them. One
//! record for each version or alias that has one.
//!
//! How far the server is ends with the server: whoever opens the database next finds nothing allocated.

use firelet_types::{FunctionName, Qualifier, Scope, Timestamp, VersionNumber};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::entry::Entry;
use super::{FunctionVersion, Functions, Version, row};

/// What [`decode`] reads of `provisioned_concurrency`.
const COLUMNS: &str = "qualifier, number, requested, last_modified, allocation";

/// How many columns [`row::COLUMNS`] are.
const VERSION_COLUMNS: usize = 8;

/// Executions that are kept initialised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionedConcurrency {
    /// The version or alias that has them.
    pub qualifier: Qualifier,
    /// That version, or the one that the alias names.
    pub version: VersionNumber,
    /// How many a caller wants.
    pub requested: u32,
    /// When a caller last changed this.
    pub last_modified: Timestamp,
    /// How far the server is.
    pub allocation: Allocation,
}

/// How far the server is with the executions that are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Executions that invocations find.
    pub allocated: u32,
    /// Those of them whose environment is there now.
    pub available: u32,
    /// Whether that is what is wanted.
    pub status: AllocationStatus,
}

/// Whether what is there is what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AllocationStatus {
    /// Not yet.
    #[default]
    InProgress,
    /// It is.
    Ready,
    /// It cannot be.
    Failed {
        /// Why, in the words of the API: `FUNCTION_ERROR_INIT_FAILURE`.
        reason: String,
    },
}

/// A version of a function with what is provisioned for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvisionedVersion {
    /// The version.
    pub function: FunctionVersion,
    /// What is provisioned.
    pub concurrency: ProvisionedConcurrency,
}

impl Functions {
    /// The record of one version or alias of a function; none if there is none, or no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn provisioned_concurrency(
        &self,
        scope: &Scope,
        name: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<Option<ProvisionedConcurrency>, Error> {
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
    pub fn provisioned_concurrencies(
        &self,
        scope: &Scope,
        name: &FunctionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<ProvisionedConcurrency>>, Error> {
        self.database.read(|connection| match row::find_function(connection, scope, name)? {
            Some(function) => list(connection, function.id, after.unwrap_or_default(), limit).map(Some),
            None => Ok(None),
        })
    }

    /// Executions that invocations of one version find initialised.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn allocated_concurrency(
        &self,
        scope: &Scope,
        name: &FunctionName,
        version: Version,
    ) -> Result<u32, Error> {
        let Version::Published(number) = version else { return Ok(0) };
        self.database.read(|connection| {
            let Some(function) = row::find_function(connection, scope, name)? else { return Ok(0) };
            let records = list(connection, function.id, "", usize::MAX)?;
            let of_version = records.iter().filter(|record| record.version == number);
            Ok(of_version.map(|record| record.allocation.allocated).sum())
        })
    }

    /// A number that moves whenever [`Functions::provisioned_versions`] may answer otherwise.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn provisioned_revision(&self) -> Result<u64, Error> {
        let step = "tell whether what is provisioned has changed";
        self.database.read(|connection| {
            connection
                .prepare_cached("SELECT revision FROM provisioned_concurrency_revision WHERE id = 1")
                .map_err(Error::database(step))?
                .query_row([], |row| row.get(0))
                .map_err(Error::database(step))
        })
    }

    /// All versions that anything is provisioned for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn provisioned_versions(&self) -> Result<Vec<ProvisionedVersion>, Error> {
        let step = "list what is provisioned";
        let query = format!(
            "SELECT {}, qualifier, provisioned_number, requested, provisioned_modified, allocation
             FROM function JOIN version ON version.function = function.id
             JOIN (SELECT function AS provisioned_function, qualifier, number AS provisioned_number, requested,
                       last_modified AS provisioned_modified, allocation
                   FROM provisioned_concurrency)
             ON provisioned_function = function.id AND provisioned_number = number",
            row::COLUMNS
        );
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let mut rows = statement.query([]).map_err(Error::database(step))?;
            let mut versions = Vec::new();
            while let Some(row) = rows.next().map_err(Error::database(step))? {
                versions.push(ProvisionedVersion {
                    function: row::decode(row)?,
                    concurrency: decode(row, VERSION_COLUMNS)?,
                });
            }
            Ok(versions)
        })
    }
}

impl Entry<'_> {
    /// The record of one version or alias of the function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn provisioned_concurrency(
        &self,
        qualifier: &Qualifier,
    ) -> Result<Option<ProvisionedConcurrency>, Error> {
        match &self.function {
            Some(function) => find(self.connection, function.id, qualifier),
            None => Ok(None),
        }
    }

    /// All records of the function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn provisioned_concurrencies(&self) -> Result<Vec<ProvisionedConcurrency>, Error> {
        match &self.function {
            Some(function) => list(self.connection, function.id, "", usize::MAX),
            None => Ok(Vec::new()),
        }
    }

    /// Stores a record: a new one, or in place of the one of its qualifier. Without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put_provisioned_concurrency(&mut self, record: &ProvisionedConcurrency) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        let allocation = serde_json::to_string(&record.allocation);
        self.execute(
            "INSERT INTO provisioned_concurrency (function, qualifier, number, requested, last_modified, allocation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (function, qualifier) DO UPDATE SET number = excluded.number,
                 requested = excluded.requested, last_modified = excluded.last_modified,
                 allocation = excluded.allocation",
            params![
                function,
                record.qualifier.to_string(),
                row::number(Version::Published(record.version)),
                record.requested,
                record.last_modified.as_millis(),
                allocation.map_err(Error::corrupt("provisioned concurrency"))?,
            ],
        )
    }

    /// Deletes the record of a qualifier; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete_provisioned_concurrency(&mut self, qualifier: &Qualifier) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute(
            "DELETE FROM provisioned_concurrency WHERE function = ?1 AND qualifier = ?2",
            params![function, qualifier.to_string()],
        )
    }

    /// Has the record of an alias, if there is one, begin anew at another version.
    pub(super) fn move_provisioned_concurrency(
        &mut self,
        alias: &str,
        version: Version,
    ) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute(
            "UPDATE provisioned_concurrency SET number = ?3, allocation = NULL
             WHERE function = ?1 AND qualifier = ?2 AND number <> ?3",
            params![function, alias, row::number(version)],
        )
    }
}

fn find(
    connection: &Connection,
    function: i64,
    qualifier: &Qualifier,
) -> Result<Option<ProvisionedConcurrency>, Error> {
    let step = "read what is provisioned";
    let query =
        format!("SELECT {COLUMNS} FROM provisioned_concurrency WHERE function = ?1 AND qualifier = ?2");
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let found = statement.query_row(params![function, qualifier.to_string()], |row| Ok(decode(row, 0)));
    found.optional().map_err(Error::database(step))?.transpose()
}

fn list(
    connection: &Connection,
    function: i64,
    after: &str,
    limit: usize,
) -> Result<Vec<ProvisionedConcurrency>, Error> {
    let step = "list what is provisioned";
    let query = format!(
        "SELECT {COLUMNS} FROM provisioned_concurrency WHERE function = ?1 AND qualifier > ?2
         ORDER BY qualifier LIMIT ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let mut rows = statement.query(params![function, after, limit]).map_err(Error::database(step))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(Error::database(step))? {
        records.push(decode(row, 0)?);
    }
    Ok(records)
}

/// Reads [`COLUMNS`], the first of which is `column`.
fn decode(row: &Row<'_>, column: usize) -> Result<ProvisionedConcurrency, Error> {
    let corrupt = || Error::corrupt("provisioned concurrency");
    let qualifier: String = row.get(column).map_err(corrupt())?;
    let number: i64 = row.get(column + 1).map_err(corrupt())?;
    let allocation: Option<String> = row.get(column + 4).map_err(corrupt())?;
    let allocation = match allocation {
        Some(json) => serde_json::from_str(&json).map_err(Error::corrupt("provisioned concurrency"))?,
        None => Allocation::default(),
    };
    Ok(ProvisionedConcurrency {
        qualifier: Qualifier::from(qualifier.as_str()),
        version: VersionNumber::try_from(number).unwrap_or_default(),
        requested: row.get(column + 2).map_err(corrupt())?,
        last_modified: Timestamp::from_millis(row.get(column + 3).map_err(corrupt())?),
        allocation,
    })
}
