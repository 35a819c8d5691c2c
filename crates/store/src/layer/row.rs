//! Rows of layer versions to records and back.

use firelet_types::{LayerArn, LayerVersionArn, Scope, Timestamp, VersionNumber};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::definition::Architecture;
use crate::error::Error;

use super::{LayerFilter, LayerVersion};

/// What [`decode`] reads, of `layer` joined with `layer_version`.
pub(super) const COLUMNS: &str = "account, region, name, number, created, definition, policy";

/// Lets a row of `layer_version` through whose lists hold the values 5 and 6, where these are not null.
pub(super) const FILTER: &str =
    "(?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(definition, '$.runtimes') WHERE value = ?5))
     AND (?6 IS NULL OR EXISTS (SELECT 1 FROM json_each(definition, '$.architectures') WHERE value = ?6))";

/// The values 5 and 6 of [`FILTER`].
pub(super) fn filter(filter: &LayerFilter) -> (Option<&str>, Option<&'static str>) {
    let architecture = filter.architecture.map(|architecture| match architecture {
        Architecture::X86_64 => "x86_64",
        Architecture::Arm64 => "arm64",
    });
    (filter.runtime.as_deref(), architecture)
}

pub(super) fn number(number: VersionNumber) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One version of a layer.
pub(crate) fn version(connection: &Connection, arn: &LayerVersionArn) -> Result<Option<LayerVersion>, Error> {
    let step = "read a layer version";
    let query = format!(
        "SELECT {COLUMNS} FROM layer JOIN layer_version ON layer_version.layer = layer.id
         WHERE account = ?1 AND region = ?2 AND name = ?3 AND number = ?4"
    );
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let LayerArn { scope, name } = &arn.layer;
    let values = params![scope.account.as_str(), scope.region.as_str(), name.as_str(), number(arn.number)];
    let found = statement.query_row(values, |row| Ok(decode(row))).optional();
    found.map_err(Error::database(step))?.transpose()
}

pub(super) fn decode_all(
    connection: &Connection,
    query: &str,
    values: impl Params,
) -> Result<Vec<LayerVersion>, Error> {
    let step = "list layers";
    let mut statement = connection.prepare_cached(query).map_err(Error::database(step))?;
    let mut rows = statement.query(values).map_err(Error::database(step))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(Error::database(step))? {
        records.push(decode(row)?);
    }
    Ok(records)
}

pub(super) fn encode(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(corrupt())
}

fn decode(row: &Row<'_>) -> Result<LayerVersion, Error> {
    let scope = Scope { account: parse(row, 0)?, region: parse(row, 1)? };
    let layer = LayerArn { scope, name: parse(row, 2)? };
    Ok(LayerVersion {
        arn: layer.version(row.get(3).map_err(corrupt())?),
        created: Timestamp::from_millis(row.get(4).map_err(corrupt())?),
        definition: json(row, 5)?,
        policy: json(row, 6)?,
    })
}

fn parse<T>(row: &Row<'_>, column: usize) -> Result<T, Error>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text(row, column)?.parse().map_err(corrupt())
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Error> {
    serde_json::from_str(text(row, column)?).map_err(corrupt())
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, Error> {
    row.get_ref(column).map_err(corrupt())?.as_str().map_err(corrupt())
}

fn corrupt<E>() -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Error::corrupt("layer version")
}
