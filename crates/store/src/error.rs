//! Why the store could not do what it was asked.

use std::io;
use std::path::PathBuf;

/// A failed step of the store, and what it was about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder of the data directory could not be made.
    #[error("cannot create the directory {}", path.display())]
    CreateDirectory {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file of the data directory could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb: `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process holds the lock of the data directory.
    #[error(
        "another firelet{} uses the data directory {}; stop it, or choose another with --data-dir",
        process.map(|id| format!(" (process {id})")).unwrap_or_default(),
        path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// The process that wrote its id into the lock file.
        process: Option<u32>,
    },
    /// A later firelet wrote the data directory.
    #[error(
        "the data directory {} has format {found}, this firelet knows formats up to {known}; use a newer firelet",
        path.display()
    )]
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// The database file belongs to another program.
    #[error("{} is not a database of firelet", path.display())]
    ForeignDatabase {
        /// The database file.
        path: PathBuf,
    },
    /// The database refused a step.
    #[error("cannot {step}")]
    Database {
        /// What was tried, as a verb and its object: `read a function`.
        step: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The transaction that held this change was rolled back; nothing of it was stored.
    #[error("the change was not stored: {reason}")]
    RolledBack {
        /// What SQLite said about the transaction.
        reason: String,
    },
    /// The disk, or the share of it that firelet may use, is full.
    #[error("the disk of the data directory is full")]
    DiskFull,
    /// The store is shutting down, or its writer ended.
    #[error("the store is closed")]
    Closed,
    /// A row holds what this program never writes.
    #[error("a stored {record} cannot be read")]
    Corrupt {
        /// The kind of row.
        record: &'static str,
        /// What was wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object store refused a step.
    #[error("cannot {action} the code {digest}")]
    Blob {
        /// What was tried, as a verb: `read`.
        action: &'static str,
        /// The hexadecimal SHA-256 of the code.
        digest: String,
        /// What the object store said.
        source: object_store::Error,
    },
    /// The object store could not be opened or listed.
    #[error("cannot {action} the store of code")]
    BlobStore {
        /// What was tried, as a verb: `list`.
        action: &'static str,
        /// What the object store said.
        source: object_store::Error,
    },
}

impl Error {
    /// Whether the same call may succeed later without anything being changed by hand.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::RolledBack { .. } | Self::Blob { .. } | Self::BlobStore { .. })
    }

    pub(crate) fn database(step: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Database { step, source },
        }
    }

    pub(crate) fn corrupt<E>(record: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Corrupt { record, source: source.into() }
    }

    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::File { action, path, source },
        }
    }
}
