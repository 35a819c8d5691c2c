//! Reserved concurrency of functions: how many executions are kept for one of them.
//!
//! Knows no limit of an account; whoever reserves decides inside [`Functions::update`].

use firelet_types::{FunctionName, Scope};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Error;

use super::{Entry, Functions};

/// What is set aside of an account's concurrency in a Region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reservations {
    /// What one function reserves; none means that it has no reservation.
    pub of_function: Option<u32>,
    /// What is provisioned for the versions of that function, which is part of its reservation if it has one.
    pub provisioned: u32,
    /// What is set aside for all functions: what each reserves or, where it reserves nothing, what is provisioned.
    pub in_account: u64,
}

impl Reservations {
    /// What is set aside for the function.
    #[must_use]
    pub fn set_aside(&self) -> u32 {
        self.of_function.unwrap_or(self.provisioned)
    }
}

impl Functions {
    /// The reservation of a function, or none if there is no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn reservations(&self, scope: &Scope, name: &FunctionName) -> Result<Option<Reservations>, Error> {
        self.database.read(|connection| find(connection, scope, name))
    }
}

impl Entry<'_> {
    /// The reservation of the function; nothing is reserved if there is no function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn reservations(&self) -> Result<Reservations, Error> {
        Ok(find(self.connection, &self.scope, &self.name)?.unwrap_or_default())
    }

    /// Reserves executions for the function, or none any more; without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_reservation(&mut self, reserved: Option<u32>) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute(
            "UPDATE function SET reserved_concurrency = ?2 WHERE id = ?1",
            params![function, reserved],
        )
    }
}

fn find(connection: &Connection, scope: &Scope, name: &FunctionName) -> Result<Option<Reservations>, Error> {
    let step = "read the reserved concurrency of a function";
    connection
        .prepare_cached(
            "SELECT function.reserved_concurrency, provisioned_concurrency, usage.reserved_concurrency
             FROM function JOIN usage USING (account, region)
             WHERE account = ?1 AND region = ?2 AND name = ?3",
        )
        .map_err(Error::database(step))?
        .query_row(params![scope.account.as_str(), scope.region.as_str(), name.as_str()], |row| {
            Ok(Reservations { of_function: row.get(0)?, provisioned: row.get(1)?, in_account: row.get(2)? })
        })
        .optional()
        .map_err(Error::database(step))
}
