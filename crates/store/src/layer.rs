//! Layers and their versions.
//!
//! Reads are synchronous and see every change that was answered. Changes run one after the other inside the writer.
//! What a function needs of its layers is part of the function's own record: a layer that is deleted takes nothing
//! from the functions that use it.

mod entry;
pub(crate) mod row;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use firelet_types::{LayerArn, LayerVersionArn, RevisionId, Scope, Timestamp, VersionNumber};
use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::definition::{Architecture, Code, CodeObject};
use crate::error::Error;

pub use entry::LayerEntry;
use row::COLUMNS;

/// One version of a layer, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerVersion {
    /// Whose it is, and its name and number.
    pub arn: LayerVersionArn,
    /// When it was published.
    pub created: Timestamp,
    /// What its publisher said about it.
    pub definition: LayerDefinition,
    /// Who else may use it.
    pub policy: LayerPolicy,
}

/// What the publisher of a layer version said about it, and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerDefinition {
    /// The publisher's words.
    pub description: String,
    /// The license: an identifier, a link or a text.
    pub license: Option<String>,
    /// Runtime identifiers that it is meant for: none means never said, which reads back differently from an empty
    /// list.
    pub runtimes: Option<Vec<String>>,
    /// Instruction sets that it is meant for.
    pub architectures: Option<Vec<Architecture>>,
    /// The content, by digest.
    pub code: Code,
    /// The object that the publisher keeps the content in, if the layer is to refer to it instead of a copy.
    #[serde(default)]
    pub code_object: Option<CodeObject>,
}

/// Who else may use a layer version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPolicy {
    /// Changes with each change of the statements; none before the first.
    pub revision: Option<RevisionId>,
    /// In the order in which they were added.
    pub statements: Vec<LayerStatement>,
}

/// One permission to use a layer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerStatement {
    /// Tells it from the others of the policy.
    pub id: String,
    /// The action that is allowed.
    pub action: String,
    /// An account, the ARN of its root, or `*`.
    pub principal: String,
    /// The organization that callers have to be of.
    pub organization: Option<String>,
}

/// Which versions a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerFilter {
    /// Only those meant for this runtime.
    pub runtime: Option<String>,
    /// Only those meant for this instruction set.
    pub architecture: Option<Architecture>,
}

/// The table of layers.
#[derive(Debug, Clone)]
pub struct Layers {
    database: Arc<Database>,
}

impl Layers {
    pub(crate) const fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// One version of a layer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&self, arn: &LayerVersionArn) -> Result<Option<LayerVersion>, Error> {
        self.database.read(|connection| row::version(connection, arn))
    }

    /// The newest version that `filter` lets through of each of up to `limit` layers after the name `after`, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn list(
        &self,
        scope: &Scope,
        filter: &LayerFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LayerVersion>, Error> {
        let query = format!(
            "SELECT {COLUMNS} FROM layer JOIN layer_version ON layer_version.layer = layer.id
             WHERE account = ?1 AND region = ?2 AND name > ?3 AND number = (
                 SELECT max(number) FROM layer_version WHERE layer_version.layer = layer.id AND {})
             ORDER BY name LIMIT ?4",
            row::FILTER
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (runtime, architecture) = row::filter(filter);
        let (account, region) = (scope.account.as_str(), scope.region.as_str());
        let values = params![account, region, after.unwrap_or(""), limit, runtime, architecture];
        self.database.read(|connection| row::decode_all(connection, &query, values))
    }

    /// Up to `limit` versions of a layer that `filter` lets through, newest first, before the version `before`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn versions(
        &self,
        layer: &LayerArn,
        filter: &LayerFilter,
        before: Option<VersionNumber>,
        limit: usize,
    ) -> Result<Vec<LayerVersion>, Error> {
        let query = format!(
            "SELECT {COLUMNS} FROM layer JOIN layer_version ON layer_version.layer = layer.id
             WHERE account = ?1 AND region = ?2 AND name = ?3 AND number < ?7 AND {}
             ORDER BY number DESC LIMIT ?4",
            row::FILTER
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let before = before.map_or(i64::MAX, row::number);
        let (runtime, architecture) = row::filter(filter);
        let (account, region) = (layer.scope.account.as_str(), layer.scope.region.as_str());
        let values = params![account, region, layer.name.as_str(), limit, runtime, architecture, before];
        self.database.read(|connection| row::decode_all(connection, &query, values))
    }

    /// Looks at a layer and changes it, as one step that no other change can come between.
    ///
    /// What `decide` did is stored when this answers `Ok`; when `decide` answers an error, nothing of it is.
    ///
    /// # Errors
    /// What `decide` answered, or why the change could not be stored.
    pub async fn update<T, E, F>(&self, layer: &LayerArn, decide: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut LayerEntry<'_>) -> Result<T, E> + Send + 'static,
    {
        let layer = layer.clone();
        self.database.write(move |connection| decide(&mut LayerEntry::new(connection, layer))).await
    }
}
