//! Function URLs: one record for the function itself, and one for each alias that has one.

use firelet_types::{FunctionName, FunctionUrlId, Scope, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::entry::Entry;
use super::{Functions, row};

/// What [`decode`] reads of `function_url_config`.
const COLUMNS: &str = "alias, id, created, last_modified, definition";

/// The URL of a function or of one of its aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUrlConfig {
    /// The alias that the URL invokes, which may be gone; the function itself if there is none.
    pub alias: Option<String>,
    /// The id that the URL holds; the same as long as the record is there.
    pub id: FunctionUrlId,
    /// When the URL was made.
    pub created: Timestamp,
    /// When the caller last changed this.
    pub last_modified: Timestamp,
    /// What the caller configured.
    pub definition: FunctionUrlDefinition,
}

/// What a caller configures about a function URL, as it is stored: a JSON column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionUrlDefinition {
    /// Who may use the URL.
    pub authentication: UrlAuthentication,
    /// How the function is invoked.
    pub invoke_mode: InvokeMode,
    /// Which pages of other origins may use the URL.
    pub cors: Option<Cors>,
}

/// How callers of a function URL are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlAuthentication {
    /// They are not.
    None,
    /// By the signature of their request.
    AwsIam,
}

/// How the answer of a function reaches the caller of its URL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvokeMode {
    /// When it is complete.
    #[default]
    Buffered,
    /// While the function writes it.
    ResponseStream,
}

/// What browsers are told about pages of other origins. What the caller left out is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Whether requests may carry credentials.
    pub allow_credentials: Option<bool>,
    /// The headers that requests may have.
    pub allow_headers: Option<Vec<String>>,
    /// The methods that requests may have.
    pub allow_methods: Option<Vec<String>>,
    /// The origins whose pages may use the URL, or `*`.
    pub allow_origins: Vec<String>,
    /// The headers of answers that pages may read.
    pub expose_headers: Option<Vec<String>>,
    /// For how many seconds a browser may keep all that.
    pub max_age_seconds: Option<u32>,
}

impl Functions {
    /// The record of the function itself or of an alias; none if there is none, or no such function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn function_url_config(
        &self,
        scope: &Scope,
        name: &FunctionName,
        alias: Option<&str>,
    ) -> Result<Option<FunctionUrlConfig>, Error> {
        self.database.read(|connection| match row::find_function(connection, scope, name)? {
            Some(function) => find(connection, function.id, alias),
            None => Ok(None),
        })
    }

    /// Up to `limit` records of a function after the one of the alias `after`: that of the function itself, then by
    /// alias; none if there is no such function. The function itself is the alias of the empty name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn function_url_configs(
        &self,
        scope: &Scope,
        name: &FunctionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<FunctionUrlConfig>>, Error> {
        let step = "list function URLs";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database.read(|connection| {
            let Some(function) = row::find_function(connection, scope, name)? else { return Ok(None) };
            let query = format!(
                "SELECT {COLUMNS} FROM function_url_config WHERE function = ?1 AND (?2 IS NULL OR alias > ?2)
                 ORDER BY alias LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
            let values = params![function.id, after, limit];
            let mut rows = statement.query(values).map_err(Error::database(step))?;
            let mut configs = Vec::new();
            while let Some(row) = rows.next().map_err(Error::database(step))? {
                configs.push(decode(row)?);
            }
            Ok(Some(configs))
        })
    }
}

impl Entry<'_> {
    /// The record of the function itself or of an alias.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn function_url_config(&self, alias: Option<&str>) -> Result<Option<FunctionUrlConfig>, Error> {
        match &self.function {
            Some(function) => find(self.connection, function.id, alias),
            None => Ok(None),
        }
    }

    /// Stores a record: a new one, or in place of the one of its alias, whose id and time of creation stay. Without
    /// effect if there is no function.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn put_function_url_config(&mut self, config: &FunctionUrlConfig) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        let definition = serde_json::to_string(&config.definition).map_err(Error::corrupt("function URL"))?;
        self.execute(
            "INSERT INTO function_url_config (function, alias, id, created, last_modified, definition)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (function, alias) DO UPDATE SET last_modified = excluded.last_modified,
                 definition = excluded.definition",
            params![
                function,
                config.alias.as_deref().unwrap_or_default(),
                config.id.as_str(),
                config.created.as_millis(),
                config.last_modified.as_millis(),
                definition,
            ],
        )
    }

    /// Deletes the record of the function itself or of an alias; without effect if there is none.
    ///
    /// # Errors
    /// When the database refuses it.
    pub fn delete_function_url_config(&mut self, alias: Option<&str>) -> Result<(), Error> {
        let Some(function) = self.function.as_ref().map(|function| function.id) else { return Ok(()) };
        self.execute(
            "DELETE FROM function_url_config WHERE function = ?1 AND alias = ?2",
            params![function, alias.unwrap_or_default()],
        )
    }
}

fn find(
    connection: &Connection,
    function: i64,
    alias: Option<&str>,
) -> Result<Option<FunctionUrlConfig>, Error> {
    let step = "read a function URL";
    let query = format!("SELECT {COLUMNS} FROM function_url_config WHERE function = ?1 AND alias = ?2");
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let found = statement.query_row(params![function, alias.unwrap_or_default()], |row| Ok(decode(row)));
    found.optional().map_err(Error::database(step))?.transpose()
}

fn decode(row: &Row<'_>) -> Result<FunctionUrlConfig, Error> {
    let corrupt = || Error::corrupt("function URL");
    let alias: String = row.get(0).map_err(corrupt())?;
    Ok(FunctionUrlConfig {
        alias: Some(alias).filter(|alias| !alias.is_empty()),
        id: row::parse(row, 1)?,
        created: Timestamp::from_millis(row.get(2).map_err(corrupt())?),
        last_modified: Timestamp::from_millis(row.get(3).map_err(corrupt())?),
        definition: row::json(row, 4)?,
    })
}
