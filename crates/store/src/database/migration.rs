//! Brings a database to the format of this program, one numbered file at a time.

use std::path::Path;

use rusqlite::Connection;

use crate::error::Error;

/// Marks the file as one of firelet's: "flet".
const APPLICATION_ID: i32 = 0x666c_6574;

/// The migrations in order; the format of a database is how many of them it has seen.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/0001_functions.sql"),
    include_str!("../../migrations/0002_policies.sql"),
    include_str!("../../migrations/0003_event_invoke_configs.sql"),
    include_str!("../../migrations/0004_function_settings.sql"),
    include_str!("../../migrations/0005_layers.sql"),
    include_str!("../../migrations/0006_event_source_mappings.sql"),
    include_str!("../../migrations/0007_code_signing.sql"),
    include_str!("../../migrations/0008_provisioned_concurrency.sql"),
    include_str!("../../migrations/0009_function_urls.sql"),
    include_str!("../../migrations/0010_capacity_providers.sql"),
    include_str!("../../migrations/0011_events.sql"),
    include_str!("../../migrations/0012_runtimes.sql"),
    include_str!("../../migrations/0013_snapshots.sql"),
];

/// What holds for one server only, and is forgotten when the next one starts.
const AT_START: &str = include_str!("../../migrations/at_start.sql");

pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let found: u32 = pragma(connection, "user_version")?;
    let application: i32 = pragma(connection, "application_id")?;
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(Error::database("read the schema"))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Error::ForeignDatabase { path: path.to_owned() });
    }
    let known = u32::try_from(MIGRATIONS.len()).expect("a handful of migrations");
    if found > known {
        let path = path.parent().unwrap_or(path).to_owned();
        return Err(Error::NewerFormat { path, found, known });
    }
    for (migration, format) in MIGRATIONS.iter().zip(1..=known).skip(found as usize) {
        apply(connection, migration, format)?;
    }
    connection.execute_batch(AT_START).map_err(Error::database("forget what the server before reported"))
}

fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<T, Error> {
    connection
        .pragma_query_value(None, name, |row| row.get(0))
        .map_err(Error::database("read the format of the database"))
}

fn apply(connection: &mut Connection, migration: &str, format: u32) -> Result<(), Error> {
    let error = || Error::database("bring the database to the current format");
    let transaction = connection.transaction().map_err(error())?;
    transaction.execute_batch(migration).map_err(error())?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(error())?;
    transaction.pragma_update(None, "user_version", format).map_err(error())?;
    transaction.commit().map_err(error())
}
