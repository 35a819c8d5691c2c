//! Functions, and what hangs on them: versions, aliases, policies, configurations and tags.
//!
//! Reads are synchronous and take tens of microseconds; they see every change that was answered. Changes run one
//! after the other inside the writer, so a rule that looks before it changes cannot be overtaken.

mod alias;
mod concurrency;
mod entry;
mod event_invoke_config;
mod function_url_config;
mod policy;
mod provisioned_concurrency;
pub(crate) mod row;
mod scaling;
mod settings;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use firelet_types::{CodeSha256, FunctionName, Qualifier, RevisionId, Scope, Timestamp, VersionNumber};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::definition::{Definition, SnapStart};
use crate::error::Error;

pub use alias::Alias;
pub use concurrency::Reservations;
pub use entry::Entry;
pub use event_invoke_config::EventInvokeConfig;
pub use function_url_config::{
    Cors, FunctionUrlConfig, FunctionUrlDefinition, InvokeMode, UrlAuthentication,
};
pub use policy::PolicyResource;
pub use provisioned_concurrency::{Allocation, AllocationStatus, ProvisionedConcurrency, ProvisionedVersion};
use row::COLUMNS;
pub use scaling::Scaling;
pub use settings::RuntimeUpdate;

/// `$LATEST`, which updates change, or a published version, which nothing changes but its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// `$LATEST`.
    Latest,
    /// `$LATEST.PUBLISHED`, which is published again in place of what it was.
    LatestPublished,
    /// A published version, from 1 upwards.
    Published(VersionNumber),
}

impl From<Version> for Qualifier {
    fn from(version: Version) -> Self {
        match version {
            Version::Latest => Self::Latest,
            Version::LatestPublished => Self::LatestPublished,
            Version::Published(number) => Self::Version(number),
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Latest => formatter.write_str("$LATEST"),
            Self::LatestPublished => formatter.write_str("$LATEST.PUBLISHED"),
            Self::Published(number) => write!(formatter, "{number}"),
        }
    }
}

/// One version of a function, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionVersion {
    /// The account and Region of the function.
    pub scope: Scope,
    /// The name of the function.
    pub name: FunctionName,
    /// Which version this is.
    pub version: Version,
    /// Changes with each change of this record.
    pub revision: RevisionId,
    /// What the caller configured.
    pub definition: Definition,
    /// Whether the version can be invoked.
    pub state: State,
    /// How the last update went; absent while the function is being created.
    pub last_update: Option<LastUpdate>,
    /// When the caller last changed the code or the configuration.
    pub last_modified: Timestamp,
}

impl FunctionVersion {
    /// Whether creation or an update has still to be finished.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        matches!(self.state, State::Pending(_) | State::Deactivating)
            || matches!(self.last_update, Some(LastUpdate::InProgress(_)))
    }

    /// Whether its environments start from a snapshot: `$LATEST` never does.
    #[must_use]
    pub const fn starts_from_snapshot(&self) -> bool {
        matches!(self.version, Version::Published(_))
            && matches!(self.definition.snap_start, SnapStart::PublishedVersions)
    }

    /// Whether creation has still to be finished, and it is a snapshot that is missing.
    #[must_use]
    pub const fn awaits_snapshot(&self) -> bool {
        self.starts_from_snapshot() && matches!(self.state, State::Pending(_))
    }
}

/// Why a function is in the state it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One of the codes of the API: `Creating`.
    pub code: String,
    /// The same in words.
    pub text: String,
}

/// Whether a version can be invoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Being made; not yet invocable.
    Pending(Reason),
    /// Invocable.
    Active,
    /// Idle for long; becomes Pending with the next invocation.
    Inactive(Reason),
    /// Could not be made.
    Failed(Reason),
    /// `$LATEST` of a function of Lambda Managed Instances, of which only published versions are invocable.
    ActiveNonInvocable,
    /// About to have no execution environments.
    Deactivating,
    /// To have no execution environments, so that it is not invocable.
    Deactivated,
}

/// How the last update of a function went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastUpdate {
    /// In effect.
    Successful,
    /// Not yet in effect; no other update is taken.
    InProgress(Reason),
    /// Did not come into effect.
    Failed(Reason),
}

/// Totals of an account in a Region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Functions.
    pub functions: u64,
    /// Bytes of the deployment packages of all versions, each counted.
    pub code_bytes: u64,
    /// Executions that are set aside for functions: reserved, or provisioned where nothing is reserved.
    pub reserved_concurrency: u64,
}

/// Which versions a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// `$LATEST` of each function.
    Latest,
    /// `$LATEST` and the published versions of each function.
    All,
}

/// A place in a list: the last item of the page before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The name of that item.
    pub name: FunctionName,
    /// The version of that item.
    pub version: Version,
}

/// The table of functions.
#[derive(Debug, Clone)]
pub struct Functions {
    pub(crate) database: Arc<Database>,
}

impl Functions {
    pub(crate) const fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// One version of a function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(
        &self,
        scope: &Scope,
        name: &FunctionName,
        version: Version,
    ) -> Result<Option<Arc<FunctionVersion>>, Error> {
        let step = "read a function";
        self.database.read(|connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM function JOIN version ON version.function = function.id
                 WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4"
            );
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let values =
                params![scope.account.as_str(), scope.region.as_str(), name.as_str(), row::number(version)];
            let found = statement.query_row(values, |row| Ok(row::decode(row))).optional();
            Ok(found.map_err(Error::database(step))?.transpose()?.map(Arc::new))
        })
    }

    /// Up to `limit` versions after `after`, by name and then by version.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(
        &self,
        scope: &Scope,
        listing: Listing,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<FunctionVersion>, Error> {
        let step = "list functions";
        let (name, number) =
            after.map_or(("", i64::MIN), |after| (after.name.as_str(), row::number(after.version)));
        let query = match listing {
            Listing::Latest => format!(
                "SELECT {COLUMNS} FROM function JOIN version ON version.function = function.id AND number = 0
                 WHERE account = ?1 AND region = ?2 AND name > ?3 AND ?4 IS NOT NULL
                 ORDER BY name LIMIT ?5"
            ),
            Listing::All => format!(
                "SELECT {COLUMNS} FROM function JOIN version ON version.function = function.id
                 WHERE account = ?1 AND region = ?2 AND name >= ?3 AND (name > ?3 OR number > ?4)
                 ORDER BY name, number LIMIT ?5"
            ),
        };
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let values = params![scope.account.as_str(), scope.region.as_str(), name, number, limit];
            row::decode_all(&mut statement, values, step)
        })
    }

    /// Up to `limit` versions of one function after `after`: `$LATEST`, then the published ones by number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn versions(
        &self,
        scope: &Scope,
        name: &FunctionName,
        after: Option<Version>,
        limit: usize,
    ) -> Result<Vec<FunctionVersion>, Error> {
        let step = "list versions";
        let query = format!(
            "SELECT {COLUMNS} FROM function JOIN version ON version.function = function.id
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND number > ?4 ORDER BY number LIMIT ?5"
        );
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let after = after.map_or(i64::MIN, row::number);
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let values = params![scope.account.as_str(), scope.region.as_str(), name.as_str(), after, limit];
            row::decode_all(&mut statement, values, step)
        })
    }

    /// The tags of a function, or none if there is no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tags(
        &self,
        scope: &Scope,
        name: &FunctionName,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        self.database.read(|connection| {
            let Some(function) = row::find_function(connection, scope, name)? else { return Ok(None) };
            row::tags(connection, function.id).map(Some)
        })
    }

    /// Totals of an account in a Region.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn usage(&self, scope: &Scope) -> Result<Usage, Error> {
        self.database.read(|connection| row::usage(connection, scope))
    }

    /// All versions whose creation or update the control plane has still to finish: those that wait for a snapshot are not
    /// among them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn unsettled(&self) -> Result<Vec<FunctionVersion>, Error> {
        let step = "list unfinished updates";
        self.database.read(|connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM version JOIN function ON version.function = function.id WHERE unsettled = 1"
            );
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            row::decode_all(&mut statement, [], step)
        })
    }

    /// The runtimes that versions of functions have, of all accounts, in order. Costs one look at an index for each.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn runtimes(&self) -> Result<Vec<String>, Error> {
        self.database.read(|connection| {
            let step = "list the runtimes in use";
            let query =
                "SELECT min(definition ->> '$.runtime') FROM version WHERE definition ->> '$.runtime' > ?1";
            let mut statement = connection.prepare_cached(query).map_err(Error::database(step))?;
            let mut runtimes = Vec::new();
            let mut last = String::new();
            loop {
                let next = statement.query_row([&last], |row| row.get::<_, Option<String>>(0));
                match next.map_err(Error::database(step))? {
                    Some(runtime) => last.clone_from(&runtime),
                    None => return Ok(runtimes),
                }
                runtimes.push(last.clone());
            }
        })
    }

    /// The packages of the layers of each version that has several, in their order.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn layer_lists(&self) -> Result<HashSet<Vec<CodeSha256>>, Error> {
        self.database.read(row::layer_lists)
    }

    /// Looks at a function and changes it, as one step that no other change can come between.
    ///
    /// What `decide` did is stored when this answers `Ok`; when `decide` answers an error, nothing of it is.
    ///
    /// # Errors
    /// What `decide` answered, or why the change could not be stored.
    pub async fn update<T, E, F>(&self, scope: &Scope, name: &FunctionName, decide: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut Entry<'_>) -> Result<T, E> + Send + 'static,
    {
        let (scope, name) = (scope.clone(), name.clone());
        self.database
            .write(move |connection| decide(&mut Entry::find(connection, scope, name).map_err(E::from)?))
            .await
    }
}
