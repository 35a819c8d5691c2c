//! The capacity providers of one scope, looked at and changed inside the writer's transaction.

use firelet_types::{CapacityProviderArn, CapacityProviderName, Scope};
use rusqlite::{Connection, params};

use crate::error::Error;

use super::{CapacityProvider, ProvidedVersion, row};

/// The capacity providers of a scope.
pub struct CapacityProviderEditor<'a> {
    connection: &'a Connection,
    scope: Scope,
}

impl<'a> CapacityProviderEditor<'a> {
    pub(super) const fn new(connection: &'a Connection, scope: Scope) -> Self {
        Self { connection, scope }
    }

    /// One capacity provider.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&self, name: &CapacityProviderName) -> Result<Option<CapacityProvider>, Error> {
        row::find(self.connection, &self.scope, name)
    }

    /// How many capacity providers there are.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn count(&self) -> Result<u64, Error> {
        let step = "count capacity providers";
        self.connection
            .prepare_cached("SELECT count(*) FROM capacity_provider WHERE account = ?1 AND region = ?2")
            .map_err(Error::database(step))?
            .query_row(params![self.scope.account.as_str(), self.scope.region.as_str()], |row| row.get(0))
            .map_err(Error::database(step))
    }

    /// The first `limit` versions that are configured with a capacity provider, `$LATEST` among them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn versions(&self, name: &CapacityProviderName, limit: usize) -> Result<Vec<ProvidedVersion>, Error> {
        let arn = CapacityProviderArn { scope: self.scope.clone(), name: name.clone() };
        row::versions(self.connection, &arn, limit)
    }

    /// Stores a capacity provider: a new one, or in place of the one with its name. Its scope is that of the editor,
    /// whatever the record says.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put(&mut self, provider: &CapacityProvider) -> Result<(), Error> {
        row::put(self.connection, &self.scope, provider)
    }

    /// Deletes a capacity provider; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete(&mut self, name: &CapacityProviderName) -> Result<(), Error> {
        row::delete(self.connection, &self.scope, name)
    }
}
