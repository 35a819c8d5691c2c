//! Metadata in SQLite and blobs in an object store, under one data directory.
