//! Log groups and streams: the handle that others write through and read from.

mod files;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

use bytes::Bytes;
use firelet_types::{Scope, Timestamp};
use tokio::sync::{Notify, broadcast, oneshot};

pub use self::writer::LogWriter;

/// Where logs are kept and how much of them.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that holds all log groups.
    pub directory: PathBuf,
    /// Bytes of a group's file after which it is set aside; one file set aside is kept, so a group takes at most
    /// twice this.
    pub group_bytes: u64,
    /// Bytes that may wait for the disk; more are dropped and counted.
    pub queue_bytes: usize,
    /// Bytes of one stream that may wait for the disk before its writer should wait too.
    pub stream_queue_bytes: usize,
}

impl Options {
    /// The usual bounds, in `directory`.
    #[must_use]
    pub fn in_directory(directory: PathBuf) -> Self {
        Self { directory, group_bytes: 128 << 20, queue_bytes: 64 << 20, stream_queue_bytes: 256 << 10 }
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

/// What is known of a stream.
#[derive(Debug)]
struct Stream {
    group: Arc<LogGroup>,
    name: String,
    /// Bytes that wait for the disk.
    queued: AtomicUsize,
}

/// What all streams share.
#[derive(Debug)]
struct Shared {
    options: Options,
    /// Bytes of all streams that wait for the disk.
    queued: AtomicUsize,
    /// Chunks that were dropped since somebody last looked.
    dropped: AtomicU64,
    /// Told after every batch that reached the disk.
    written: Notify,
}

/// What the writer's thread is asked to do.
#[derive(Debug)]
enum Request {
    Write { stream: Arc<Stream>, time: Timestamp, text: Bytes },
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
    requests: Sender<Request>,
    shared: Arc<Shared>,
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
        let (requests, receiver) = channel();
        let shared = Arc::new(Shared {
            options,
            queued: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            written: Notify::new(),
        });
        let writer = LogWriter::new(Arc::clone(&shared), receiver);
        Ok((Self { requests, shared }, writer))
    }

    /// A stream to write to; it is on disk from its first line on.
    #[must_use]
    pub fn stream(&self, group: LogGroup, name: String) -> LogStream {
        let stream = Stream { group: Arc::new(group), name, queued: AtomicUsize::new(0) };
        LogStream { logs: self.clone(), stream: Arc::new(stream) }
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
        self.requests.send(request(answer)).map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }

    /// Lets the writer finish what is queued and end.
    pub fn stop(&self) {
        // A writer that is gone has already stopped.
        let _ = self.requests.send(Request::Stop);
    }
}

/// Bytes that a chunk takes in the queue besides its text.
const CHUNK_OVERHEAD: usize = 128;

/// One stream of a group: what one execution environment writes.
#[derive(Debug, Clone)]
pub struct LogStream {
    logs: Logs,
    stream: Arc<Stream>,
}

impl LogStream {
    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.stream.name
    }

    /// Queues `text`, one or more lines, for the disk. Never blocks; drops the text when the queue of all streams is
    /// full. Whoever passes on a guest's output asks for [`room`](Self::room) first, so that it never is.
    pub fn write(&self, time: Timestamp, text: Bytes) {
        let shared = &self.logs.shared;
        let cost = text.len() + CHUNK_OVERHEAD;
        if shared.queued.load(Ordering::Relaxed) + cost > shared.options.queue_bytes {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shared.queued.fetch_add(cost, Ordering::Relaxed);
        self.stream.queued.fetch_add(cost, Ordering::Relaxed);
        // A writer that is gone has stopped, as it does at shutdown.
        let _ = self.logs.requests.send(Request::Write { stream: Arc::clone(&self.stream), time, text });
    }

    /// Whether a guest's output may be passed on: its own share of the queue is not used up, and half of all is left
    /// to the platform's lines.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let Shared { options, queued, .. } = &*self.logs.shared;
        self.stream.queued.load(Ordering::Relaxed) < options.stream_queue_bytes
            && queued.load(Ordering::Relaxed) < options.queue_bytes / 2
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        loop {
            let written = self.logs.shared.written.notified();
            if self.has_room() {
                return;
            }
            written.await;
        }
    }
}

#[cfg(test)]
mod tests;
