//! What a caller who takes a function's answer in pieces reads: the pieces, then how the invocation ended.
//!
//! Does not know how pieces look on the wire. An answer that came as a whole is cut into pieces.

use bytes::Bytes;
use firelet_pool::{AnswerStream, Outcome};
use tokio::sync::oneshot;

/// Bytes of a piece of an answer that came as a whole.
const PIECE_BYTES: usize = 128 << 10;

/// What the function answers, while it may still write.
#[derive(Debug)]
pub struct StreamedResponse {
    /// `$LATEST` or the number of the version that runs.
    pub executed_version: String,
    /// The trace header that the function was given.
    pub trace_id: String,
    pub(crate) way: Way,
}

/// One part of a streamed response.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some of the result.
    Payload(Bytes),
    /// How the invocation ended; nothing comes after it.
    End(StreamEnd),
}

/// How an invocation ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamEnd {
    /// Why the result is none, or not complete.
    pub error: Option<StreamError>,
    /// The end of the invocation's log, if the caller wanted it.
    pub log_tail: Option<Bytes>,
}

/// Why a result is none, or not complete.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamError {
    /// `Unhandled`, as for other callers, when nothing of the result came; otherwise the type of the error.
    pub code: String,
    /// The description of the error, if there is one.
    pub details: Option<Bytes>,
}

/// How the answer comes.
#[derive(Debug)]
pub(crate) enum Way {
    Whole { content_type: Option<String>, payload: Bytes, end: Option<StreamEnd> },
    Pieces { stream: AnswerStream, end: Option<oneshot::Receiver<Outcome>> },
}

impl StreamedResponse {
    /// What the runtime says that the result is.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        match &self.way {
            Way::Whole { content_type, .. } => content_type.as_deref(),
            Way::Pieces { stream, .. } => stream.content_type.as_deref(),
        }
    }

    /// What comes next; none after the end.
    pub async fn next(&mut self) -> Option<Piece> {
        match &mut self.way {
            Way::Whole { payload, .. } if !payload.is_empty() => {
                Some(Piece::Payload(payload.split_to(payload.len().min(PIECE_BYTES))))
            }
            Way::Whole { end, .. } => end.take().map(Piece::End),
            Way::Pieces { stream, end } => match stream.next().await {
                Some(payload) => Some(Piece::Payload(payload)),
                None => Some(Piece::End(end_of_pieces(end.take()?.await.ok()))),
            },
        }
    }
}

impl Way {
    pub(crate) fn whole(outcome: Outcome, wants_log_tail: bool) -> Self {
        let log_tail = outcome.log_tail.filter(|_| wants_log_tail);
        if outcome.error_type.is_none() {
            let end = Some(StreamEnd { error: None, log_tail });
            return Self::Whole { content_type: outcome.content_type, payload: outcome.payload, end };
        }
        let error = Some(StreamError { code: "Unhandled".to_owned(), details: details(outcome.payload) });
        let end = Some(StreamEnd { error, log_tail });
        Self::Whole { content_type: None, payload: Bytes::new(), end }
    }

    pub(crate) fn pieces(stream: AnswerStream, end: oneshot::Receiver<Outcome>) -> Self {
        Self::Pieces { stream, end: Some(end) }
    }
}

/// The code is what AWS's open emulator sends in the trailer for the error type; without an outcome, the server is
/// shutting down.
fn end_of_pieces(outcome: Option<Outcome>) -> StreamEnd {
    let Some(outcome) = outcome else {
        let error = StreamError { code: "Sandbox.Failure".to_owned(), details: None };
        return StreamEnd { error: Some(error), log_tail: None };
    };
    let Outcome { error_type, payload, log_tail, .. } = outcome;
    StreamEnd { error: error_type.map(|code| StreamError { code, details: details(payload) }), log_tail }
}

fn details(payload: Bytes) -> Option<Bytes> {
    Some(payload).filter(|payload| !payload.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcome(payload: impl Into<Bytes>, error_type: Option<&str>) -> Outcome {
        Outcome {
            payload: payload.into(),
            content_type: Some("text/plain".to_owned()),
            error_type: error_type.map(str::to_owned),
            log_tail: Some(Bytes::from_static(b"log")),
            duration: Duration::ZERO,
        }
    }

    /// The sizes of the payloads, and the end, of an answer that came as a whole.
    async fn check(outcome: Outcome, wants_log_tail: bool, sizes: &[usize], end: StreamEnd) {
        let way = Way::whole(outcome, wants_log_tail);
        let mut response = StreamedResponse { executed_version: String::new(), trace_id: String::new(), way };
        for size in sizes {
            let piece = response.next().await;
            assert!(matches!(&piece, Some(Piece::Payload(payload)) if payload.len() == *size), "{piece:?}");
        }
        assert_eq!(response.next().await, Some(Piece::End(end)));
        assert_eq!(response.next().await, None);
    }

    #[tokio::test]
    async fn a_whole_answer_comes_in_pieces() {
        let log_tail = || Some(Bytes::from_static(b"log"));
        check(outcome("{}", None), true, &[2], StreamEnd { error: None, log_tail: log_tail() }).await;
        check(outcome("", None), false, &[], StreamEnd::default()).await;
        let large = outcome(vec![b'x'; PIECE_BYTES + 1], None);
        check(large, false, &[PIECE_BYTES, 1], StreamEnd::default()).await;
        let error = StreamError { code: "Unhandled".to_owned(), details: Some(Bytes::from_static(b"why")) };
        let end = StreamEnd { error: Some(error), log_tail: log_tail() };
        check(outcome("why", Some("ValueError")), true, &[], end).await;
    }

    #[test]
    fn errors_after_the_first_piece_have_their_own_code() {
        let error = |outcome| end_of_pieces(outcome).error.map(|error| (error.code, error.details));
        let coded =
            |code: &str, details: Option<&'static str>| Some((code.to_owned(), details.map(Bytes::from)));
        assert_eq!(error(Some(outcome("", None))), None);
        assert_eq!(error(Some(outcome("why", Some("TypeError")))), coded("TypeError", Some("why")));
        let code = "Runtime.TruncatedResponse";
        assert_eq!(error(Some(outcome("", Some(code)))), coded(code, None));
        assert_eq!(error(None), coded("Sandbox.Failure", None));
    }
}
