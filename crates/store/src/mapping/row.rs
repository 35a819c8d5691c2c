//! Rows to mappings and back.

use std::collections::BTreeMap;

use firelet_types::{MappingId, Qualifier, Scope, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::{EventSource, Mapping, Settings};

/// What [`decode`] reads.
pub(super) const COLUMNS: &str =
    "account, region, uuid, function, qualifier, last_modified, state, definition";
const RECORD: &str = "event source mapping";

/// The JSON of the column `definition`.
#[derive(Serialize, Deserialize)]
pub(super) struct Definition {
    pub(super) source: EventSource,
    pub(super) settings: Settings,
}

pub(super) fn decode(row: &Row<'_>) -> Result<Mapping, Error> {
    let Definition { source, settings } = json(row, 7)?;
    let qualifier: Option<String> = row.get(4).map_err(Error::corrupt(RECORD))?;
    Ok(Mapping {
        scope: Scope { account: parse(row, 0)?, region: parse(row, 1)? },
        id: parse(row, 2)?,
        function: parse(row, 3)?,
        qualifier: qualifier.as_deref().map(Qualifier::from),
        source,
        settings,
        state: json(row, 6)?,
        last_modified: Timestamp::from_millis(row.get(5).map_err(Error::corrupt(RECORD))?),
    })
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, Error> {
    row.get_ref(column).map_err(Error::corrupt(RECORD))?.as_str().map_err(Error::corrupt(RECORD))
}

fn parse<T>(row: &Row<'_>, column: usize) -> Result<T, Error>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text(row, column)?.parse().map_err(Error::corrupt(RECORD))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Error> {
    serde_json::from_str(text(row, column)?).map_err(Error::corrupt(RECORD))
}

pub(super) fn decode_all(
    statement: &mut CachedStatement<'_>,
    values: impl Params,
    step: &'static str,
) -> Result<Vec<Mapping>, Error> {
    let mut rows = statement.query(values).map_err(Error::database(step))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(Error::database(step))? {
        records.push(decode(row)?);
    }
    Ok(records)
}

pub(super) fn find(connection: &Connection, scope: &Scope, id: MappingId) -> Result<Option<Mapping>, Error> {
    let step = "read an event source mapping";
    let query = format!(
        "SELECT {COLUMNS} FROM event_source_mapping WHERE account = ?1 AND region = ?2 AND uuid = ?3"
    );
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let values = params![scope.account.as_str(), scope.region.as_str(), id.to_string()];
    let found = statement.query_row(values, |row| Ok(decode(row))).optional();
    found.map_err(Error::database(step))?.transpose()
}

pub(super) fn tags(
    connection: &Connection,
    scope: &Scope,
    id: MappingId,
) -> Result<BTreeMap<String, String>, Error> {
    let step = "read tags of an event source mapping";
    connection
        .prepare_cached(
            "SELECT key, value FROM event_source_mapping_tag WHERE account = ?1 AND region = ?2 AND uuid = ?3",
        )
        .map_err(Error::database(step))?
        .query_map(params![scope.account.as_str(), scope.region.as_str(), id.to_string()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(Error::database(step))?
        .collect::<Result<_, _>>()
        .map_err(Error::database(step))
}
