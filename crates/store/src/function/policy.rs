//! Resource policies: who else may use a function, a version or an alias. What a document says is not looked at.

use firelet_types::{FunctionName, Scope, VersionNumber};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Error;

use super::entry::Entry;
use super::{Functions, row};

/// What a policy is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyResource {
    /// The function itself, called by its bare name.
    Function,
    /// `$LATEST.PUBLISHED`.
    LatestPublished,
    /// A published version.
    Version(VersionNumber),
    /// An alias.
    Alias(String),
}

impl PolicyResource {
    /// What tells it apart from the others of its function. No alias has a number for its name.
    fn key(&self) -> String {
        match self {
            Self::Function => String::new(),
            Self::LatestPublished => "$LATEST.PUBLISHED".to_owned(),
            Self::Version(number) => number.to_string(),
            Self::Alias(name) => name.clone(),
        }
    }
}

impl Functions {
    /// The policy of a resource, as JSON; none where there is none, or no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn policy(
        &self,
        scope: &Scope,
        name: &FunctionName,
        resource: &PolicyResource,
    ) -> Result<Option<String>, Error> {
        self.database.read(|connection| match row::find_function(connection, scope, name)? {
            Some(function) => find(connection, function.id, resource),
            None => Ok(None),
        })
    }
}

impl Entry<'_> {
    /// The policy of a resource, as JSON.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn policy(&self, resource: &PolicyResource) -> Result<Option<String>, Error> {
        match &self.function {
            Some(function) => find(self.connection, function.id, resource),
            None => Ok(None),
        }
    }

    /// Sets the policy of a resource, or takes it away. Without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_policy(&mut self, resource: &PolicyResource, document: Option<&str>) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        match document {
            Some(document) => self.execute(
                "INSERT INTO policy (function, qualifier, document) VALUES (?1, ?2, ?3)
                 ON CONFLICT (function, qualifier) DO UPDATE SET document = excluded.document",
                params![function, resource.key(), document],
            ),
            None => self.execute(
                "DELETE FROM policy WHERE function = ?1 AND qualifier = ?2",
                params![function, resource.key()],
            ),
        }
    }
}

fn find(connection: &Connection, function: i64, resource: &PolicyResource) -> Result<Option<String>, Error> {
    let step = "read a policy";
    connection
        .prepare_cached("SELECT document FROM policy WHERE function = ?1 AND qualifier = ?2")
        .map_err(Error::database(step))?
        .query_row(params![function, resource.key()], |row| row.get(0))
        .optional()
        .map_err(Error::database(step))
}
