//! The one thread that writes. It takes all waiting operations into one transaction, each in its own savepoint,
//! and answers them after the commit: one fsync serves everybody who waited for it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;

use super::Counts;

/// Operations that may wait for the writer; callers beyond that wait for a place.
const QUEUE: usize = 1_024;
/// Operations in one transaction, so that the first of many is not kept waiting for the last.
const GROUP: usize = 256;
/// How long the writer waits for a lock that only a checkpoint of a reader can hold.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept: more than there are statements.
const KEPT_STATEMENTS: usize = 128;

pub(super) fn connect(path: &Path) -> Result<Connection, Error> {
    create_private(path).map_err(Error::file("create", path))?;
    let error = || Error::database("open the database");
    let connection = Connection::open(path).map_err(error())?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(error())?;
    connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
    connection.pragma_update(None, "journal_mode", "wal").map_err(error())?;
    connection.pragma_update(None, "synchronous", "full").map_err(error())?;
    connection.pragma_update(None, "foreign_keys", true).map_err(error())?;
    Ok(connection)
}

/// Makes the file before SQLite does: what is in it, such as environment variables, is for this user only. The
/// files that SQLite adds get the same permissions.
fn create_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(|_| ())
}

/// What an operation changes, and so who hears of its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// Events and nothing else.
    Events,
    /// Anything else.
    Records,
}

/// What became of an operation inside the transaction.
enum Outcome {
    Applied,
    Refused,
}

/// One waiting operation, with its result type hidden.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Outcome;
    fn subject(&self) -> Subject;
    /// Sends the result; `lost` says why the transaction that held it was rolled back, if it was.
    fn answer(self: Box<Self>, lost: Option<&str>);
}

struct Write<T, E, F> {
    subject: Subject,
    operation: Option<F>,
    result: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Job for Write<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: FnOnce(&Connection) -> Result<T, E> + Send,
{
    fn run(&mut self, connection: &Connection) -> Outcome {
        let Some(operation) = self.operation.take() else { return Outcome::Refused };
        // A panic in one caller's operation must not end the writer for all others: the savepoint is rolled
        // back, and the caller, left without an answer, sees the store as closed.
        self.result = catch_unwind(AssertUnwindSafe(|| operation(connection))).ok();
        match self.result {
            Some(Ok(_)) => Outcome::Applied,
            Some(Err(_)) | None => Outcome::Refused,
        }
    }

    fn subject(&self) -> Subject {
        self.subject
    }

    fn answer(self: Box<Self>, lost: Option<&str>) {
        let result = match (self.result, lost) {
            (Some(Ok(_)), Some(reason)) => Err(Error::RolledBack { reason: reason.to_owned() }.into()),
            (Some(result), _) => result,
            (None, _) => return,
        };
        // A caller that went away has no use for the answer; the change stays.
        let _ = self.caller.send(result);
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, counts: Counts) -> Result<Self, Error> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || serve(&connection, jobs, &counts))
            .map_err(Error::file("start the thread that writes", Path::new("firelet.db")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn write<T, E, F>(&self, subject: Subject, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let job = Box::new(Write { subject, operation: Some(operation), result: None, caller });
        let queue = self.queue.as_ref().ok_or(Error::Closed)?;
        queue.send(job).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // The thread ends when the queue is empty; a panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>, counts: &Counts) {
    while let Some(first) = jobs.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP {
            let Ok(next) = jobs.try_recv() else { break };
            group.push(next);
        }
        let applied = commit_group(connection, &mut group);
        let lost = match applied {
            Ok(applied) => {
                if applied.contains(&Subject::Records) {
                    counts.records.committed();
                }
                if applied.contains(&Subject::Events) {
                    counts.events.committed();
                }
                None
            }
            Err(error) => {
                tracing::error!(%error, operations = group.len(), "a transaction was rolled back");
                Some(error.to_string())
            }
        };
        for job in group {
            job.answer(lost.as_deref());
        }
    }
}

/// Runs the group in one transaction and commits it; answers what the operations changed.
///
/// SQLite may end the transaction by itself, for example on a full disk; then nothing of the group is stored.
fn commit_group(
    connection: &Connection,
    group: &mut [Box<dyn Job>],
) -> Result<Vec<Subject>, rusqlite::Error> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let outcome = run_group(connection, group).and_then(|applied| {
        execute(connection, "COMMIT")?;
        Ok(applied)
    });
    if outcome.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK")?;
    }
    outcome
}

fn run_group(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<Vec<Subject>, rusqlite::Error> {
    let mut applied = Vec::new();
    for job in group {
        execute(connection, "SAVEPOINT operation")?;
        match job.run(connection) {
            Outcome::Applied => applied.push(job.subject()),
            Outcome::Refused => execute(connection, "ROLLBACK TO operation")?,
        }
        execute(connection, "RELEASE operation")?;
    }
    Ok(applied)
}

fn execute(connection: &Connection, statement: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(statement)?.execute([]).map(|_| ())
}
