//! What a guest writes to its standard output and error, and the platform's lines between.
//!
//! Bytes arrive through a pipe. Whole lines go to the log; the last 4 KB since an invocation started are kept for
//! `X-Amz-Log-Result`. Memory is bounded: a line that does not end is cut.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use firelet_telemetry::LogStream;
use firelet_types::{Clock, limits};
use parking_lot::Mutex;
use tokio::net::unix::pipe;

/// Bytes after which a line is cut: the size of one CloudWatch Logs event.
const LINE_BYTES: usize = 256 << 10;
/// Bytes of memory kept for the next line; a longer line's are given back.
const KEPT_BYTES: usize = 32 << 10;
/// Bytes read at once.
const CHUNK_BYTES: usize = 8 << 10;
/// Chunks read at the end of an invocation, a little more than a pipe holds; a guest that writes faster than they
/// are read is not waited for.
const DRAIN_CHUNKS: usize = 160;

/// The output of one environment.
pub(crate) struct Output {
    /// None where no guest ever started.
    pipe: Option<pipe::Receiver>,
    collector: Mutex<Collector>,
    stream: LogStream,
}

impl Output {
    /// The output that arrives on `pipe`, a nonblocking read end.
    pub(crate) fn new(pipe: OwnedFd, stream: LogStream, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let pipe = pipe::Receiver::from_owned_fd(pipe)?;
        Ok(Self { pipe: Some(pipe), ..Self::without_guest(stream, clock) })
    }

    /// The log of a guest that could not be started: the platform's lines only.
    pub(crate) fn without_guest(stream: LogStream, clock: Arc<dyn Clock>) -> Self {
        let collector =
            Collector { stream: stream.clone(), clock, line: BytesMut::new(), tail: Tail::default() };
        Self { pipe: None, collector: Mutex::new(collector), stream }
    }

    /// Passes output on until the guest has closed its end. A guest that writes faster than the disk takes it waits.
    pub(crate) async fn pump(&self) {
        let Some(pipe) = &self.pipe else { return };
        while pipe.readable().await.is_ok() {
            self.stream.room().await;
            if self.read_available(1) == Progress::Closed {
                return;
            }
        }
    }

    /// Takes what the guest has written so far; a whole invocation's output is in the pipe before its answer.
    fn read_available(&self, chunks: usize) -> Progress {
        let Some(pipe) = &self.pipe else { return Progress::Closed };
        let mut collector = self.collector.lock();
        for _ in 0..chunks {
            let before = collector.line.len();
            collector.line.reserve(CHUNK_BYTES);
            match pipe.try_read_buf(&mut collector.line) {
                Ok(0) => return Progress::Closed,
                Ok(_) => collector.take_lines(before),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Blocked,
                Err(_) => return Progress::Closed,
            }
        }
        Progress::More
    }

    /// Passes on the last line of a guest that is gone, which may lack its end.
    pub(crate) fn finish(&self) {
        self.collector.lock().end_line();
    }

    /// Writes a line of the platform that belongs to no invocation.
    pub(crate) fn platform(&self, line: String) {
        self.collector.lock().write(Bytes::from(line));
    }

    /// Starts an invocation: output so far is not its own.
    pub(crate) fn start(&self, line: String) {
        self.read_available(DRAIN_CHUNKS);
        let mut collector = self.collector.lock();
        collector.end_line();
        collector.tail.clear();
        collector.write(Bytes::from(line));
    }

    /// Ends an invocation and gives the last of its log.
    pub(crate) fn end(&self, lines: String) -> Bytes {
        self.read_available(DRAIN_CHUNKS);
        let mut collector = self.collector.lock();
        collector.end_line();
        collector.write(Bytes::from(lines));
        collector.tail.bytes()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    More,
    Blocked,
    Closed,
}

struct Collector {
    stream: LogStream,
    clock: Arc<dyn Clock>,
    /// The start of a line whose end has not come.
    line: BytesMut,
    tail: Tail,
}

impl Collector {
    /// Passes on all whole lines; what lies before `checked` holds no line end.
    fn take_lines(&mut self, checked: usize) {
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
        self.write(lines);
    }

    /// Passes on a line that was not ended.
    fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.line.extend_from_slice(b"\n");
            let lines = self.line.split().freeze();
            self.write(lines);
        }
    }

    fn write(&mut self, lines: Bytes) {
        self.tail.push(&lines);
        self.stream.write(self.clock.now(), lines);
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
