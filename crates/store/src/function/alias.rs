//! Aliases: names for versions of a function, or for two versions with weights.

use std::collections::BTreeMap;

use firelet_types::{FunctionName, Qualifier, RevisionId, Scope, VersionNumber};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::entry::Entry;
use super::row;
use super::{Functions, PolicyResource, Version};

/// What [`decode`] reads of `alias`.
const COLUMNS: &str = "alias.name, alias.number, alias.revision, alias.definition";

/// A name for a version, or for two with weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    /// The name, which is unique among the aliases of its function.
    pub name: String,
    /// The version that gets what the weights leave.
    pub version: Version,
    /// Changes with each change of this record.
    pub revision: RevisionId,
    /// The caller's words about the alias.
    pub description: String,
    /// Further versions, each with its share of the invocations, from 0 to 1.
    pub weights: BTreeMap<VersionNumber, f64>,
}

impl Alias {
    /// Whether invocations by this name can reach `version`.
    #[must_use]
    pub fn references(&self, version: Version) -> bool {
        self.version == version || self.weights.keys().any(|number| Version::Published(*number) == version)
    }
}

/// The JSON of the column `definition`.
#[derive(Serialize, Deserialize)]
struct Definition {
    description: String,
    weights: BTreeMap<VersionNumber, f64>,
}

impl Functions {
    /// An alias of a function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alias(&self, scope: &Scope, name: &FunctionName, alias: &str) -> Result<Option<Alias>, Error> {
        self.database.read(|connection| match row::find_function(connection, scope, name)? {
            Some(function) => find(connection, function.id, alias),
            None => Ok(None),
        })
    }

    /// Up to `limit` aliases of a function after the one called `after`, by name; none if there is no such function.
    /// With a `version`, only those that it gets what the weights leave of.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn aliases(
        &self,
        scope: &Scope,
        name: &FunctionName,
        version: Option<Version>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<Alias>>, Error> {
        let step = "list aliases";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|connection| {
            let Some(function) = row::find_function(connection, scope, name)? else { return Ok(None) };
            let query = format!(
                "SELECT {COLUMNS} FROM alias
                 WHERE function = ?1 AND name > ?2 AND (?3 IS NULL OR number = ?3) ORDER BY name LIMIT ?4"
            );
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let values = params![function.id, after.unwrap_or_default(), version.map(row::number), limit];
            let mut rows = statement.query(values).map_err(Error::database(step))?;
            let mut aliases = Vec::new();
            while let Some(row) = rows.next().map_err(Error::database(step))? {
                aliases.push(decode(row)?);
            }
            Ok(Some(aliases))
        })
    }
}

impl Entry<'_> {
    /// An alias of the function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn alias(&self, name: &str) -> Result<Option<Alias>, Error> {
        match &self.function {
            Some(function) => find(self.connection, function.id, name),
            None => Ok(None),
        }
    }

    /// All aliases of the function, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn aliases(&self) -> Result<Vec<Alias>, Error> {
        let Some(function) = &self.function else { return Ok(Vec::new()) };
        let step = "list aliases";
        let query = format!("SELECT {COLUMNS} FROM alias WHERE function = ?1 ORDER BY name");
        let mut statement = self.connection.prepare_cached(&query).map_err(Error::database(step))?;
        let mut rows = statement.query([function.id]).map_err(Error::database(step))?;
        let mut aliases = Vec::new();
        while let Some(row) = rows.next().map_err(Error::database(step))? {
            aliases.push(decode(row)?);
        }
        Ok(aliases)
    }

    /// Stores an alias: a new one, or in place of the one of its name. Its provisioned concurrency moves with it to
    /// another version. Without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put_alias(&mut self, alias: &Alias) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        let definition =
            Definition { description: alias.description.clone(), weights: alias.weights.clone() };
        let definition = serde_json::to_string(&definition).map_err(Error::corrupt("alias"))?;
        self.execute(
            "INSERT INTO alias (function, name, number, revision, definition) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (function, name) DO UPDATE SET number = excluded.number, revision = excluded.revision,
                 definition = excluded.definition",
            params![
                function,
                alias.name,
                row::number(alias.version),
                alias.revision.to_string(),
                definition
            ],
        )?;
        self.move_provisioned_concurrency(&alias.name, alias.version)
    }

    /// Deletes an alias with its policy and configurations; without effect if there is none of that name.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete_alias(&mut self, name: &str) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.set_policy(&PolicyResource::Alias(name.to_owned()), None)?;
        self.delete_event_invoke_config(&Qualifier::Name(name.to_owned()))?;
        self.delete_provisioned_concurrency(&Qualifier::Name(name.to_owned()))?;
        self.execute("DELETE FROM alias WHERE function = ?1 AND name = ?2", params![function, name])
    }
}

fn find(connection: &Connection, function: i64, name: &str) -> Result<Option<Alias>, Error> {
    let step = "read an alias";
    let query = format!("SELECT {COLUMNS} FROM alias WHERE function = ?1 AND name = ?2");
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let found = statement.query_row(params![function, name], |row| Ok(decode(row)));
    found.optional().map_err(Error::database(step))?.transpose()
}

fn decode(row: &Row<'_>) -> Result<Alias, Error> {
    let Definition { description, weights } = row::json(row, 3)?;
    Ok(Alias {
        name: row.get(0).map_err(Error::corrupt("alias"))?,
        version: row::version(row.get(1).map_err(Error::corrupt("alias"))?),
        revision: row::parse(row, 2)?,
        description,
        weights,
    })
}
