//! Log groups and streams: the handle that others write through and read from.

mod files;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use bytes::Bytes;
use firelet_types::{Scope, Timestamp};
use tokio::sync::{broadcast, oneshot};

pub use self::writer::LogWriter;

/// Where logs are kept and how much of them.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds all log groups.
    pub directory: PathBuf,
    /// Bytes of a stream's file after which it is set aside; one file set aside is kept, so a stream takes at most
    /// twice this.
    pub stream_bytes: u64,
    /// Streams kept in a group; the oldest go first.
    pub streams_per_group: usize,
    /// Chunks of output that may wait for the disk; more are dropped and counted.
    pub queue_length: usize,
}

impl Options {
    /// The usual bounds, in `directory`.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory, stream_bytes: 8 << 20, streams_per_group: 32, queue_length: 4_096 }
    }
}

/// Why logs could not be set up or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder for logs could not be made.
    #[error("cannot create the log folder {path}")]
    CreateDirectory {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A log file could not be read.
    #[error("cannot read the log {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The log writer has ended, as it does at shutdown.
    #[error("the log writer has stopped")]
    Stopped,
}

/// A log group of one account and Region, such as `/aws/lambda/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogGroup {
    /// Whose group.
    pub scope: Scope,
    /// Its name.
    pub name: String,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When firelet received it.
    pub time: Timestamp,
    /// The text, without its line ending. A function may write any bytes.
    pub text: Bytes,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StreamKey {
    group: LogGroup,
    name: String,
}

/// What the writer's thread is asked to do.
#[derive(Debug)]
enum Request {
    Write { stream: Arc<StreamKey>, time: Timestamp, text: Bytes },
    Read { group: LogGroup, lines: usize, answer: oneshot::Sender<Result<Vec<LogLine>, Error>> },
    Follow { group: LogGroup, lines: usize, answer: oneshot::Sender<Result<Follow, Error>> },
    Stop,
}

/// The latest lines of a group, and those to come.
#[derive(Debug)]
pub struct Follow {
    /// Lines already on disk, oldest first.
    pub history: Vec<LogLine>,
    /// Every line after those. A reader that falls behind by more than the channel holds misses lines.
    pub live: broadcast::Receiver<LogLine>,
}

/// The way to all logs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Logs {
    requests: SyncSender<Request>,
    dropped: Arc<AtomicU64>,
}

impl Logs {
    /// Makes the folder and the pair of handle and writer; the caller runs the writer on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn open(options: Options) -> Result<(Self, LogWriter), Error> {
        std::fs::create_dir_all(&options.directory)
            .map_err(|source| Error::CreateDirectory { path: options.directory.clone(), source })?;
        let (requests, receiver) = sync_channel(options.queue_length);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = LogWriter::new(options, receiver, Arc::clone(&dropped));
        Ok((Self { requests, dropped }, writer))
    }

    /// A stream to write to; its file appears with its first line.
    #[must_use]
    pub fn stream(&self, group: LogGroup, name: String) -> LogStream {
        LogStream { logs: self.clone(), key: Arc::new(StreamKey { group, name }) }
    }

    /// The last `lines` lines of a group, merged over its streams by time.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the writer has stopped.
    pub async fn read(&self, group: LogGroup, lines: usize) -> Result<Vec<LogLine>, Error> {
        self.ask(|answer| Request::Read { group, lines, answer }).await
    }

    /// The last `lines` lines of a group, and every line after them.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the writer has stopped.
    pub async fn follow(&self, group: LogGroup, lines: usize) -> Result<Follow, Error> {
        self.ask(|answer| Request::Follow { group, lines, answer }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Request,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let (requests, request) = (self.requests.clone(), request(answer));
        let sent = tokio::task::spawn_blocking(move || requests.send(request)).await;
        sent.map_err(|_| Error::Stopped)?.map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }

    /// Lets the writer finish what is queued and end. Blocks until there is room in the queue.
    pub fn stop(&self) {
        // A writer that is gone has already stopped.
        let _ = self.requests.send(Request::Stop);
    }
}

/// One stream of a group: what one execution environment writes.
#[derive(Debug, Clone)]
pub struct LogStream {
    logs: Logs,
    key: Arc<StreamKey>,
}

impl LogStream {
    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// Queues `text`, one or more lines, for the disk. Never blocks; drops the text when the queue is full.
    pub fn write(&self, time: Timestamp, text: Bytes) {
        let request = Request::Write { stream: Arc::clone(&self.key), time, text };
        if let Err(TrySendError::Full(_)) = self.logs.requests.try_send(request) {
            self.logs.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
