//! A database that tells which statements it ran.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use super::{Counts, Database, migration, reader::Readers, writer, writer::Writer};
use crate::changes::Changes;

/// The texts of the statements that ran.
pub(crate) type Statements = Arc<Mutex<BTreeSet<String>>>;

/// Opens a database that adds each statement to `seen`, as long as no two readers come at one time.
pub(crate) fn open(path: &Path, seen: &Statements) -> Database {
    let mut connection = writer::connect(path).unwrap();
    migration::migrate(&mut connection, path).unwrap();
    watch(&mut connection, seen);
    let counts = Counts { records: Arc::new(Changes::new()), events: Arc::new(Changes::new()) };
    let writer = Writer::start(connection, counts).unwrap();
    let readers = Readers::new(path);
    let mut connection = readers.connect().unwrap();
    watch(&mut connection, seen);
    readers.keep(connection);
    Database { writer, readers }
}

fn watch(connection: &mut Connection, seen: &Statements) {
    let seen = Arc::clone(seen);
    let note = move |event: TraceEvent<'_>| {
        if let TraceEvent::Stmt(_, statement) = event {
            seen.lock().insert(statement.to_owned());
        }
    };
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note)).unwrap();
}
