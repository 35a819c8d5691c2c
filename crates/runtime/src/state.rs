//! What the Runtime and Extensions APIs may do next: the state machine of one execution environment.
//!
//! Synchronous and free of input and output. Each method takes what happened and moves the state; answers to
//! waiting parties leave through one-shot channels that were moved in with the question.
//!
//! The names of the states follow AWS's open Runtime Interface Emulator.

mod beginning;
mod invocation;
mod readiness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use firelet_types::{ExtensionId, RequestId};
use tokio::sync::oneshot;

use crate::environment::Activity;
use crate::extensions::{self, Extensions, Kinds, ShutdownEvent};
use crate::failure::{Crash, ExitReason, Process, Unlaunched};
use crate::platform_log;
use crate::platform_log::event::{RuntimeDone, Status};
use crate::stream::{AnswerStream, Lifeline, Writer, stream};
use crate::timeline::Timeline;

pub(crate) use self::beginning::{Beginning, InitEnd};
pub(crate) use self::invocation::{Awaited, Completion};
pub use self::invocation::{Invocation, Undelivered};
pub use self::readiness::Readiness;
pub(crate) use self::readiness::{Due, Ending, KILLED, News, ReadyCallback};

/// What a runtime reports with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report<'a> {
    /// What came of the invocation of this id.
    Outcome(&'a str),
    /// That it cannot start.
    InitError,
    /// That it cannot go on from its snapshot.
    RestoreError,
}

/// The state that a runtime is in which cannot go on from its snapshot.
pub(crate) const RESTORE_ERROR: &str = "RuntimeRestoreErrorState";

/// Why the Runtime API refuses a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The id in the path is not that of the current invocation.
    UnknownRequestId,
    /// The call does not fit what the runtime is doing.
    Transition { from: &'static str, to: &'static str },
}

/// A runtime's pending `GET /invocation/next`.
pub(crate) type Poller = oneshot::Sender<Invocation>;

/// A runtime's pending `GET /restore/next`.
pub(crate) type RestorePoller = oneshot::Sender<()>;

/// What a runtime asked for that gets no answer any more.
enum Parked {
    Event(#[expect(dead_code, reason = "answers the runtime when it is dropped")] Poller),
    Restore(#[expect(dead_code, reason = "answers the runtime when it is dropped")] RestorePoller),
}

enum Phase {
    /// The runtime has not asked for an event yet.
    Init { end: oneshot::Sender<InitEnd> },
    /// It waits to be restored, which happens elsewhere; extensions may still be at work.
    RestoreReady { poller: RestorePoller, end: Option<oneshot::Sender<InitEnd>> },
    /// It was restored, and has not asked for an event yet.
    Restoring { end: oneshot::Sender<InitEnd> },
    /// The runtime waits for an event; extensions may still be at work.
    Ready { poller: Poller, waiting: Waiting, extensions_since: Option<Instant> },
    /// The function works on an event.
    Running { request_id: RequestId, answer: oneshot::Sender<Completion>, pieces: Pieces },
    /// The runtime answered and has not asked for the next event.
    Answered { ready: Option<ReadyCallback> },
    /// Processes are being ended. What the runtime says no longer counts; its poll stays unanswered.
    Ending { why: Ending, at: Instant, ready: Option<ReadyCallback>, _poller: Option<Parked> },
    /// Nothing runs.
    Ended { why: Ending, at: Instant },
    /// In place of a phase that is being replaced.
    Replaced,
}

/// Whether an answer comes in pieces.
enum Pieces {
    /// The caller takes the answer as a whole.
    Unwanted,
    /// The caller takes them, if there are any.
    Wanted(oneshot::Sender<AnswerStream>),
    /// They are coming.
    Coming(#[expect(dead_code, reason = "ends the stream when it is dropped")] Lifeline),
}

/// Who waits for extensions, when the runtime no longer does.
enum Waiting {
    Nobody,
    /// The Init phase ends with them.
    Init(oneshot::Sender<InitEnd>),
    /// The environment is free with them.
    Owner(ReadyCallback),
}

/// The state of one runtime and of its extensions.
pub(crate) struct State {
    beginning: Beginning,
    phase: Phase,
    /// When the runtime was told that it is restored, if it was.
    restored: Option<Instant>,
    extensions: Extensions,
    /// Whether the body of an answer is being read; one at a time, so that a guest cannot park many in the server.
    is_reading: bool,
    /// That of the current invocation, or the last, until it is told; none where nobody hears of it.
    timeline: Option<Timeline>,
}

impl State {
    /// A runtime that starts; `end` hears how its beginning ends.
    pub(crate) fn new(beginning: Beginning, end: oneshot::Sender<InitEnd>) -> Self {
        Self {
            beginning,
            phase: Phase::Init { end },
            restored: None,
            extensions: Extensions::default(),
            is_reading: false,
            timeline: None,
        }
    }

    /// The runtime asks for an event. A second poll replaces the first, whose connection may be gone.
    ///
    /// `now` is asked for if there are extensions to wait for, or somebody hears of it.
    pub(crate) fn next(&mut self, poller: Poller, now: impl Fn() -> Instant) -> Result<Option<Due>, Refusal> {
        let mut extensions_since = None;
        let waiting = match std::mem::replace(&mut self.phase, Phase::Replaced) {
            Phase::Init { end } | Phase::Restoring { end } => {
                self.extensions.close();
                Waiting::Init(end)
            }
            Phase::Ready { waiting, extensions_since: since, .. } => {
                extensions_since = since;
                waiting
            }
            Phase::Answered { ready } => ready.map_or(Waiting::Nobody, Waiting::Owner),
            phase => {
                self.phase = phase;
                return Err(self.refusal("Ready"));
            }
        };
        if extensions_since.is_none() && !self.extensions.are_idle() {
            extensions_since = Some(now());
        }
        if let Some(timeline) = &mut self.timeline {
            timeline.ready(now());
        }
        self.phase = Phase::Ready { poller, waiting, extensions_since };
        Ok(self.settle())
    }

    /// Whether there are snapshots, so that the runtime may ask to be restored.
    pub(crate) fn has_snapshots(&self) -> bool {
        self.beginning != Beginning::Init
    }

    /// The runtime has done what comes before a snapshot and asks to be restored from it. Where that has been done it goes on
    /// at once, `now`.
    pub(crate) fn restore_next(&mut self, poller: RestorePoller, now: Instant) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.phase, Phase::Replaced) {
            Phase::Init { end } if self.beginning == Beginning::Restore => {
                self.extensions.close();
                self.restored = Some(now);
                self.phase = Phase::Restoring { end };
                // A runtime whose connection is gone asks again, and is refused; its process ends then.
                let _ = poller.send(());
                Ok(())
            }
            Phase::Init { end } if self.beginning == Beginning::Snapshot => {
                self.extensions.close();
                self.phase = Phase::RestoreReady { poller, end: Some(end) };
                self.settle_snapshot();
                Ok(())
            }
            phase => {
                self.phase = phase;
                Err(self.refusal("Ready"))
            }
        }
    }

    /// Tells that the state can be kept, if it can.
    fn settle_snapshot(&mut self) {
        if let Phase::RestoreReady { end, .. } = &mut self.phase
            && self.extensions.are_idle()
            && let Some(end) = end.take()
        {
            // Nobody may wait for it any more.
            let _ = end.send(InitEnd::Ready);
        }
    }

    /// Whether the runtime waits to be restored.
    pub(crate) fn waits_for_restore(&self) -> bool {
        matches!(&self.phase, Phase::RestoreReady { poller, .. } if !poller.is_closed())
    }

    /// How long the runtime has gone on since it was restored; nothing if it did not ask to be.
    pub(crate) fn since_restored(&self, now: Instant) -> Duration {
        self.restored.map_or(Duration::ZERO, |restored| now.saturating_duration_since(restored))
    }

    /// Ends the wait for the environment to be free, if it is.
    fn settle(&mut self) -> Option<Due> {
        self.settle_snapshot();
        let Phase::Ready { waiting, extensions_since, .. } = &mut self.phase else { return None };
        if !self.extensions.are_idle() {
            return None;
        }
        match std::mem::replace(waiting, Waiting::Nobody) {
            Waiting::Nobody => None,
            Waiting::Init(end) => {
                // Nobody may wait for the end of Init any more; the runtime is ready all the same.
                let _ = end.send(InitEnd::Ready);
                None
            }
            Waiting::Owner(callback) => {
                let news = News::Ready { extensions_since: *extensions_since };
                Some(Due { callback, news })
            }
        }
    }

    /// A program of its own is about to be started that has to register as an extension under its `name`.
    pub(crate) fn expect_extension(&mut self, name: &str) -> Result<(), extensions::Refusal> {
        self.extensions.expect(name)
    }

    /// Has `all` told once every program registered that is expected to; at once where that is so.
    pub(crate) fn when_registered(&mut self, all: oneshot::Sender<()>) {
        self.extensions.when_registered(all);
    }

    /// The program of an extension cannot be started.
    pub(crate) fn extension_unlaunched(&mut self, name: &str, error_type: &'static str) {
        self.extensions.unlaunched(name, error_type);
    }

    /// Which kinds of extensions there are.
    pub(crate) fn kinds(&self) -> Kinds {
        self.extensions.kinds()
    }

    /// Tells of the shutdown those who want to hear of it, and gives the names of programs that do not.
    pub(crate) fn shut_down(&mut self, event: ShutdownEvent) -> Vec<Arc<str>> {
        self.extensions.shut_down(event)
    }

    /// An extension registers: the program of that name, or else one inside of the runtime's process.
    pub(crate) fn register(
        &mut self,
        id: ExtensionId,
        name: &str,
        events: &[String],
    ) -> Result<(), extensions::Refusal> {
        self.extensions.register(id, name, events)
    }

    /// An extension asks for its next event.
    pub(crate) fn extension_next(
        &mut self,
        id: ExtensionId,
        poller: extensions::Poller,
    ) -> Result<Option<Due>, extensions::Refusal> {
        self.extensions.next(id, poller)?;
        Ok(self.settle())
    }

    /// An extension says that it cannot start. The Init phase ends with its process, or in time.
    pub(crate) fn extension_fail_init(
        &mut self,
        id: ExtensionId,
        error_type: &str,
    ) -> Result<(), extensions::Refusal> {
        self.extensions.fail_init(id, error_type)
    }

    /// An extension says that it is about to exit, after an error.
    pub(crate) fn extension_fail_exit(
        &mut self,
        id: ExtensionId,
        error_type: &str,
    ) -> Result<(), extensions::Refusal> {
        self.extensions.fail_exit(id, error_type)
    }

    /// The name of an extension.
    pub(crate) fn extension_name(&self, id: ExtensionId) -> Option<&str> {
        self.extensions.name(id)
    }

    /// What the log says of each extension.
    pub(crate) fn extensions(&self) -> Vec<platform_log::event::Extension> {
        self.extensions.statuses()
    }

    /// Hands `invocation` to the runtime that waits for one.
    pub(crate) fn invoke(&mut self, invocation: Invocation) -> Result<Awaited, Undelivered> {
        if !self.is_ready() {
            return Err(Undelivered);
        }
        let Phase::Ready { poller, .. } = std::mem::replace(&mut self.phase, Phase::Answered { ready: None })
        else {
            return Err(Undelivered);
        };
        self.extensions.invoke(&invocation);
        let request_id = invocation.request_id;
        let takes_stream = invocation.takes_stream;
        poller.send(invocation).map_err(|_| Undelivered)?;
        let (answer, completion) = oneshot::channel();
        let (pieces, stream) = if takes_stream {
            let (sender, receiver) = oneshot::channel();
            (Pieces::Wanted(sender), Some(receiver))
        } else {
            (Pieces::Unwanted, None)
        };
        self.phase = Phase::Running { request_id, answer, pieces };
        Ok(Awaited { completion, stream })
    }

    /// Takes down from now on what becomes of the invocation that was just handed over.
    pub(crate) fn measure(&mut self, timeline: Timeline) {
        self.timeline = Some(timeline);
    }

    /// Whether [`State::finish_timeline`] may have something to tell.
    pub(crate) const fn has_timeline(&self) -> bool {
        self.timeline.is_some()
    }

    /// What there is to tell of the runtime's part in the last invocation, once; see [`Timeline::finish`].
    pub(crate) fn finish_timeline(&mut self, status: Status, now: Instant) -> Option<RuntimeDone> {
        Some(self.timeline.take()?.finish(status, now))
    }

    /// The runtime begins to send a response to the current invocation. `now` is asked for if somebody hears of it.
    pub(crate) fn response_begins(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(timeline) = &mut self.timeline {
            timeline.response_begins(now());
        }
    }

    /// The runtime answers the current invocation in pieces, which are `content_type`: gives the way to a caller who takes
    /// them. [`State::complete`] must follow.
    pub(crate) fn begin_stream(&mut self, content_type: Option<&str>) -> Option<Writer> {
        let Phase::Running { pieces, .. } = &mut self.phase else { return None };
        match std::mem::replace(pieces, Pieces::Unwanted) {
            Pieces::Wanted(caller) => {
                let (writer, answer, lifeline) = stream(content_type.map(str::to_owned));
                *pieces = Pieces::Coming(lifeline);
                // The caller may have gone away, and the function works on all the same.
                let _ = caller.send(answer);
                Some(writer)
            }
            other => {
                *pieces = other;
                None
            }
        }
    }

    /// Whether an answer is on its way in pieces.
    pub(crate) fn is_streaming(&self) -> bool {
        matches!(self.phase, Phase::Running { pieces: Pieces::Coming(_), .. })
    }

    /// Begins to read the body of `report`. [`State::end_reading`] must follow.
    pub(crate) fn begin_reading(&mut self, report: Report<'_>, to: &'static str) -> Result<(), Refusal> {
        match (report, &self.phase) {
            (Report::Outcome(request_id), _) => self.expects_answer(request_id, to)?,
            (Report::InitError, Phase::Init { .. }) | (Report::RestoreError, Phase::Restoring { .. }) => {}
            (Report::InitError | Report::RestoreError, _) => return Err(self.refusal(to)),
        }
        if std::mem::replace(&mut self.is_reading, true) {
            return Err(self.refusal(to));
        }
        Ok(())
    }

    /// The body was read, or its connection is gone.
    pub(crate) fn end_reading(&mut self) {
        self.is_reading = false;
    }

    /// Whether an answer for `request_id` may be sent now.
    fn expects_answer(&self, request_id: &str, to: &'static str) -> Result<(), Refusal> {
        match &self.phase {
            Phase::Running { request_id: current, .. } if current.to_string() == request_id => Ok(()),
            Phase::Running { .. } => Err(Refusal::UnknownRequestId),
            _ => Err(self.refusal(to)),
        }
    }

    /// The runtime answered the current invocation. `now` is asked for if somebody hears of it.
    pub(crate) fn complete(
        &mut self,
        request_id: &str,
        completion: Completion,
        to: &'static str,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refusal> {
        self.expects_answer(request_id, to)?;
        if let Some(timeline) = &mut self.timeline {
            timeline.answered(&completion, now());
        }
        let answered = Phase::Answered { ready: None };
        if let Phase::Running { answer, .. } = std::mem::replace(&mut self.phase, answered) {
            // The caller may have given up at the deadline.
            let _ = answer.send(completion);
        }
        Ok(())
    }

    /// The runtime says that it cannot start.
    pub(crate) fn fail_init(
        &mut self,
        error_type: String,
        payload: Bytes,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.phase, Phase::Replaced) {
            Phase::Init { end } => {
                let _ = end.send(InitEnd::Error { error_type, payload });
                let (why, at) = (Ending::Failed, now());
                self.phase = Phase::Ending { why, at, ready: None, _poller: None };
                Ok(())
            }
            phase => {
                self.phase = phase;
                Err(self.refusal("InitError"))
            }
        }
    }

    /// The runtime says that it cannot go on from its snapshot.
    pub(crate) fn fail_restore(
        &mut self,
        error_type: String,
        payload: Bytes,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.phase, Phase::Replaced) {
            Phase::Restoring { end } => {
                let _ = end.send(InitEnd::RestoreError { error_type, payload });
                let (why, at) = (Ending::Failed, now());
                self.phase = Phase::Ending { why, at, ready: None, _poller: None };
                Ok(())
            }
            phase => {
                self.phase = phase;
                Err(self.refusal(RESTORE_ERROR))
            }
        }
    }

    /// A process ended by itself, so that all others have to. Says whether that is news.
    pub(crate) fn process_ended(&mut self, process: Process, reason: ExitReason, now: Instant) -> bool {
        let crash = Crash { process, reason, told: self.extensions.told() };
        self.end_with(Ending::Crashed(crash), InitEnd::Crashed(crash), crash, now)
    }

    /// A program cannot be started, without which the environment is of no use.
    pub(crate) fn launch_failed(&mut self, problem: Unlaunched, why: Ending, now: Instant) {
        self.end_with(why, InitEnd::Unlaunched(problem), KILLED, now);
    }

    /// The environment is to end. Says whether that is news. [`State::ended`] must follow.
    pub(crate) fn end(&mut self, why: Ending, now: Instant) -> bool {
        self.end_with(why, InitEnd::Crashed(KILLED), KILLED, now)
    }

    fn end_with(&mut self, why: Ending, init: InitEnd, crash: Crash, at: Instant) -> bool {
        let (ready, poller) = match std::mem::replace(&mut self.phase, Phase::Replaced) {
            Phase::Init { end } | Phase::Restoring { end } => {
                let _ = end.send(init);
                (None, None)
            }
            Phase::RestoreReady { poller, end } => {
                if let Some(end) = end {
                    let _ = end.send(init);
                }
                (None, Some(Parked::Restore(poller)))
            }
            Phase::Ready { poller, waiting, .. } => match waiting {
                Waiting::Nobody => (None, Some(Parked::Event(poller))),
                Waiting::Init(end) => {
                    let _ = end.send(init);
                    (None, Some(Parked::Event(poller)))
                }
                Waiting::Owner(callback) => (Some(callback), Some(Parked::Event(poller))),
            },
            Phase::Running { answer, .. } => {
                let _ = answer.send(Completion::Crashed(crash));
                (None, None)
            }
            Phase::Answered { ready } => (ready, None),
            // The first reason counts.
            phase @ (Phase::Ending { .. } | Phase::Ended { .. } | Phase::Replaced) => {
                self.phase = phase;
                return false;
            }
        };
        self.phase = Phase::Ending { why, at, ready, _poller: poller };
        true
    }

    /// Why the environment ends; none while it does not.
    pub(crate) const fn ending(&self) -> Option<Ending> {
        match self.phase {
            Phase::Ending { why, .. } | Phase::Ended { why, .. } => Some(why),
            _ => None,
        }
    }

    /// All processes are gone.
    pub(crate) fn ended(&mut self) -> Option<Due> {
        match std::mem::replace(&mut self.phase, Phase::Replaced) {
            Phase::Ending { why, at, ready, .. } => {
                self.phase = Phase::Ended { why, at };
                Some(Due { callback: ready?, news: News::Ended { why, at } })
            }
            phase => {
                self.phase = phase;
                None
            }
        }
    }

    /// Processes are started anew, with nothing known of those before; `end` hears how the Init phase ends. Says whether
    /// that can be: nothing runs, and the environment is still wanted.
    pub(crate) fn begin(&mut self, end: oneshot::Sender<InitEnd>) -> bool {
        let is_possible = matches!(self.phase, Phase::Ended { why, .. } if !matches!(why, Ending::Unwanted));
        if is_possible {
            *self = Self::new(self.beginning, end);
        }
        is_possible
    }

    /// Has `callback` called when the runtime and its extensions ask for their next event, or are gone: through the return
    /// value when that is so already.
    pub(crate) fn when_ready(&mut self, callback: ReadyCallback) -> Option<Due> {
        match &mut self.phase {
            Phase::Ready { poller, waiting, extensions_since } if !poller.is_closed() => {
                if self.extensions.are_idle() {
                    let news = News::Ready { extensions_since: *extensions_since };
                    return Some(Due { callback, news });
                }
                *waiting = Waiting::Owner(callback);
                None
            }
            Phase::Ready { .. } => {
                self.phase = Phase::Answered { ready: Some(callback) };
                None
            }
            Phase::Answered { ready } | Phase::Ending { ready, .. } => {
                *ready = Some(callback);
                None
            }
            Phase::Ended { why, at } => Some(Due { callback, news: News::Ended { why: *why, at: *at } }),
            Phase::Init { .. }
            | Phase::RestoreReady { .. }
            | Phase::Restoring { .. }
            | Phase::Running { .. }
            | Phase::Replaced => None,
        }
    }

    /// Whether the runtime waits for an event, and no extension is at work.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(&self.phase, Phase::Ready { poller, .. } if !poller.is_closed())
            && self.extensions.are_idle()
    }

    /// What the environment is doing; none when it is gone.
    pub(crate) fn activity(&self) -> Option<Activity> {
        match &self.phase {
            Phase::Init { .. }
            | Phase::RestoreReady { .. }
            | Phase::Restoring { .. }
            | Phase::Ready { waiting: Waiting::Init(_), .. } => Some(Activity::Initializing),
            Phase::Ready { .. } if self.is_ready() => Some(Activity::Idle),
            Phase::Ready { .. } | Phase::Running { .. } | Phase::Answered { .. } => Some(Activity::Busy),
            Phase::Ending { .. } => Some(Activity::Ending),
            Phase::Ended { .. } | Phase::Replaced => None,
        }
    }

    fn refusal(&self, to: &'static str) -> Refusal {
        let from = match self.phase {
            Phase::Init { .. } => "Started",
            Phase::RestoreReady { .. } => "RestoreReady",
            Phase::Restoring { .. } => "Restoring",
            Phase::Ready { .. } => "Ready",
            Phase::Running { .. } => "Running",
            Phase::Answered { .. } => "ResponseSent",
            Phase::Ending { .. } | Phase::Ended { .. } | Phase::Replaced => "Exited",
        };
        Refusal::Transition { from, to }
    }
}

#[cfg(test)]
mod tests;
