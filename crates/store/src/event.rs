//! Asynchronous invocations that were accepted and have not ended: the queue on disk.
//!
//! An event hangs on its function and goes with it. The store keeps events in the order in which they are due, and
//! neither runs nor retries them: who does so keeps in memory which of them are under way, so that after a crash all
//! are waiting again. Changes here have a count and a signal of their own, since no look-up of a function depends on
//! them.

mod row;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use firelet_types::{AccountId, FunctionName, Qualifier, RequestId, Scope, TenantId, Timestamp};
use rusqlite::{Connection, params};

use crate::changes::Changes;
use crate::database::Database;
use crate::error::Error;
use crate::function::row::find_function;

/// One event. Ids grow in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub i64);

/// The events of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub i64);

/// The events of one function, and whose function it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    /// The events.
    pub lane: Lane,
    /// The account of the function.
    pub account: AccountId,
}

/// An event as it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The account and Region of the function.
    pub scope: Scope,
    /// The function that is to run.
    pub function: FunctionName,
    /// The version or alias, where the caller named one.
    pub qualifier: Option<Qualifier>,
    /// The id of the request, which every try has.
    pub request_id: RequestId,
    /// When it was accepted; it is due at once.
    pub accepted: Timestamp,
    /// Whom the function is to work for, where the caller named a tenant.
    pub tenant: Option<TenantId>,
    /// The trace header that every try has.
    pub trace_header: Option<String>,
    /// What the function gets.
    pub payload: Bytes,
}

/// How often an event was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How often the function ran for it and failed.
    pub invocations: u32,
    /// How often it could not be run since.
    pub setbacks: u32,
}

/// An event, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What was accepted.
    pub accepted: NewEvent,
    /// What came of it so far.
    pub progress: Progress,
}

/// An event that waits, by what its turn depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// When it is to be tried.
    pub due: Timestamp,
    /// Which it is.
    pub id: EventId,
}

/// What became of the event that follows another's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUp {
    /// It is stored, or there was none to store.
    Done,
    /// Its function does not exist.
    FunctionMissing,
    /// The event that was to end went with its function meanwhile, and nothing follows it.
    Superseded,
}

/// The table of events.
#[derive(Debug, Clone)]
pub struct Events {
    database: Arc<Database>,
    changes: Arc<Changes>,
}

impl Events {
    pub(crate) const fn new(database: Arc<Database>, changes: Arc<Changes>) -> Self {
        Self { database, changes }
    }

    /// The count of commits that changed events, and the signal that follows it.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Accepts an event; answers whether there is a function of its name to hang it on.
    ///
    /// # Errors
    /// When the database refuses it; then nothing is stored.
    pub async fn put(&self, event: NewEvent) -> Result<bool, Error> {
        self.database.write_events(move |connection| insert(connection, &event)).await
    }

    /// The functions with events, and the id of the youngest event.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn lanes(&self) -> Result<(EventId, Vec<Owned>), Error> {
        self.database.read(|connection| {
            let last = row::last_id(connection)?;
            Ok((last, row::lanes(connection)?))
        })
    }

    /// The functions with events that were accepted after `seen`, and the id of the youngest event.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn arrivals(&self, seen: EventId) -> Result<(EventId, Vec<Owned>), Error> {
        self.database.read(|connection| row::arrivals(connection, seen))
    }

    /// Up to `limit` events of a function, those due first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn waiting(&self, lane: Lane, limit: usize) -> Result<Vec<Waiting>, Error> {
        self.database.read(|connection| row::waiting(connection, lane, limit))
    }

    /// An event, or none if it has ended or went with its function.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn get(&self, id: EventId) -> Result<Option<Event>, Error> {
        self.database.read(|connection| row::find(connection, id))
    }

    /// Has an event tried again at `due`; without effect if it is gone.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn postpone(&self, id: EventId, progress: Progress, due: Timestamp) -> Result<(), Error> {
        self.database
            .write_events(move |connection| {
                let values = params![id.0, due.as_millis(), progress.invocations, progress.setbacks];
                let statement = "UPDATE event SET due = ?2, invocations = ?3, setbacks = ?4 WHERE id = ?1";
                execute(connection, statement, values).map(drop)
            })
            .await
    }

    /// Ends an event, and accepts in the same step the one that follows from its end.
    ///
    /// # Errors
    /// When the database refuses it; then neither happens.
    pub async fn end(&self, id: EventId, follow_up: Option<NewEvent>) -> Result<FollowUp, Error> {
        self.database
            .write_events(move |connection| {
                if execute(connection, "DELETE FROM event WHERE id = ?1", params![id.0])? == 0 {
                    return Ok(FollowUp::Superseded);
                }
                match follow_up {
                    Some(event) if !insert(connection, &event)? => Ok(FollowUp::FunctionMissing),
                    _ => Ok(FollowUp::Done),
                }
            })
            .await
    }
}

/// Stores an event; answers whether there is a function to hang it on.
fn insert(connection: &Connection, event: &NewEvent) -> Result<bool, Error> {
    let Some(function) = find_function(connection, &event.scope, &event.function)? else { return Ok(false) };
    let inserted = execute(
        connection,
        "INSERT INTO event (function, due, accepted, qualifier, request_id, tenant, trace_header, payload)
         VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            function.id,
            event.accepted.as_millis(),
            event.qualifier.as_ref().map(ToString::to_string),
            event.request_id.to_string(),
            event.tenant.as_ref().map(ToString::to_string),
            event.trace_header,
            event.payload.as_ref(),
        ],
    )?;
    Ok(inserted > 0)
}

/// Drops the events of a function that is about to go; answers how many there were.
pub(crate) fn drop_all(connection: &Connection, function: i64) -> Result<usize, Error> {
    execute(connection, "DELETE FROM event WHERE function = ?1", [function])
}

fn execute(connection: &Connection, statement: &str, values: impl rusqlite::Params) -> Result<usize, Error> {
    let step = "change the queue of events";
    let mut statement = connection.prepare_cached(statement).map_err(Error::database(step))?;
    statement.execute(values).map_err(Error::database(step))
}
