//! Rows to code signing configurations and back.

use firelet_types::{CodeSigningConfigId, FunctionName, Scope, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Error;

use super::{CodeSigningConfig, CodeSigningDefinition};

const RECORD: &str = "code signing configuration";

pub(super) fn find(
    connection: &Connection,
    scope: &Scope,
    id: &CodeSigningConfigId,
) -> Result<Option<CodeSigningConfig>, Error> {
    let step = "read a code signing configuration";
    let found = connection
        .prepare_cached(
            "SELECT id, last_modified, definition FROM code_signing_config
             WHERE account = ?1 AND region = ?2 AND id = ?3",
        )
        .map_err(Error::database(step))?
        .query_row(params![scope.account.as_str(), scope.region.as_str(), id.as_str()], |row| Ok(decode(row)))
        .optional();
    found.map_err(Error::database(step))?.transpose()
}

pub(super) fn list(
    connection: &Connection,
    scope: &Scope,
    after: Option<&CodeSigningConfigId>,
    limit: usize,
) -> Result<Vec<CodeSigningConfig>, Error> {
    let step = "list code signing configurations";
    let after = after.map_or("", CodeSigningConfigId::as_str);
    let mut statement = connection
        .prepare_cached(
            "SELECT id, last_modified, definition FROM code_signing_config
             WHERE account = ?1 AND region = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
        )
        .map_err(Error::database(step))?;
    let values = params![scope.account.as_str(), scope.region.as_str(), after, row_count(limit)];
    let rows = statement.query_map(values, |row| Ok(decode(row))).map_err(Error::database(step))?;
    rows.map(|row| row.map_err(Error::database(step))?).collect()
}

pub(super) fn functions(
    connection: &Connection,
    scope: &Scope,
    id: &CodeSigningConfigId,
    after: Option<&FunctionName>,
    limit: usize,
) -> Result<Vec<FunctionName>, Error> {
    let step = "list the functions of a code signing configuration";
    let after = after.map_or("", FunctionName::as_str);
    let mut statement = connection
        .prepare_cached(
            "SELECT name FROM function
             WHERE account = ?1 AND region = ?2 AND code_signing_config = ?3 AND name > ?4 ORDER BY name LIMIT ?5",
        )
        .map_err(Error::database(step))?;
    let values = params![scope.account.as_str(), scope.region.as_str(), id.as_str(), after, row_count(limit)];
    let rows = statement.query_map(values, |row| row.get::<_, String>(0)).map_err(Error::database(step))?;
    rows.map(|row| row.map_err(Error::database(step))?.parse().map_err(Error::corrupt("function"))).collect()
}

pub(super) fn put(
    connection: &Connection,
    scope: &Scope,
    id: &CodeSigningConfigId,
    last_modified: Timestamp,
    definition: &CodeSigningDefinition,
) -> Result<(), Error> {
    let step = "store a code signing configuration";
    let definition = serde_json::to_string(definition).map_err(Error::corrupt(RECORD))?;
    let values = params![
        scope.account.as_str(),
        scope.region.as_str(),
        id.as_str(),
        last_modified.as_millis(),
        definition
    ];
    connection
        .prepare_cached(
            "INSERT INTO code_signing_config (account, region, id, last_modified, definition)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (account, region, id)
                 DO UPDATE SET last_modified = excluded.last_modified, definition = excluded.definition",
        )
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(Error::database(step))
}

pub(super) fn delete(connection: &Connection, scope: &Scope, id: &CodeSigningConfigId) -> Result<(), Error> {
    connection
        .prepare_cached("DELETE FROM code_signing_config WHERE account = ?1 AND region = ?2 AND id = ?3")
        .and_then(|mut statement| {
            statement.execute(params![scope.account.as_str(), scope.region.as_str(), id.as_str()])
        })
        .map(drop)
        .map_err(Error::database("delete a code signing configuration"))
}

pub(super) fn of_function(
    connection: &Connection,
    scope: &Scope,
    name: &FunctionName,
) -> Result<Option<Option<CodeSigningConfigId>>, Error> {
    let step = "read the code signing configuration of a function";
    let found: Option<Option<String>> = connection
        .prepare_cached(
            "SELECT code_signing_config FROM function WHERE account = ?1 AND region = ?2 AND name = ?3",
        )
        .map_err(Error::database(step))?
        .query_row(params![scope.account.as_str(), scope.region.as_str(), name.as_str()], |row| row.get(0))
        .optional()
        .map_err(Error::database(step))?;
    let parse = |id: String| id.parse().map_err(Error::corrupt("function"));
    found.map(|id| id.map(parse).transpose()).transpose()
}

fn decode(row: &Row<'_>) -> Result<CodeSigningConfig, Error> {
    let text = |column| {
        let value = row.get_ref(column).map_err(Error::corrupt(RECORD))?;
        value.as_str().map_err(Error::corrupt(RECORD))
    };
    Ok(CodeSigningConfig {
        id: text(0)?.parse().map_err(Error::corrupt(RECORD))?,
        last_modified: Timestamp::from_millis(row.get(1).map_err(Error::corrupt(RECORD))?),
        definition: serde_json::from_str(text(2)?).map_err(Error::corrupt(RECORD))?,
    })
}

fn row_count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
