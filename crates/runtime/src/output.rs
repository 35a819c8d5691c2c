//! What a guest writes to its standard output and error, and the platform's lines between.
//!
//! Bytes arrive through a pipe. Whole lines go to the log, and to those who have subscribed to them; the last 4 KB since an
//! invocation started are kept for `X-Amz-Log-Result`. Memory is bounded: a line that does not end is cut.
//!
//! A short invocation's output is read at its end: to watch the pipe meanwhile would wake the server for every line. The
//! pipe is watched when an invocation takes longer, and when none comes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use firelet_telemetry::LogStream;
use firelet_types::{Clock, limits};
use parking_lot::{Mutex, MutexGuard};
use tokio::net::unix::pipe;
use tokio::sync::Notify;

use crate::application_log::Filter;
use crate::platform_log::Format;
use crate::platform_log::event::{Event, RuntimeDone};
use crate::telemetry::{Stream, Telemetry};

/// Bytes after which a line is cut: the size of one CloudWatch Logs event.
const LINE_BYTES: usize = 256 << 10;
/// Bytes of memory kept for the next line; a longer line's are given back.
const KEPT_BYTES: usize = 32 << 10;
/// Bytes read at once.
const CHUNK_BYTES: usize = 8 << 10;
/// Chunks read at the end of an invocation, a little more than a pipe holds; a guest that writes faster than they
/// are read is not waited for.
const DRAIN_CHUNKS: usize = 160;
/// How long after the last invocation began the pipe is watched again, for what a guest writes in between.
const REST: Duration = Duration::from_millis(100);

/// Where output and the platform's lines go.
pub(crate) struct Destination {
    pub(crate) stream: LogStream,
    pub(crate) clock: Arc<dyn Clock>,
    /// That of the platform's lines.
    pub(crate) format: Format,
    pub(crate) telemetry: Arc<Telemetry>,
    /// What the log leaves out of the output.
    pub(crate) filter: Option<Filter>,
}

/// The output of one environment.
pub(crate) struct Output {
    /// None where no guest ever started.
    pipe: Option<File>,
    /// Whether the pipe shall be watched.
    is_watched: AtomicBool,
    /// Tells the pump to look at `is_watched` again.
    turn: Notify,
    /// How many invocations have begun.
    invocations: AtomicU64,
    collector: Mutex<Collector>,
    stream: LogStream,
    telemetry: Arc<Telemetry>,
    /// Whether the log has all events, as one in JSON has.
    has_events: bool,
}

impl Output {
    /// The output that arrives on `pipe`, a nonblocking read end.
    pub(crate) fn new(pipe: OwnedFd, log: Destination) -> Self {
        Self { pipe: Some(File::from(pipe)), ..Self::without_guest(log) }
    }

    /// The log of a guest that could not be started: the platform's lines only.
    pub(crate) fn without_guest(log: Destination) -> Self {
        let (stream, telemetry) = (log.stream.clone(), Arc::clone(&log.telemetry));
        let has_events = log.format != Format::Text;
        let collector = Collector { log, line: BytesMut::new(), tail: Tail::default() };
        Self {
            pipe: None,
            is_watched: AtomicBool::new(true),
            turn: Notify::new(),
            invocations: AtomicU64::new(0),
            collector: Mutex::new(collector),
            stream,
            telemetry,
            has_events,
        }
    }

    /// Passes output on while the guest lives. A guest that writes faster than the disk takes it waits.
    ///
    /// # Errors
    ///
    /// When the pipe cannot be watched.
    pub(crate) async fn pump(&self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        loop {
            self.rest().await;
            let watched = watched(pipe)?;
            while self.is_watched.load(Ordering::Relaxed) {
                tokio::select! {
                    progress = self.read_when_ready(&watched) => {
                        if progress? == Progress::Closed {
                            return Ok(());
                        }
                    }
                    () = self.turn.notified() => {}
                }
            }
        }
    }

    /// Passes on what a guest that is gone has left in the pipe.
    ///
    /// # Errors
    ///
    /// When the pipe cannot be watched.
    pub(crate) async fn pump_to_end(&self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        let watched = watched(pipe)?;
        while self.read_when_ready(&watched).await? != Progress::Closed {}
        Ok(())
    }

    /// Watches the pipe from now on: the invocation takes longer than most.
    pub(crate) fn watch(&self) {
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            self.turn.notify_one();
        }
    }

    /// Who else hears of it.
    pub(crate) fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// The name of its log stream.
    pub(crate) fn stream_name(&self) -> &str {
        self.stream.name()
    }

    /// Waits until the pipe shall be watched.
    async fn rest(&self) {
        while !self.is_watched.load(Ordering::Relaxed) {
            let invocations = self.invocations.load(Ordering::Relaxed);
            let asked = tokio::time::timeout(REST, self.turn.notified()).await.is_ok();
            if !asked && self.invocations.load(Ordering::Relaxed) == invocations {
                self.is_watched.store(true, Ordering::Relaxed);
            }
        }
    }

    async fn read_when_ready(&self, pipe: &pipe::Receiver) -> io::Result<Progress> {
        pipe.readable().await?;
        self.stream.room().await;
        Ok(self.collector.lock().read(1, |chunk| pipe.try_read(chunk)))
    }

    /// Takes what the guest has written so far; a whole invocation's output is in the pipe before its answer.
    fn read_available(&self) {
        if let Some(mut pipe) = self.pipe.as_ref() {
            self.collector.lock().read(DRAIN_CHUNKS, |chunk| pipe.read(chunk));
        }
    }

    /// Passes on the last line of a guest that is gone, which may lack its end.
    pub(crate) fn finish(&self) {
        self.collector.lock().end_line();
    }

    /// Tells of events that belong to no invocation.
    pub(crate) fn platform(&self, events: &[Event]) {
        self.collector.lock().tell(events);
    }

    /// Starts an invocation: output so far is not its own.
    pub(crate) fn start(&self, event: Event) {
        self.invocations.fetch_add(1, Ordering::Relaxed);
        if self.is_watched.swap(false, Ordering::Relaxed) {
            self.turn.notify_one();
        }
        self.read_available();
        let mut collector = self.collector.lock();
        collector.end_line();
        collector.tail.clear();
        collector.tell(&[event]);
    }

    /// Ends an invocation and gives the last of its log. `events` is called when nobody else tells of any.
    pub(crate) fn end(&self, events: impl FnOnce() -> Vec<Event>) -> Bytes {
        self.after_output(events).tail.bytes()
    }

    /// Tells of the runtime's part in an invocation, unless somebody else has. `event` is called when nobody else tells of any.
    pub(crate) fn runtime_done(&self, event: impl FnOnce() -> Option<RuntimeDone>) {
        drop(self.after_output(|| event().map(Event::RuntimeDone).into_iter().collect()));
    }

    fn after_output(&self, events: impl FnOnce() -> Vec<Event>) -> MutexGuard<'_, Collector> {
        self.read_available();
        let mut collector = self.collector.lock();
        collector.end_line();
        collector.tell(&events());
        collector
    }

    /// Whether anybody hears of the parts of an invocation.
    pub(crate) fn is_heard(&self) -> bool {
        self.has_events || self.telemetry.is_listening()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    More,
    Blocked,
    Closed,
}

struct Collector {
    log: Destination,
    /// The start of a line whose end has not come.
    line: BytesMut,
    tail: Tail,
}

/// The pipe by a second descriptor, with the runtime told of what arrives until it is dropped.
fn watched(pipe: &File) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(pipe.try_clone()?.into())
}

impl Collector {
    /// Reads until there is no more for now, or `chunks` have come.
    fn read(&mut self, chunks: usize, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> Progress {
        let mut chunk = [0; CHUNK_BYTES];
        for _ in 0..chunks {
            match read(&mut chunk) {
                Ok(0) => return Progress::Closed,
                Ok(count) => {
                    self.take(&chunk[..count]);
                    // Less than was asked for is all there was: the call that would say so is saved.
                    if count < CHUNK_BYTES {
                        return Progress::More;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Closed,
            }
        }
        Progress::More
    }

    /// Passes on all whole lines, with the part of one that came before.
    fn take(&mut self, chunk: &[u8]) {
        // What came before holds no line end.
        let checked = self.line.len();
        self.line.extend_from_slice(chunk);
        let last_end = self.line[checked..].iter().rposition(|byte| *byte == b'\n');
        let whole = match last_end {
            Some(position) => checked + position + 1,
            None if self.line.len() >= LINE_BYTES => self.line.len(),
            None => return,
        };
        let lines = Bytes::copy_from_slice(&self.line[..whole]);
        let rest = self.line.len() - whole;
        self.line.copy_within(whole.., 0);
        self.line.truncate(rest);
        if rest == 0 && self.line.capacity() > KEPT_BYTES {
            self.line = BytesMut::new();
        }
        self.pass_on(lines);
    }

    /// Passes on a line that was not ended.
    fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.line.extend_from_slice(b"\n");
            let lines = self.line.split().freeze();
            self.pass_on(lines);
        }
    }

    /// Passes on the guest's output.
    fn pass_on(&mut self, lines: Bytes) {
        let Destination { stream, clock, telemetry, filter, .. } = &self.log;
        let now = clock.now();
        telemetry.lines(now, Stream::Function, &lines);
        let lines = match filter {
            Some(filter) => filter.apply(lines),
            None => lines,
        };
        if !lines.is_empty() {
            self.tail.push(&lines);
            stream.write(now, lines);
        }
    }

    /// Tells of events, as far as the log's format has words for them.
    fn tell(&mut self, events: &[Event]) {
        let Destination { stream, clock, format, telemetry, .. } = &self.log;
        let now = clock.now();
        let mut lines = Vec::new();
        for event in events {
            telemetry.event(now, event);
            format.write(event, now, &mut lines);
        }
        if !lines.is_empty() {
            self.tail.push(&lines);
            stream.write(now, Bytes::from(lines));
        }
    }
}

/// The last 4 KB.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn push(&mut self, text: &[u8]) {
        let text = &text[text.len().saturating_sub(limits::LOG_TAIL_BYTES)..];
        let kept = limits::LOG_TAIL_BYTES - text.len();
        self.0.drain(..self.0.len().saturating_sub(kept));
        self.0.extend_from_slice(text);
    }

    fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_bytes() {
        let mut tail = Tail::default();
        tail.push(&[b'a'; 4_000]);
        tail.push(&[b'b'; 200]);
        assert_eq!(tail.0.len(), limits::LOG_TAIL_BYTES);
        assert_eq!(tail.0.iter().filter(|byte| **byte == b'b').count(), 200);
        tail.push(&[b'c'; 10_000]);
        assert!(tail.0.len() == limits::LOG_TAIL_BYTES && tail.0.iter().all(|byte| *byte == b'c'));
    }
}
