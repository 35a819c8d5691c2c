use std::sync::Arc;

use super::*;

fn open(folder: &tempfile::TempDir) -> Database {
    let counts = Counts { records: Arc::new(Changes::new()), events: Arc::new(Changes::new()) };
    Database::open(&folder.path().join("test.db"), counts).unwrap()
}

fn change(connection: &Connection, statement: &str) -> Result<(), Error> {
    connection.execute_batch(statement).map_err(Error::database("change a test"))
}

fn count(database: &Database) -> i64 {
    let query = |connection: &Connection| {
        connection
            .query_row("SELECT count(*) FROM function", [], |row| row.get(0))
            .map_err(Error::database("count a test"))
    };
    database.read(query).unwrap()
}

async fn add(database: &Database, name: &str) -> Result<(), Error> {
    let statement = format!(
        "INSERT INTO function (account, region, name) VALUES ('000000000000', 'us-east-1', '{name}')"
    );
    database.write(move |connection| change(connection, &statement)).await
}

#[tokio::test]
async fn a_full_disk_harms_nothing_that_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    add(&database, "first").await.unwrap();
    let full = |connection: &Connection| {
        let pages: u32 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .map_err(Error::database("count pages"))?;
        change(connection, &format!("PRAGMA max_page_count = {pages}"))
    };
    database.write(full).await.unwrap();
    let long = "x".repeat(100_000);
    assert!(matches!(add(&database, &long).await, Err(Error::DiskFull)));
    assert_eq!(count(&database), 1);
    database.write(|connection| change(connection, "PRAGMA max_page_count = 1000000")).await.unwrap();
    add(&database, &long).await.unwrap();
    assert_eq!(count(&database), 2);
}

#[tokio::test]
async fn when_a_transaction_is_lost_everybody_in_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    // What SQLite itself does on some failures of the disk.
    let lose: fn(&Connection) -> Result<(), Error> = |connection| change(connection, "ROLLBACK");
    let (first, lost) = tokio::join!(add(&database, "first"), database.write(lose));
    assert!(matches!(lost, Err(Error::RolledBack { .. })), "{lost:?}");
    assert_eq!(i64::from(first.is_ok()), count(&database));
    add(&database, "second").await.unwrap();
}

#[tokio::test]
async fn a_refused_change_does_not_touch_those_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(&folder);
    let refuse = |connection: &Connection| {
        change(connection, "INSERT INTO function (account, region, name) VALUES ('a', 'r', 'refused')")?;
        Err::<(), _>(Error::Closed)
    };
    let (before, refused, after) =
        tokio::join!(add(&database, "before"), database.write(refuse), add(&database, "after"));
    assert!(before.is_ok() && refused.is_err() && after.is_ok());
    assert_eq!(count(&database), 2);
}
