//! The thread that owns the log files. Nothing else opens them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bytes::Bytes;
use firelet_types::Timestamp;
use tokio::sync::broadcast;

use super::{CHUNK_OVERHEAD, Error, Follow, LogGroup, LogLine, Request, Shared, Stream, files};

/// Files kept open between writes. More groups than this at once cost an open and a close a write.
const OPEN_FILES: usize = 256;
/// How long lines gather before they are written: a thread that is woken for every line costs the functions more than
/// the line itself.
const GATHER: Duration = Duration::from_millis(2);
/// Requests taken from the queue before what they wrote is handed to the operating system.
const BATCH: usize = 1_024;
/// Lines that a follower may fall behind before it misses some.
const FOLLOWER_LINES: usize = 1_024;

/// Empties the queue of lines onto disk.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
    requests: Receiver<Request>,
    open: HashMap<Arc<LogGroup>, OpenGroup>,
    followers: HashMap<LogGroup, broadcast::Sender<LogLine>>,
}

#[derive(Debug)]
struct OpenGroup {
    path: PathBuf,
    file: File,
    length: u64,
    /// Whose lines were written last.
    latest: Option<Arc<Stream>>,
    /// Written but not yet handed to the operating system.
    pending: Vec<u8>,
}

impl LogWriter {
    pub(super) fn new(shared: Arc<Shared>, requests: Receiver<Request>) -> Self {
        Self { shared, requests, open: HashMap::new(), followers: HashMap::new() }
    }

    /// Works until [`Logs::stop`](super::Logs::stop) or until every handle is gone. Blocks: give it a thread.
    pub fn run(mut self) {
        let mut going = true;
        while going {
            let Ok(first) = self.requests.recv() else { break };
            if matches!(first, Request::Write { .. }) {
                std::thread::sleep(GATHER);
            }
            going = self.handle(first);
            for _ in 0..BATCH {
                let Some(next) = self.requests.try_recv().ok().filter(|_| going) else { break };
                going = self.handle(next);
            }
            self.report_dropped();
            self.flush();
            self.shared.written.notify_waiters();
        }
    }

    /// Does what one request asks; false when the writer shall stop.
    fn handle(&mut self, request: Request) -> bool {
        match request {
            Request::Write { stream, time, text } => {
                self.write(&stream, time, &text);
                let cost = text.len() + CHUNK_OVERHEAD;
                stream.queued.fetch_sub(cost, Ordering::Relaxed);
                self.shared.queued.fetch_sub(cost, Ordering::Relaxed);
            }
            Request::Read { group, lines, answer } => {
                self.flush();
                // A reader that went away needs no answer.
                let _ = answer.send(files::last_lines(&self.shared.options.directory, &group, lines));
            }
            Request::Follow { group, lines, answer } => {
                self.flush();
                let _ = answer.send(self.follow(&group, lines));
            }
            Request::Stop => return false,
        }
        true
    }

    fn write(&mut self, stream: &Arc<Stream>, time: Timestamp, text: &Bytes) {
        self.publish(&stream.group, time, text);
        match self.open_group(&stream.group) {
            Ok(open) => open.append(stream, time, text),
            Err(error) => report_lost(&stream.group, &error),
        }
    }

    fn publish(&mut self, group: &LogGroup, time: Timestamp, text: &Bytes) {
        let Some(follower) = self.followers.get(group) else { return };
        let everyone_left = lines_of(text).any(|text| follower.send(LogLine { time, text }).is_err());
        if everyone_left {
            self.followers.remove(group);
        }
    }

    fn open_group(&mut self, group: &Arc<LogGroup>) -> io::Result<&mut OpenGroup> {
        if self.open.len() >= OPEN_FILES && !self.open.contains_key(group) {
            self.flush();
            self.open.clear();
        }
        match self.open.entry(Arc::clone(group)) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(vacant) => {
                Ok(vacant.insert(OpenGroup::open(files::group_file(&self.shared.options.directory, group))?))
            }
        }
    }

    fn flush(&mut self) {
        let limit = self.shared.options.group_bytes;
        self.open.retain(|group, open| match open.flush(limit) {
            Ok(()) => true,
            Err(error) => {
                report_lost(group, &error);
                false
            }
        });
    }

    fn follow(&mut self, group: &LogGroup, lines: usize) -> Result<Follow, Error> {
        self.followers.retain(|_, follower| follower.receiver_count() > 0);
        let history = files::last_lines(&self.shared.options.directory, group, lines)?;
        let follower =
            self.followers.entry(group.clone()).or_insert_with(|| broadcast::channel(FOLLOWER_LINES).0);
        Ok(Follow { history, live: follower.subscribe() })
    }

    fn report_dropped(&self) {
        let count = self.shared.dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            tracing::warn!(
                count,
                "the disk is slower than the functions' logs; chunks of output were dropped"
            );
        }
    }
}

fn report_lost(group: &LogGroup, error: &io::Error) {
    tracing::warn!(group = group.name, error = %error, "cannot write functions' logs; lines are lost");
}

impl OpenGroup {
    fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = open_to_append(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length, latest: None, pending: Vec::new() })
    }

    fn append(&mut self, stream: &Arc<Stream>, time: Timestamp, text: &Bytes) {
        if self.latest.as_ref().is_none_or(|latest| !Arc::ptr_eq(latest, stream)) {
            files::append_stream(&mut self.pending, &stream.name);
            self.latest = Some(Arc::clone(stream));
        }
        for line in lines_of(text) {
            files::append_line(&mut self.pending, time, &line);
        }
    }

    /// Hands what is pending to the operating system, and sets the file aside when it has grown past `limit`.
    fn flush(&mut self, limit: u64) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.pending)?;
        self.length += u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.pending.clear();
        self.pending.shrink_to(64 << 10);
        if self.length >= limit {
            std::fs::rename(&self.path, files::set_aside(&self.path))?;
            self.file = open_to_append(&self.path)?;
            self.length = 0;
            self.latest = None;
        }
        Ok(())
    }
}

fn open_to_append(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// The lines of a chunk; an ending newline does not start another one.
fn lines_of(text: &Bytes) -> impl Iterator<Item = Bytes> {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    body.split(|byte| *byte == b'\n').map(|line| text.slice_ref(line))
}
