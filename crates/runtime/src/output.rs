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
    /// An output where nothing arrives yet: the platform's lines only.
    pub(crate) fn new(log: Destination) -> Self {
        let (stream, telemetry) = (log.stream.clone(), Arc::clone(&log.telemetry));
        let has_events = log.format != Format::Text;
        let collector = Collector { pipe: None, log, line: Line::default(), tail: Tail::default() };
        Self {
            is_watched: AtomicBool::new(true),
            turn: Notify::new(),
            invocations: AtomicU64::new(0),
            collector: Mutex::new(collector),
            stream,
            telemetry,
            has_events,
        }
    }

    /// The runtime's output arrives on `pipe` from now on, a nonblocking read end.
    pub(crate) fn attach(&self, pipe: OwnedFd) {
        self.collector.lock().pipe = Some(File::from(pipe));
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// The pipe by a second descriptor, with the server told of what arrives until it is dropped; none where no runtime was
    /// started.
    fn watched(&self) -> io::Result<Option<pipe::Receiver>> {
        let pipe = match &self.collector.lock().pipe {
            Some(pipe) => pipe.try_clone()?,
            None => return Ok(None),
        };
        pipe::Receiver::from_owned_fd(pipe.into()).map(Some)
    }

    /// Passes output on while the guest lives. A guest that writes faster than the disk takes it waits.
    ///
    /// # Errors
    ///
    /// When the pipe cannot be watched.
    pub(crate) async fn pump(&self) -> io::Result<()> {
        loop {
            self.rest().await;
            let Some(watched) = self.watched()? else { return Ok(()) };
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
        let Some(watched) = self.watched()? else { return Ok(()) };
        while self.read_when_ready(&watched).await? != Progress::Closed {}
        Ok(())
    }

    /// Passes on what the program of an extension writes to `pipe`, a nonblocking read end, until nobody has its other end.
    ///
    /// # Errors
    ///
    /// When the pipe cannot be watched or read.
    pub(crate) async fn pump_extension(&self, pipe: OwnedFd) -> io::Result<()> {
        let pipe = pipe::Receiver::from_owned_fd(pipe)?;
        let mut line = Line::default();
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            pipe.readable().await?;
            self.stream.room().await;
            let lines = match pipe.try_read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => line.take(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(error) => return Err(error),
            };
            if let Some(lines) = lines {
                self.collector.lock().pass_on(Stream::Extension, lines);
            }
        }
        if let Some(lines) = line.end() {
            self.collector.lock().pass_on(Stream::Extension, lines);
        }
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
        let mut collector = self.collector.lock();
        if let Some(mut pipe) = collector.pipe.take() {
            collector.read(DRAIN_CHUNKS, |chunk| pipe.read(chunk));
            collector.pipe = Some(pipe);
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
    /// None where no runtime was started.
    pipe: Option<File>,
    log: Destination,
    line: Line,
    tail: Tail,
}

/// The start of a line whose end has not come.
#[derive(Default)]
struct Line(BytesMut);

impl Line {
    /// All whole lines that `chunk` ends, with the part of one that came before.
    fn take(&mut self, chunk: &[u8]) -> Option<Bytes> {
        let Self(line) = self;
        // What came before holds no line end.
        let checked = line.len();
        line.extend_from_slice(chunk);
        let last_end = line[checked..].iter().rposition(|byte| *byte == b'\n');
        let whole = match last_end {
            Some(position) => checked + position + 1,
            None if line.len() >= LINE_BYTES => line.len(),
            None => return None,
        };
        let lines = Bytes::copy_from_slice(&line[..whole]);
        let rest = line.len() - whole;
        line.copy_within(whole.., 0);
        line.truncate(rest);
        if rest == 0 && line.capacity() > KEPT_BYTES {
            *line = BytesMut::new();
        }
        Some(lines)
    }

    /// A line that was not ended.
    fn end(&mut self) -> Option<Bytes> {
        if self.0.is_empty() {
            return None;
        }
        self.0.extend_from_slice(b"\n");
        Some(self.0.split().freeze())
    }
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

    fn take(&mut self, chunk: &[u8]) {
        if let Some(lines) = self.line.take(chunk) {
            self.pass_on(Stream::Function, lines);
        }
    }

    /// Passes on a line that was not ended.
    fn end_line(&mut self) {
        if let Some(lines) = self.line.end() {
            self.pass_on(Stream::Function, lines);
        }
    }

    /// Passes on what a guest wrote.
    fn pass_on(&mut self, from: Stream, lines: Bytes) {
        let Destination { stream, clock, telemetry, filter, .. } = &self.log;
        let now = clock.now();
        telemetry.lines(now, from, &lines);
        // The level is that of the function's own lines.
        let lines = match filter {
            Some(filter) if from == Stream::Function => filter.apply(lines),
            _ => lines,
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
