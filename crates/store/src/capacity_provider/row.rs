//! Rows to capacity providers and back.

use firelet_types::{CapacityProviderArn, CapacityProviderName, Scope, Timestamp};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};

use crate::error::Error;
use crate::function::row as function_row;

use super::{CapacityProvider, CapacityProviderState, ProvidedPlace, ProvidedVersion};

/// What [`decode`] reads.
pub(super) const COLUMNS: &str = "account, region, name, state, last_modified, definition";
const RECORD: &str = "capacity provider";

pub(super) fn find(
    connection: &Connection,
    scope: &Scope,
    name: &CapacityProviderName,
) -> Result<Option<CapacityProvider>, Error> {
    let step = "read a capacity provider";
    let query =
        format!("SELECT {COLUMNS} FROM capacity_provider WHERE account = ?1 AND region = ?2 AND name = ?3");
    let mut statement = connection.prepare_cached(&query).map_err(Error::database(step))?;
    let values = params![scope.account.as_str(), scope.region.as_str(), name.as_str()];
    let found = statement.query_row(values, |row| Ok(decode(row))).optional();
    found.map_err(Error::database(step))?.transpose()
}

/// The published versions on a provider, after a place in their list.
pub(super) fn published(
    connection: &Connection,
    arn: &CapacityProviderArn,
    after: Option<ProvidedPlace>,
    limit: usize,
) -> Result<Vec<ProvidedVersion>, Error> {
    let step = "list the versions on a capacity provider";
    let after = after.unwrap_or(ProvidedPlace { function: 0, number: 0 });
    let mut statement = connection
        .prepare_cached(
            "SELECT function.id, number, name, status FROM version JOIN function ON function.id = version.function
             WHERE capacity_provider = ?1 AND (version.function, number) > (?2, ?3) AND number <> 0
             ORDER BY version.function, number LIMIT ?4",
        )
        .map_err(Error::database(step))?;
    let values = params![arn.to_string(), after.function, after.number, row_count(limit)];
    decode_versions(&mut statement, values, step)
}

/// The first versions that are configured with a provider, published or not.
pub(super) fn versions(
    connection: &Connection,
    arn: &CapacityProviderArn,
    limit: usize,
) -> Result<Vec<ProvidedVersion>, Error> {
    let step = "list the versions on a capacity provider";
    let mut statement = connection
        .prepare_cached(
            "SELECT function.id, number, name, status FROM version JOIN function ON function.id = version.function
             WHERE capacity_provider = ?1 ORDER BY version.function, number LIMIT ?2",
        )
        .map_err(Error::database(step))?;
    decode_versions(&mut statement, params![arn.to_string(), row_count(limit)], step)
}

/// How many published versions are on a provider.
pub(super) fn count_published(connection: &Connection, arn: &CapacityProviderArn) -> Result<u64, Error> {
    let step = "count the versions on a capacity provider";
    connection
        .prepare_cached("SELECT count(*) FROM version WHERE capacity_provider = ?1 AND number <> 0")
        .map_err(Error::database(step))?
        .query_row([arn.to_string()], |row| row.get(0))
        .map_err(Error::database(step))
}

pub(super) fn put(connection: &Connection, scope: &Scope, provider: &CapacityProvider) -> Result<(), Error> {
    let definition = serde_json::to_string(&provider.definition).map_err(Error::corrupt(RECORD))?;
    let values = params![
        scope.account.as_str(),
        scope.region.as_str(),
        provider.name.as_str(),
        provider.last_modified.as_millis(),
        state_text(&provider.state)?,
        provider.state.is_unsettled(),
        definition,
    ];
    connection
        .prepare_cached(
            "INSERT INTO capacity_provider (account, region, name, last_modified, state, unsettled, definition)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (account, region, name) DO UPDATE SET last_modified = excluded.last_modified,
                 state = excluded.state, unsettled = excluded.unsettled, definition = excluded.definition",
        )
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(Error::database("store a capacity provider"))
}

pub(super) fn delete(
    connection: &Connection,
    scope: &Scope,
    name: &CapacityProviderName,
) -> Result<(), Error> {
    let values = params![scope.account.as_str(), scope.region.as_str(), name.as_str()];
    connection
        .prepare_cached("DELETE FROM capacity_provider WHERE account = ?1 AND region = ?2 AND name = ?3")
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(Error::database("delete a capacity provider"))
}

pub(super) fn decode_all(
    statement: &mut CachedStatement<'_>,
    values: impl Params,
    step: &'static str,
) -> Result<Vec<CapacityProvider>, Error> {
    let rows = statement.query_map(values, |row| Ok(decode(row))).map_err(Error::database(step))?;
    rows.map(|row| row.map_err(Error::database(step))?).collect()
}

/// The JSON of the column `state`.
pub(super) fn state_text(state: &CapacityProviderState) -> Result<String, Error> {
    serde_json::to_string(state).map_err(Error::corrupt(RECORD))
}

pub(super) fn row_count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn decode_versions(
    statement: &mut CachedStatement<'_>,
    values: impl Params,
    step: &'static str,
) -> Result<Vec<ProvidedVersion>, Error> {
    let rows = statement.query_map(values, |row| Ok(decode_version(row))).map_err(Error::database(step))?;
    rows.map(|row| row.map_err(Error::database(step))?).collect()
}

fn decode_version(row: &Row<'_>) -> Result<ProvidedVersion, Error> {
    let integer = |column| row.get(column).map_err(Error::corrupt("function"));
    let place = ProvidedPlace { function: integer(0)?, number: integer(1)? };
    Ok(ProvidedVersion {
        place,
        name: function_row::parse(row, 2)?,
        version: function_row::version(place.number),
        state: function_row::state(row, 3)?,
    })
}

fn decode(row: &Row<'_>) -> Result<CapacityProvider, Error> {
    Ok(CapacityProvider {
        scope: Scope { account: parse(row, 0)?, region: parse(row, 1)? },
        name: parse(row, 2)?,
        state: json(row, 3)?,
        last_modified: Timestamp::from_millis(row.get(4).map_err(Error::corrupt(RECORD))?),
        definition: json(row, 5)?,
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
