//! An answer that comes in pieces, on its way from the guest to a caller.
//!
//! Keeps two pieces and no more: while a caller does not read, the guest waits; when the caller is gone, what comes is thrown
//! away. Knows no HTTP, and does not know how the answer ends: that is the invocation's outcome.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

/// Pieces between guest and caller. One is what the Runtime API reads at a time.
const PIECES: usize = 2;

/// The caller's end of an answer that comes in pieces.
#[derive(Debug)]
pub struct AnswerStream {
    /// What the runtime says that the answer is.
    pub content_type: Option<String>,
    pieces: mpsc::Receiver<Bytes>,
}

impl AnswerStream {
    /// The next piece; none after the last. Loses nothing when it is dropped while it waits.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }
}

/// The guest's end.
pub(crate) struct Writer {
    pieces: mpsc::Sender<Bytes>,
    over: watch::Receiver<()>,
}

/// What keeps an answer going; without it the invocation is over, whoever still reads or writes.
#[derive(Debug)]
pub(crate) struct Lifeline {
    /// Nothing is ever sent.
    _over: watch::Sender<()>,
}

/// The invocation is over, so that nobody waits for the rest of its answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over;

/// Both ends of an answer that is `content_type`.
pub(crate) fn stream(content_type: Option<String>) -> (Writer, AnswerStream, Lifeline) {
    let (sender, pieces) = mpsc::channel(PIECES);
    let (over_sender, over) = watch::channel(());
    let writer = Writer { pieces: sender, over };
    (writer, AnswerStream { content_type, pieces }, Lifeline { _over: over_sender })
}

impl Writer {
    /// Passes a piece on, as soon as there is room for it.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<(), Over> {
        tokio::select! {
            biased;
            _ = self.over.changed() => Err(Over),
            // A caller that is gone takes no more, and the function works on all the same.
            _ = self.pieces.send(piece) => Ok(()),
        }
    }

    /// What comes of `work`, unless the invocation is over before.
    pub(crate) async fn unless_over<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Over> {
        tokio::select! {
            biased;
            _ = self.over.changed() => Err(Over),
            done = work => Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const PIECE: Bytes = Bytes::from_static(b"piece");

    #[tokio::test]
    async fn a_caller_that_does_not_read_has_the_guest_wait() {
        let (mut writer, mut stream, _lifeline) = stream(None);
        for _ in 0..PIECES {
            assert_eq!(writer.write(PIECE).await, Ok(()));
        }
        let mut more = pin!(writer.write(PIECE));
        let waits = tokio::select! {
            biased;
            _ = &mut more => false,
            () = std::future::ready(()) => true,
        };
        assert!(waits);
        assert_eq!(stream.next().await, Some(PIECE));
        assert_eq!(more.await, Ok(()));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_caller_that_is_gone() {
        let (mut writer, stream, _lifeline) = stream(None);
        drop(stream);
        for _ in 0..=PIECES {
            assert_eq!(writer.write(PIECE).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn the_end_of_the_invocation_frees_the_guest() {
        let (mut writer, mut stream, lifeline) = stream(Some("text/plain".to_owned()));
        assert_eq!(writer.write(PIECE).await, Ok(()));
        drop(lifeline);
        assert_eq!(writer.write(PIECE).await, Err(Over));
        assert_eq!(writer.unless_over(std::future::pending::<()>()).await, Err(Over));
        drop(writer);
        assert_eq!((stream.next().await, stream.next().await), (Some(PIECE), None));
        assert_eq!(stream.content_type.as_deref(), Some("text/plain"));
    }
}
