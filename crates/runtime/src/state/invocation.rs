//! One invocation, as an environment hears of it, and what comes of it.

use bytes::Bytes;
use firelet_types::{RequestId, TenantId, Timestamp};
use tokio::sync::oneshot;

use crate::failure::{Crash, Failure};
use crate::stream::AnswerStream;

/// One event on its way to the function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The id that the caller and the function see.
    pub request_id: RequestId,
    /// When the function's time is over.
    pub deadline: Timestamp,
    /// The ARN that the caller used.
    pub function_arn: String,
    /// The value of `X-Amzn-Trace-Id`.
    pub trace_id: Option<String>,
    /// The client context as JSON.
    pub client_context: Option<String>,
    /// Whom the function works for, if it is kept apart for each tenant.
    pub tenant: Option<TenantId>,
    /// The event.
    pub payload: Bytes,
    /// Whether the caller waits for the end of the log.
    pub wants_log_tail: bool,
    /// Whether the caller takes the answer in pieces, if the runtime gives it so.
    pub takes_stream: bool,
}

/// How the runtime answered, or why it cannot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// The function's result.
    Response { content_type: Option<String>, payload: Bytes },
    /// All of the function's result has come in pieces.
    Streamed { produced_bytes: u64 },
    /// The function's error, as the runtime described it.
    Error { error_type: String, payload: Bytes },
    /// The result is none, for a reason that is the runtime's: it is too large, or broke off.
    Failed(Failure),
    /// The environment ended before the runtime answered.
    Crashed(Crash),
}

/// How an invocation is heard of.
#[derive(Debug)]
pub(crate) struct Awaited {
    /// How the runtime answers, or why it cannot.
    pub(crate) completion: oneshot::Receiver<Completion>,
    /// Before that: the answer itself, if it comes in pieces and the caller takes them.
    pub(crate) stream: Option<oneshot::Receiver<AnswerStream>>,
}

/// An invocation that never reached the function, so that another environment may take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the execution environment did not take the invocation")]
pub struct Undelivered;
