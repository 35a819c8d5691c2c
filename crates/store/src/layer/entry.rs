//! One layer, looked at and changed inside the writer's transaction.

use firelet_types::{LayerArn, Timestamp, VersionNumber};
use rusqlite::{Connection, Params, params};

use crate::error::Error;
use crate::function::{Usage, row as function_row};

use super::{LayerDefinition, LayerPolicy, LayerVersion, row};

/// A layer's name in a scope, whether or not it has versions.
pub struct LayerEntry<'a> {
    connection: &'a Connection,
    layer: LayerArn,
}

impl<'a> LayerEntry<'a> {
    pub(super) const fn new(connection: &'a Connection, layer: LayerArn) -> Self {
        Self { connection, layer }
    }

    /// One version of the layer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn version(&self, number: VersionNumber) -> Result<Option<LayerVersion>, Error> {
        row::version(self.connection, &self.layer.clone().version(number))
    }

    /// Totals of the account in the Region, with what this entry changed so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn usage(&self) -> Result<Usage, Error> {
        function_row::usage(self.connection, &self.layer.scope)
    }

    /// Stores a version under the number after the last one ever published.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn publish(
        &mut self,
        definition: LayerDefinition,
        created: Timestamp,
    ) -> Result<LayerVersion, Error> {
        let step = "publish a layer version";
        let scope = &self.layer.scope;
        let (layer, number): (i64, VersionNumber) = self
            .connection
            .prepare_cached(
                "INSERT INTO layer (account, region, name, last_published) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT (account, region, name) DO UPDATE SET last_published = last_published + 1
                 RETURNING id, last_published",
            )
            .and_then(|mut statement| {
                let values = params![scope.account.as_str(), scope.region.as_str(), self.layer.name.as_str()];
                statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))
            })
            .map_err(Error::database(step))?;
        let policy = LayerPolicy::default();
        self.execute(
            step,
            "INSERT INTO layer_version (layer, number, created, definition, policy, code_sha256, code_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                layer,
                row::number(number),
                created.as_millis(),
                row::encode(&definition)?,
                row::encode(&policy)?,
                definition.code.sha256.hex(),
                i64::try_from(definition.code.size_bytes).unwrap_or(i64::MAX),
            ],
        )?;
        Ok(LayerVersion { arn: self.layer.clone().version(number), created, definition, policy })
    }

    /// Replaces the policy of a version; without effect if there is none of that number.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_policy(&mut self, number: VersionNumber, policy: &LayerPolicy) -> Result<(), Error> {
        let scope = &self.layer.scope;
        self.execute(
            "change the policy of a layer version",
            "UPDATE layer_version SET policy = ?5 WHERE number = ?4 AND layer =
                 (SELECT id FROM layer WHERE account = ?1 AND region = ?2 AND name = ?3)",
            params![
                scope.account.as_str(),
                scope.region.as_str(),
                self.layer.name.as_str(),
                row::number(number),
                row::encode(policy)?,
            ],
        )
    }

    /// Deletes a version; without effect if there is none of that number.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete_version(&mut self, number: VersionNumber) -> Result<(), Error> {
        let scope = &self.layer.scope;
        self.execute(
            "delete a layer version",
            "DELETE FROM layer_version WHERE number = ?4 AND layer =
                 (SELECT id FROM layer WHERE account = ?1 AND region = ?2 AND name = ?3)",
            params![
                scope.account.as_str(),
                scope.region.as_str(),
                self.layer.name.as_str(),
                row::number(number),
            ],
        )
    }

    fn execute(&self, step: &'static str, statement: &str, values: impl Params) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(statement).map_err(Error::database(step))?;
        statement.execute(values).map_err(Error::database(step))?;
        Ok(())
    }
}
