//! SQLite: one writer that commits in groups, and read connections that never wait for it.
//!
//! A write is answered after its transaction is on disk, never before. No other module opens a connection.

mod migration;
mod reader;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::changes::Changes;
use crate::error::Error;

use reader::Readers;
use writer::{Subject, Writer};

/// Who hears of commits: those of events do not disturb whoever keeps look-ups of the rest.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Commits that changed anything else.
    pub(crate) records: Arc<Changes>,
    /// Commits that changed events.
    pub(crate) events: Arc<Changes>,
}

#[derive(Debug)]
pub(crate) struct Database {
    writer: Writer,
    readers: Readers,
}

impl Database {
    pub(crate) fn open(path: &Path, counts: Counts) -> Result<Self, Error> {
        let mut connection = writer::connect(path)?;
        migration::migrate(&mut connection, path)?;
        let writer = Writer::start(connection, counts)?;
        Ok(Self { writer, readers: Readers::new(path) })
    }

    /// Runs `query` on a connection that sees everything answered so far.
    pub(crate) fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        self.readers.read(query)
    }

    /// Runs `operation` in a savepoint on the writer; answers once it is on disk, or was rolled back.
    pub(crate) async fn write<T, E, F>(&self, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.writer.write(Subject::Records, operation).await
    }

    /// Like [`Self::write`], for an operation that changes events and nothing else.
    pub(crate) async fn write_events<T, E, F>(&self, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.writer.write(Subject::Events, operation).await
    }
}
