//! One function, looked at and changed inside the writer's transaction.

use std::collections::BTreeMap;

use firelet_types::{FunctionName, LayerVersionArn, Qualifier, Scope, VersionNumber};
use rusqlite::{Connection, OptionalExtension, Params, params};

use crate::error::Error;
use crate::event;
use crate::layer::{self, LayerVersion};

use super::row::{self, COLUMNS, FunctionRow, Status};
use super::{FunctionVersion, PolicyResource, Usage, Version};

/// A name in a scope, and the function that has it, if there is one.
pub struct Entry<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) scope: Scope,
    pub(crate) name: FunctionName,
    pub(crate) function: Option<FunctionRow>,
}

impl<'a> Entry<'a> {
    pub(crate) fn find(connection: &'a Connection, scope: Scope, name: FunctionName) -> Result<Self, Error> {
        let function = row::find_function(connection, &scope, &name)?;
        Ok(Self { connection, scope, name, function })
    }

    /// The account and Region of the name.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &FunctionName {
        &self.name
    }

    /// Whether there is a function of this name.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.function.is_some()
    }

    /// The number of the last version ever published, 0 before the first.
    #[must_use]
    pub fn last_published(&self) -> VersionNumber {
        self.function.as_ref().map_or(0, |function| function.last_published)
    }

    /// One version of the function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn version(&self, version: Version) -> Result<Option<FunctionVersion>, Error> {
        let Some(function) = &self.function else { return Ok(None) };
        let step = "read a function";
        let query = format!(
            "SELECT {COLUMNS} FROM function JOIN version ON version.function = function.id
             WHERE function.id = ?1 AND number = ?2"
        );
        let mut statement = self.connection.prepare_cached(&query).map_err(Error::database(step))?;
        let found =
            statement.query_row(params![function.id, row::number(version)], |row| Ok(row::decode(row)));
        found.optional().map_err(Error::database(step))?.transpose()
    }

    /// The tags; none if there is no function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tags(&self) -> Result<BTreeMap<String, String>, Error> {
        match &self.function {
            Some(function) => row::tags(self.connection, function.id),
            None => Ok(BTreeMap::new()),
        }
    }

    /// A version of a layer, which may be of another account or Region.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn layer_version(&self, arn: &LayerVersionArn) -> Result<Option<LayerVersion>, Error> {
        layer::row::version(self.connection, arn)
    }

    /// Totals of the account in the Region, with what this entry changed so far.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn usage(&self) -> Result<Usage, Error> {
        row::usage(self.connection, &self.scope)
    }

    /// Stores a version of this function: a new one, or in place of the one with its number. Makes the function
    /// if there is none. Scope and name are those of the entry, whatever the record says.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put(&mut self, record: &FunctionVersion) -> Result<(), Error> {
        let function = self.ensure_function()?;
        let number = row::number(record.version);
        let status = serde_json::to_string(&Status::of(record)).map_err(Error::corrupt("function"))?;
        let definition = serde_json::to_string(&record.definition).map_err(Error::corrupt("function"))?;
        let code = &record.definition.code;
        self.execute(
            "INSERT INTO version (function, number, revision, last_modified, status, unsettled, definition,
                 code_sha256, code_bytes, capacity_provider)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (function, number) DO UPDATE SET revision = excluded.revision,
                 last_modified = excluded.last_modified, status = excluded.status,
                 unsettled = excluded.unsettled, definition = excluded.definition,
                 code_sha256 = excluded.code_sha256, code_bytes = excluded.code_bytes,
                 capacity_provider = excluded.capacity_provider",
            params![
                function,
                number,
                record.revision.to_string(),
                record.last_modified.as_millis(),
                status,
                row::unsettled(record),
                definition,
                code.sha256.hex(),
                i64::try_from(code.size_bytes).unwrap_or(i64::MAX),
                record.definition.capacity.as_ref().map(|capacity| capacity.provider.to_string()),
            ],
        )?;
        self.execute(
            "UPDATE function SET last_published = max(last_published, ?2) WHERE id = ?1",
            params![function, number],
        )?;
        self.put_layers(function, number, record)?;
        if let (Some(row), Version::Published(number)) = (&mut self.function, record.version) {
            row.last_published = row.last_published.max(number);
        }
        Ok(())
    }

    /// Keeps note of the packages of the layers, which stay stored while the version is.
    fn put_layers(&self, function: i64, number: i64, record: &FunctionVersion) -> Result<(), Error> {
        let values = params![function, number];
        self.execute("DELETE FROM version_layer WHERE function = ?1 AND number = ?2", values)?;
        for (position, layer) in (0_i64..).zip(&record.definition.layers) {
            self.execute(
                "INSERT INTO version_layer (function, number, position, code_sha256) VALUES (?1, ?2, ?3, ?4)",
                params![function, number, position, layer.code.sha256.hex()],
            )?;
        }
        Ok(())
    }

    /// Sets the tags to exactly `tags`; without effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn set_tags(&mut self, tags: &BTreeMap<String, String>) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute("DELETE FROM tag WHERE function = ?1", [function])?;
        for (key, value) in tags {
            self.execute(
                "INSERT INTO tag (function, key, value) VALUES (?1, ?2, ?3)",
                params![function, key, value],
            )?;
        }
        Ok(())
    }

    /// Deletes a published version with its policy and configurations; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete_version(&mut self, version: Version) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        match version {
            Version::Latest => return Ok(()),
            Version::LatestPublished => self.set_policy(&PolicyResource::LatestPublished, None)?,
            Version::Published(number) => self.set_policy(&PolicyResource::Version(number), None)?,
        }
        self.delete_event_invoke_config(&Qualifier::from(version))?;
        self.delete_provisioned_concurrency(&Qualifier::from(version))?;
        let number = row::number(version);
        self.execute("DELETE FROM version WHERE function = ?1 AND number = ?2", params![function, number])
    }

    /// Deletes the function with its versions, aliases, URLs, tags and waiting events; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete(&mut self) -> Result<(), Error> {
        let Some(function) = self.function.take() else { return Ok(()) };
        let events = event::drop_all(self.connection, function.id)?;
        if events > 0 {
            tracing::warn!(function = %self.name, events, "asynchronous invocations are dropped with their function");
        }
        self.execute("DELETE FROM function WHERE id = ?1", [function.id])
    }

    fn ensure_function(&mut self) -> Result<i64, Error> {
        if let Some(function) = &self.function {
            return Ok(function.id);
        }
        self.execute(
            "INSERT INTO function (account, region, name) VALUES (?1, ?2, ?3)",
            params![self.scope.account.as_str(), self.scope.region.as_str(), self.name.as_str()],
        )?;
        let id = self.connection.last_insert_rowid();
        self.function = Some(FunctionRow { id, last_published: 0 });
        Ok(id)
    }

    pub(crate) fn execute(&self, statement: &str, values: impl Params) -> Result<(), Error> {
        let step = "change a function";
        let mut statement = self.connection.prepare_cached(statement).map_err(Error::database(step))?;
        statement.execute(values).map_err(Error::database(step))?;
        Ok(())
    }
}
