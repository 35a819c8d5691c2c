//! Rows to records and back.

use std::collections::{BTreeMap, HashSet};

use firelet_types::{CodeSha256, FunctionName, Scope, Timestamp, VersionNumber};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};
use serde::{Deserialize, Serialize};

use crate::error::Error;

use super::{FunctionVersion, LastUpdate, State, Usage, Version};

/// What [`decode`] reads, of `function` joined with `version`.
pub(super) const COLUMNS: &str = "account, region, name, number, revision, last_modified, status, definition";

/// The number in the database for `$LATEST`.
const LATEST: i64 = 0;

/// The number in the database for `$LATEST.PUBLISHED`.
const LATEST_PUBLISHED: i64 = -1;

/// In the column `unsettled`: nothing is left to be done.
const SETTLED: i64 = 0;
/// The control plane has something to finish.
const UNSETTLED: i64 = 1;
/// A snapshot is to be made.
const AWAITS_SNAPSHOT: i64 = 2;

/// The JSON of the column `status`.
#[derive(Serialize, Deserialize)]
pub(super) struct Status {
    state: State,
    last_update: Option<LastUpdate>,
}

impl Status {
    pub(super) fn of(record: &FunctionVersion) -> Self {
        Self { state: record.state.clone(), last_update: record.last_update.clone() }
    }
}

/// A row of `function`.
pub(crate) struct FunctionRow {
    pub(crate) id: i64,
    pub(crate) last_published: VersionNumber,
}

pub(crate) fn number(version: Version) -> i64 {
    match version {
        Version::Latest => LATEST,
        Version::LatestPublished => LATEST_PUBLISHED,
        Version::Published(number) => i64::try_from(number).unwrap_or(i64::MAX),
    }
}

/// The column `unsettled`: who has still to finish something about a version.
pub(super) const fn unsettled(record: &FunctionVersion) -> i64 {
    if record.awaits_snapshot() {
        AWAITS_SNAPSHOT
    } else if record.is_unsettled() {
        UNSETTLED
    } else {
        SETTLED
    }
}

pub(crate) fn version(number: i64) -> Version {
    match u64::try_from(number) {
        _ if number == LATEST_PUBLISHED => Version::LatestPublished,
        Ok(number) if number > 0 => Version::Published(number),
        _ => Version::Latest,
    }
}

pub(super) fn decode(row: &Row<'_>) -> Result<FunctionVersion, Error> {
    let status: Status = json(row, 6)?;
    Ok(FunctionVersion {
        scope: Scope { account: parse(row, 0)?, region: parse(row, 1)? },
        name: parse(row, 2)?,
        version: version(row.get(3).map_err(Error::corrupt("function"))?),
        revision: parse(row, 4)?,
        definition: json(row, 7)?,
        state: status.state,
        last_update: status.last_update,
        last_modified: Timestamp::from_millis(row.get(5).map_err(Error::corrupt("function"))?),
    })
}

/// The state in the JSON of a column `status`.
pub(crate) fn state(row: &Row<'_>, column: usize) -> Result<State, Error> {
    json(row, column).map(|status: Status| status.state)
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, Error> {
    row.get_ref(column).map_err(Error::corrupt("function"))?.as_str().map_err(Error::corrupt("function"))
}

pub(crate) fn parse<T>(row: &Row<'_>, column: usize) -> Result<T, Error>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text(row, column)?.parse().map_err(Error::corrupt("function"))
}

pub(super) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Error> {
    serde_json::from_str(text(row, column)?).map_err(Error::corrupt("function"))
}

pub(super) fn decode_all(
    statement: &mut CachedStatement<'_>,
    values: impl Params,
    step: &'static str,
) -> Result<Vec<FunctionVersion>, Error> {
    let mut rows = statement.query(values).map_err(Error::database(step))?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(Error::database(step))? {
        records.push(decode(row)?);
    }
    Ok(records)
}

pub(crate) fn find_function(
    connection: &Connection,
    scope: &Scope,
    name: &FunctionName,
) -> Result<Option<FunctionRow>, Error> {
    let step = "find a function";
    connection
        .prepare_cached(
            "SELECT id, last_published FROM function WHERE account = ?1 AND region = ?2 AND name = ?3",
        )
        .map_err(Error::database(step))?
        .query_row(params![scope.account.as_str(), scope.region.as_str(), name.as_str()], |row| {
            Ok(FunctionRow { id: row.get(0)?, last_published: row.get(1)? })
        })
        .optional()
        .map_err(Error::database(step))
}

pub(super) fn tags(connection: &Connection, function: i64) -> Result<BTreeMap<String, String>, Error> {
    let step = "read tags";
    connection
        .prepare_cached("SELECT key, value FROM tag WHERE function = ?1")
        .map_err(Error::database(step))?
        .query_map([function], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(Error::database(step))?
        .collect::<Result<_, _>>()
        .map_err(Error::database(step))
}

/// The lists of two or more packages of layers, as versions have them.
pub(super) fn layer_lists(connection: &Connection) -> Result<HashSet<Vec<CodeSha256>>, Error> {
    let step = "list the layers of functions";
    let mut statement = connection
        .prepare_cached(
            "SELECT function, number, code_sha256 FROM version_layer ORDER BY function, number, position",
        )
        .map_err(Error::database(step))?;
    let mut rows = statement.query([]).map_err(Error::database(step))?;
    let mut lists: BTreeMap<(i64, i64), Vec<CodeSha256>> = BTreeMap::new();
    while let Some(row) = rows.next().map_err(Error::database(step))? {
        let key = (row.get(0).map_err(Error::database(step))?, row.get(1).map_err(Error::database(step))?);
        lists.entry(key).or_default().extend(CodeSha256::from_hex(text(row, 2)?));
    }
    Ok(lists.into_values().filter(|list| list.len() > 1).collect())
}

pub(crate) fn usage(connection: &Connection, scope: &Scope) -> Result<Usage, Error> {
    let step = "read the totals of an account";
    let found = connection
        .prepare_cached("SELECT functions, code_bytes, reserved_concurrency FROM usage WHERE account = ?1 AND region = ?2")
        .map_err(Error::database(step))?
        .query_row(params![scope.account.as_str(), scope.region.as_str()], |row| {
            Ok(Usage { functions: row.get(0)?, code_bytes: row.get(1)?, reserved_concurrency: row.get(2)? })
        })
        .optional()
        .map_err(Error::database(step))?;
    Ok(found.unwrap_or_default())
}
