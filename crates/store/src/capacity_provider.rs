//! Capacity providers, and which versions of functions are on which.
//!
//! Knows no rule and starts nothing: whether a provider may go is decided inside [`CapacityProviders::update`].

pub mod definition;

mod editor;
mod row;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use firelet_types::{CapacityProviderArn, CapacityProviderName, FunctionArn, FunctionName, Scope, Timestamp};
use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::error::Error;
use crate::function::{Entry, State, Version};

pub use definition::Definition;
pub use editor::CapacityProviderEditor;

/// A capacity provider.
#[derive(Debug, Clone, PartialEq)]
pub struct CapacityProvider {
    /// The account and Region of the provider.
    pub scope: Scope,
    /// What the provider is known by.
    pub name: CapacityProviderName,
    /// Where it is in its life.
    pub state: CapacityProviderState,
    /// When the caller last changed it.
    pub last_modified: Timestamp,
    /// What the caller configured.
    pub definition: Definition,
}

impl CapacityProvider {
    /// The ARN of the provider.
    #[must_use]
    pub fn arn(&self) -> CapacityProviderArn {
        CapacityProviderArn { scope: self.scope.clone(), name: self.name.clone() }
    }
}

/// Where a capacity provider is in its life.
///
/// See <https://docs.aws.amazon.com/lambda/latest/api/API_CapacityProvider.html>, `State`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapacityProviderState {
    /// Being made, or taking over a change.
    Pending,
    /// Nothing is under way.
    Active,
    /// About to be gone.
    Deleting,
}

impl CapacityProviderState {
    /// Whether a change of the provider has still to be finished.
    #[must_use]
    pub const fn is_unsettled(self) -> bool {
        !matches!(self, Self::Active)
    }
}

/// A version of a function that is on a capacity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvidedVersion {
    /// Where it is among the versions on the provider.
    pub place: ProvidedPlace,
    /// The name of the function.
    pub name: FunctionName,
    /// Which version of it.
    pub version: Version,
    /// The state of the version.
    pub state: State,
}

impl ProvidedVersion {
    /// The qualified ARN of the version in this scope.
    #[must_use]
    pub fn arn(&self, scope: &Scope) -> FunctionArn {
        let qualifier = Some(self.version.to_string().as_str().into());
        FunctionArn { scope: scope.clone(), name: self.name.clone(), qualifier }
    }
}

/// A place in the list of versions on a capacity provider, which goes by the age of the functions and then by version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvidedPlace {
    function: i64,
    number: i64,
}

/// A text that is no place in a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place in a list of versions")]
pub struct ProvidedPlaceError(String);

impl fmt::Display for ProvidedPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.function, self.number)
    }
}

impl FromStr for ProvidedPlace {
    type Err = ProvidedPlaceError;

    fn from_str(text: &str) -> Result<Self, ProvidedPlaceError> {
        let parse = || {
            let (function, number) = text.split_once(':')?;
            Some(Self { function: function.parse().ok()?, number: number.parse().ok()? })
        };
        parse().ok_or_else(|| ProvidedPlaceError(text.to_owned()))
    }
}

impl Entry<'_> {
    /// A capacity provider of the function's account and Region, whether the function is on it or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn capacity_provider(&self, name: &CapacityProviderName) -> Result<Option<CapacityProvider>, Error> {
        row::find(self.connection, &self.scope, name)
    }

    /// How many published versions, of whichever function, are on a capacity provider.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn versions_on(&self, provider: &CapacityProviderArn) -> Result<u64, Error> {
        row::count_published(self.connection, provider)
    }
}

/// The table of capacity providers.
#[derive(Debug, Clone)]
pub struct CapacityProviders {
    database: Arc<Database>,
}

impl CapacityProviders {
    pub(crate) const fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// One capacity provider.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&self, scope: &Scope, name: &CapacityProviderName) -> Result<Option<CapacityProvider>, Error> {
        self.database.read(|connection| row::find(connection, scope, name))
    }

    /// Up to `limit` capacity providers after `after`, by name; only those in `state`, if there is one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(
        &self,
        scope: &Scope,
        state: Option<CapacityProviderState>,
        after: Option<&CapacityProviderName>,
        limit: usize,
    ) -> Result<Vec<CapacityProvider>, Error> {
        let step = "list capacity providers";
        let state = state.map(|state| row::state_text(&state)).transpose()?;
        let query = format!(
            "SELECT {} FROM capacity_provider
             WHERE account = ?1 AND region = ?2 AND name > ?3 AND (?4 IS NULL OR state = ?4)
             ORDER BY name LIMIT ?5",
            row::COLUMNS
        );
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let after = after.map_or("", CapacityProviderName::as_str);
            let (account, region) = (scope.account.as_str(), scope.region.as_str());
            row::decode_all(
                &mut statement,
                params![account, region, after, state, row::row_count(limit)],
                step,
            )
        })
    }

    /// Up to `limit` published versions on a capacity provider after `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn versions(
        &self,
        arn: &CapacityProviderArn,
        after: Option<ProvidedPlace>,
        limit: usize,
    ) -> Result<Vec<ProvidedVersion>, Error> {
        self.database.read(|connection| row::published(connection, arn, after, limit))
    }

    /// All capacity providers whose change has still to be finished.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unsettled(&self) -> Result<Vec<CapacityProvider>, Error> {
        let step = "list unfinished capacity providers";
        self.database.read(|connection| {
            let query = format!("SELECT {} FROM capacity_provider WHERE unsettled = 1", row::COLUMNS);
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            row::decode_all(&mut statement, [], step)
        })
    }

    /// Looks at the capacity providers of a scope and changes them, as one step that no other change can come
    /// between.
    ///
    /// # Errors
    /// What `decide` answered, or why the change could not be stored; then nothing of it is.
    pub async fn update<T, E, F>(&self, scope: &Scope, decide: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut CapacityProviderEditor<'_>) -> Result<T, E> + Send + 'static,
    {
        let scope = scope.clone();
        self.database
            .write(move |connection| decide(&mut CapacityProviderEditor::new(connection, scope)))
            .await
    }
}
