//! When the parts of an invocation began and ended, for what is told of the runtime's part in it.
//!
//! Knows no clock. Kept only where somebody hears of it. Spans as in AWS's open Runtime Interface Emulator
//! (`lambda/telemetry`): for an answer that was sent as a response, not for one sent as an error.

use std::time::Instant;

use firelet_types::{RequestId, Timestamp};

use crate::platform_log::event::{RuntimeDone, Span, Status, Tracing};
use crate::state::Completion;

/// One invocation, from the moment in which the runtime gets it until it asks for the next.
#[derive(Debug)]
pub(crate) struct Timeline {
    request: RequestId,
    tracing: Option<Tracing>,
    /// The time of day at `started`.
    began: Timestamp,
    started: Instant,
    /// When the runtime began to send a response.
    response: Option<Instant>,
    /// When the answer was there as a whole.
    answered: Option<Instant>,
    /// When the runtime asked for the next event.
    ready: Option<Instant>,
    status: Status,
    produced_bytes: u64,
}

impl Timeline {
    pub(crate) const fn new(
        request: RequestId,
        tracing: Option<Tracing>,
        started: Instant,
        began: Timestamp,
    ) -> Self {
        Self {
            request,
            tracing,
            began,
            started,
            response: None,
            answered: None,
            ready: None,
            status: Status::Success,
            produced_bytes: 0,
        }
    }

    pub(crate) const fn response_begins(&mut self, now: Instant) {
        self.response = Some(now);
    }

    pub(crate) fn answered(&mut self, completion: &Completion, now: Instant) {
        self.answered = Some(now);
        match completion {
            Completion::Response { payload, .. } => self.produced_bytes = payload.len() as u64,
            Completion::Streamed { produced_bytes } => self.produced_bytes = *produced_bytes,
            Completion::Failed(failure) => self.status = Status::Error(failure.error_type.clone()),
            Completion::Error { .. } | Completion::Crashed(_) => {}
        }
    }

    pub(crate) const fn ready(&mut self, now: Instant) {
        self.ready = Some(now);
    }

    /// What there is to tell by `now`. A runtime that has not asked for its next event ends with `status`.
    pub(crate) fn finish(self, status: Status, now: Instant) -> RuntimeDone {
        let spans = self.spans();
        let duration = self.ready.unwrap_or(now).saturating_duration_since(self.started);
        let status = if self.ready.is_some() { self.status } else { status };
        let Self { request, tracing, produced_bytes, .. } = self;
        RuntimeDone { request, status, duration, produced_bytes, spans, tracing }
    }

    fn spans(&self) -> Vec<Span> {
        let (Some(response), Some(answered)) = (self.response, self.answered) else { return Vec::new() };
        let span = |name, from: Instant, to: Instant| {
            let start = self.began.plus(from.saturating_duration_since(self.started));
            Span { name, start, duration: to.saturating_duration_since(from) }
        };
        let mut spans = vec![
            span("responseLatency", self.started, response),
            span("responseDuration", response, answered),
        ];
        spans.extend(self.ready.map(|ready| span("runtimeOverhead", answered, ready)));
        spans
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::failure::Failure;

    const BEGAN: Timestamp = Timestamp::from_millis(1_000);

    fn timeline(started: Instant) -> Timeline {
        let request = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        Timeline::new(request, None, started, BEGAN)
    }

    fn after(started: Instant, milliseconds: u64) -> Instant {
        started + Duration::from_millis(milliseconds)
    }

    /// Names, starts and lengths in milliseconds.
    fn spans(done: &RuntimeDone) -> Vec<(&str, i64, u128)> {
        done.spans.iter().map(|span| (span.name, span.start.as_millis(), span.duration.as_millis())).collect()
    }

    #[test]
    fn an_answer_has_its_spans() {
        let started = Instant::now();
        let mut timeline = timeline(started);
        timeline.response_begins(after(started, 20));
        let payload = Bytes::from_static(b"1234");
        timeline.answered(&Completion::Response { content_type: None, payload }, after(started, 25));
        timeline.ready(after(started, 35));
        let done = timeline.finish(Status::Timeout, after(started, 99));
        assert_eq!((done.duration.as_millis(), done.produced_bytes), (35, 4));
        assert_eq!(done.status, Status::Success);
        let expected =
            [("responseLatency", 1_000, 20), ("responseDuration", 1_020, 5), ("runtimeOverhead", 1_025, 10)];
        assert_eq!(spans(&done), expected);
    }

    #[test]
    fn an_error_has_no_spans() {
        let started = Instant::now();
        let mut timeline = timeline(started);
        let error = Completion::Error { error_type: String::new(), payload: Bytes::new() };
        timeline.answered(&error, after(started, 25));
        timeline.ready(after(started, 35));
        let done = timeline.finish(Status::Success, after(started, 99));
        assert_eq!((spans(&done), done.produced_bytes), (Vec::new(), 0));
    }

    #[test]
    fn a_runtime_that_never_gets_there_ends_with_its_invocation() {
        let started = Instant::now();
        let done = timeline(started).finish(Status::Timeout, after(started, 99));
        assert_eq!((done.duration.as_millis(), done.status), (99, Status::Timeout));
        let mut refused = timeline(started);
        refused.answered(&Completion::Failed(Failure::response_too_large()), after(started, 1));
        refused.ready(after(started, 2));
        let done = refused.finish(Status::Success, after(started, 99));
        assert_eq!(done.status, Status::Error("Function.ResponseSizeTooLarge".into()));
    }
}
