use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use firelet_types::{Ids, Timestamp};

use super::*;

struct Runtime {
    state: State,
    init: oneshot::Receiver<InitEnd>,
    ids: Ids,
}

impl Runtime {
    fn new() -> Self {
        Self::beginning(Beginning::Init)
    }

    fn beginning(beginning: Beginning) -> Self {
        let (end, init) = oneshot::channel();
        Self { state: State::new(beginning, end), init, ids: Ids::seeded(1) }
    }

    /// A runtime that has polled.
    fn ready() -> (Self, oneshot::Receiver<Invocation>) {
        let mut runtime = Self::new();
        let (poller, polled) = oneshot::channel();
        assert!(runtime.state.next(poller, Instant::now).unwrap().is_none());
        (runtime, polled)
    }

    fn invocation(&self) -> Invocation {
        Invocation {
            request_id: RequestId::new(&self.ids),
            deadline: Timestamp::from_millis(0),
            function_arn: String::new(),
            trace_id: None,
            client_context: None,
            tenant: None,
            payload: Bytes::from_static(b"{}"),
            wants_log_tail: false,
            takes_stream: false,
        }
    }
}

fn crash(reason: ExitReason) -> Crash {
    Crash { process: Process::Runtime, reason, told: None }
}

fn response() -> Completion {
    Completion::Response { content_type: None, payload: Bytes::new() }
}

fn respond(state: &mut State, id: &RequestId) -> Result<(), Refusal> {
    state.complete(&id.to_string(), response(), "InvocationResponse", Instant::now)
}

#[test]
fn what_it_does_can_be_seen_until_it_ends() {
    let mut runtime = Runtime::new();
    assert_eq!(runtime.state.activity(), Some(Activity::Initializing));
    let extension = ExtensionId::new(&runtime.ids);
    runtime.state.register(extension, "x", &["INVOKE".into()]).unwrap();
    let (poller, _polled) = oneshot::channel();
    assert!(runtime.state.next(poller, Instant::now).unwrap().is_none());
    assert_eq!(runtime.state.activity(), Some(Activity::Initializing));
    let (poller, _polled_too) = oneshot::channel();
    assert!(runtime.state.extension_next(extension, poller).unwrap().is_none());
    assert_eq!(runtime.state.activity(), Some(Activity::Idle));
    let invocation = runtime.invocation();
    let _awaited = runtime.state.invoke(invocation.clone()).unwrap();
    assert_eq!(runtime.state.activity(), Some(Activity::Busy));
    respond(&mut runtime.state, &invocation.request_id).unwrap();
    assert_eq!(runtime.state.activity(), Some(Activity::Busy));
    let (poller, _polled) = oneshot::channel();
    assert!(runtime.state.next(poller, Instant::now).unwrap().is_none());
    assert_eq!(runtime.state.activity(), Some(Activity::Busy), "its extension is at work");
    assert!(runtime.state.end(Ending::Unwanted, Instant::now()));
    assert_eq!(runtime.state.activity(), Some(Activity::Ending));
    assert!(runtime.state.ended().is_none());
    assert_eq!(runtime.state.activity(), None);
}

#[test]
fn an_event_goes_in_and_its_answer_comes_out() {
    let (mut runtime, mut polled) = Runtime::ready();
    assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Ready);
    let invocation = runtime.invocation();
    let mut completion = runtime.state.invoke(invocation.clone()).unwrap().completion;
    assert_eq!(polled.try_recv().unwrap().request_id, invocation.request_id);
    respond(&mut runtime.state, &invocation.request_id).unwrap();
    assert_eq!(completion.try_recv().unwrap(), response());
    assert!(!runtime.state.is_ready());
    let (poller, _polled) = oneshot::channel();
    runtime.state.next(poller, Instant::now).unwrap();
    assert!(runtime.state.is_ready());
}

#[test]
fn answers_out_of_turn_are_refused() {
    let (mut runtime, _polled) = Runtime::ready();
    let id = RequestId::new(&runtime.ids);
    let refused = Refusal::Transition { from: "Ready", to: "InvocationResponse" };
    assert_eq!(respond(&mut runtime.state, &id), Err(refused));
    let invocation = runtime.invocation();
    let _completion = runtime.state.invoke(invocation.clone()).unwrap();
    assert_eq!(respond(&mut runtime.state, &id), Err(Refusal::UnknownRequestId));
    let (poller, _other) = oneshot::channel();
    let refused = runtime.state.next(poller, Instant::now).err();
    assert_eq!(refused, Some(Refusal::Transition { from: "Running", to: "Ready" }));
    respond(&mut runtime.state, &invocation.request_id).unwrap();
    let refused = Refusal::Transition { from: "ResponseSent", to: "InvocationResponse" };
    assert_eq!(respond(&mut runtime.state, &invocation.request_id), Err(refused));
}

#[test]
fn pieces_go_to_a_caller_who_takes_them() {
    let (mut runtime, _polled) = Runtime::ready();
    let invocation = Invocation { takes_stream: true, ..runtime.invocation() };
    let mut awaited = runtime.state.invoke(invocation.clone()).unwrap();
    let mut caller = awaited.stream.unwrap();
    assert!(caller.try_recv().is_err());
    let _writer = runtime.state.begin_stream(Some("text/html")).unwrap();
    assert_eq!(caller.try_recv().unwrap().content_type.as_deref(), Some("text/html"));
    assert!(runtime.state.is_streaming());
    assert!(runtime.state.begin_stream(None).is_none());
    assert!(awaited.completion.try_recv().is_err());
    respond(&mut runtime.state, &invocation.request_id).unwrap();
    assert_eq!(awaited.completion.try_recv().unwrap(), response());
    assert!(!runtime.state.is_streaming());
}

#[test]
fn no_other_caller_gets_pieces() {
    let (mut runtime, _polled) = Runtime::ready();
    assert!(runtime.state.begin_stream(None).is_none());
    let invocation = runtime.invocation();
    let awaited = runtime.state.invoke(invocation).unwrap();
    assert!(awaited.stream.is_none());
    assert!(runtime.state.begin_stream(None).is_none());
}

#[test]
fn one_answer_is_read_at_a_time() {
    let (mut runtime, _polled) = Runtime::ready();
    let invocation = runtime.invocation();
    let id = invocation.request_id.to_string();
    let _completion = runtime.state.invoke(invocation).unwrap();
    let begin = |state: &mut State| state.begin_reading(Report::Outcome(&id), "InvocationResponse");
    assert_eq!(begin(&mut runtime.state), Ok(()));
    assert!(begin(&mut runtime.state).is_err());
    runtime.state.end_reading();
    assert_eq!(begin(&mut runtime.state), Ok(()));
}

#[test]
fn an_event_for_a_lost_poll_stays_undelivered() {
    let (mut runtime, polled) = Runtime::ready();
    drop(polled);
    assert!(!runtime.state.is_ready());
    let invocation = runtime.invocation();
    assert_eq!(runtime.state.invoke(invocation).err(), Some(Undelivered));
    let (poller, _polled) = oneshot::channel();
    runtime.state.next(poller, Instant::now).unwrap();
    assert!(runtime.state.is_ready());
}

#[test]
fn the_owner_hears_once_when_the_runtime_is_free() {
    let (mut runtime, _polled) = Runtime::ready();
    let invocation = runtime.invocation();
    let _completion = runtime.state.invoke(invocation.clone()).unwrap();
    respond(&mut runtime.state, &invocation.request_id).unwrap();
    let called = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&called);
    let callback = Box::new(move |news| {
        assert_eq!(news, News::Ready { extensions_since: None });
        seen.store(true, Ordering::SeqCst);
    });
    assert!(runtime.state.when_ready(callback).is_none());
    let (poller, _polled) = oneshot::channel();
    let callback = runtime.state.next(poller, Instant::now).unwrap().unwrap();
    callback.call();
    assert!(called.load(Ordering::SeqCst));
}

#[test]
fn the_end_of_the_process_reaches_whoever_waits() {
    let mut runtime = Runtime::new();
    runtime.state.process_ended(Process::Runtime, ExitReason::Exited(1), Instant::now());
    assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Crashed(crash(ExitReason::Exited(1))));

    let (mut runtime, _polled) = Runtime::ready();
    let invocation = runtime.invocation();
    let mut completion = runtime.state.invoke(invocation).unwrap().completion;
    runtime.state.process_ended(Process::Runtime, ExitReason::Signaled(9), Instant::now());
    assert_eq!(completion.try_recv().unwrap(), Completion::Crashed(crash(ExitReason::Signaled(9))));
    let invocation = runtime.invocation();
    assert_eq!(runtime.state.invoke(invocation).err(), Some(Undelivered));
}

impl Runtime {
    /// A runtime with an extension that hears of invocations.
    fn with_extension() -> (Self, ExtensionId) {
        let mut runtime = Self::new();
        let id = ExtensionId::new(&runtime.ids);
        runtime.state.register(id, "one", &["INVOKE".to_owned()]).unwrap();
        (runtime, id)
    }

    fn next(&mut self) -> (oneshot::Receiver<Invocation>, Option<Due>) {
        let (poller, polled) = oneshot::channel();
        let callback = self.state.next(poller, Instant::now).unwrap();
        (polled, callback)
    }

    fn extension_next(&mut self, id: ExtensionId) -> (oneshot::Receiver<extensions::Event>, Option<Due>) {
        let (poller, polled) = oneshot::channel();
        let callback = self.state.extension_next(id, poller).unwrap();
        (polled, callback)
    }
}

#[test]
fn init_ends_with_the_last_of_runtime_and_extensions() {
    for runtime_is_last in [false, true] {
        let (mut runtime, id) = Runtime::with_extension();
        let _polls = if runtime_is_last {
            let (extension_poll, _) = runtime.extension_next(id);
            assert!(runtime.init.try_recv().is_err() && !runtime.state.is_ready());
            (runtime.next().0, extension_poll)
        } else {
            let (runtime_poll, _) = runtime.next();
            assert!(runtime.init.try_recv().is_err() && !runtime.state.is_ready());
            (runtime_poll, runtime.extension_next(id).0)
        };
        assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Ready);
        assert!(runtime.state.is_ready());
    }
}

#[test]
fn an_environment_is_free_when_its_extensions_are() {
    let (mut runtime, id) = Runtime::with_extension();
    let (_runtime_poll, _) = runtime.next();
    let (mut poll, _) = runtime.extension_next(id);
    let invocation = runtime.invocation();
    let mut completion = runtime.state.invoke(invocation.clone()).unwrap().completion;
    let extensions::Event::Invoke(event) = poll.try_recv().unwrap() else { panic!("not an invocation") };
    assert_eq!(event.request_id, invocation.request_id);
    respond(&mut runtime.state, &invocation.request_id).unwrap();
    // The answer does not wait for the extension.
    assert_eq!(completion.try_recv().unwrap(), response());
    let (_runtime_poll, callback) = runtime.next();
    assert!(callback.is_none() && !runtime.state.is_ready());
    let next = runtime.invocation();
    assert_eq!(runtime.state.invoke(next).err(), Some(Undelivered));
    assert!(runtime.state.when_ready(Box::new(|_| {})).is_none());
    let (_poll, due) = runtime.extension_next(id);
    assert!(matches!(due, Some(Due { news: News::Ready { extensions_since: Some(_) }, .. })));
    assert!(runtime.state.is_ready());
}

#[test]
fn the_first_reason_of_an_end_is_what_its_owner_learns() {
    let (mut runtime, _polled) = Runtime::ready();
    let invocation = runtime.invocation();
    let _completion = runtime.state.invoke(invocation.clone()).unwrap();
    respond(&mut runtime.state, &invocation.request_id).unwrap();
    let now = Instant::now();
    assert!(runtime.state.end(Ending::TimedOut, now));
    assert!(!runtime.state.process_ended(Process::Runtime, ExitReason::Signaled(9), now));
    assert!(runtime.state.when_ready(Box::new(|_| {})).is_none());
    let due = runtime.state.ended();
    assert!(matches!(due, Some(Due { news: News::Ended { why: Ending::TimedOut, .. }, .. })));
}

#[test]
fn only_an_environment_in_which_nothing_runs_begins_anew() {
    let (mut runtime, id) = Runtime::with_extension();
    let begin = |state: &mut State| {
        let (end, init) = oneshot::channel();
        state.begin(end).then_some(init)
    };
    assert!(begin(&mut runtime.state).is_none());
    runtime.state.end(Ending::TimedOut, Instant::now());
    assert!(begin(&mut runtime.state).is_none());
    assert!(runtime.state.ended().is_none());
    let mut init = begin(&mut runtime.state).unwrap();
    let (poller, _) = oneshot::channel();
    assert_eq!(runtime.state.extension_next(id, poller).err(), Some(extensions::Refusal::Unknown));
    let (_poll, _) = runtime.next();
    assert_eq!(init.try_recv().unwrap(), InitEnd::Ready);
}

#[test]
fn what_an_extension_told_of_is_why_the_environment_ended() {
    let (mut runtime, id) = Runtime::with_extension();
    runtime.state.extension_fail_init(id, "Extension.Broken").unwrap();
    runtime.state.process_ended(Process::Runtime, ExitReason::Exited(1), Instant::now());
    let InitEnd::Crashed(crash) = runtime.init.try_recv().unwrap() else { panic!("Init went on") };
    assert_eq!(crash.error_type(), "Extension.InitError");
}

#[test]
fn a_runtime_that_ends_before_its_extensions_are_ready_fails_init() {
    let (mut runtime, _) = Runtime::with_extension();
    let (_poll, _) = runtime.next();
    runtime.state.process_ended(Process::Runtime, ExitReason::Exited(1), Instant::now());
    assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Crashed(crash(ExitReason::Exited(1))));
}

impl Runtime {
    fn restore_next(&mut self) -> Result<oneshot::Receiver<()>, Refusal> {
        let (poller, polled) = oneshot::channel();
        self.state.restore_next(poller, Instant::now())?;
        Ok(polled)
    }

    fn fail_restore(&mut self) -> Result<(), Refusal> {
        self.state.fail_restore("Runtime.AfterRestoreError".into(), Bytes::new(), Instant::now)
    }
}

#[test]
fn a_runtime_that_asks_to_be_restored_waits_until_its_end() {
    let mut runtime = Runtime::beginning(Beginning::Snapshot);
    let mut polled = runtime.restore_next().unwrap();
    assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Ready);
    assert!(runtime.state.waits_for_restore() && !runtime.state.is_ready());
    assert_eq!(runtime.state.activity(), Some(Activity::Initializing));
    let refused = |to| Refusal::Transition { from: "RestoreReady", to };
    assert_eq!(runtime.restore_next().err(), Some(refused("Ready")));
    assert_eq!(runtime.fail_restore(), Err(refused(RESTORE_ERROR)));
    let (poller, _polled) = oneshot::channel();
    assert_eq!(runtime.state.next(poller, Instant::now).err(), Some(refused("Ready")));
    // Whatever it was told now would be a part of its state.
    assert!(runtime.state.end(Ending::Unwanted, Instant::now()));
    assert_eq!(polled.try_recv(), Err(oneshot::error::TryRecvError::Empty));
}

#[test]
fn a_state_is_kept_once_extensions_are_idle_too() {
    let mut runtime = Runtime::beginning(Beginning::Snapshot);
    let id = ExtensionId::new(&runtime.ids);
    runtime.state.register(id, "one", &["INVOKE".to_owned()]).unwrap();
    let _polled = runtime.restore_next().unwrap();
    assert!(runtime.init.try_recv().is_err());
    let (_poll, _) = runtime.extension_next(id);
    assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Ready);
}

#[test]
fn a_restored_runtime_goes_on_at_once_and_is_ready_with_its_next_event() {
    let mut runtime = Runtime::beginning(Beginning::Restore);
    assert_eq!(runtime.restore_next().unwrap().try_recv(), Ok(()));
    assert_eq!(runtime.state.activity(), Some(Activity::Initializing));
    let refused = Refusal::Transition { from: "Restoring", to: "Ready" };
    assert_eq!(runtime.restore_next().err(), Some(refused));
    let late = runtime.state.register(ExtensionId::new(&runtime.ids), "late", &[]);
    assert_eq!(late, Err(extensions::Refusal::RegistrationClosed));
    let (_polled, _) = runtime.next();
    assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Ready);
    assert!(runtime.state.is_ready());
    assert!(runtime.state.since_restored(Instant::now() + Duration::from_secs(1)) >= Duration::from_secs(1));
}

#[test]
fn a_runtime_that_does_not_ask_to_be_restored_is_ready_with_its_first_event() {
    for beginning in [Beginning::Snapshot, Beginning::Restore] {
        let mut runtime = Runtime::beginning(beginning);
        let (_polled, _) = runtime.next();
        assert_eq!(runtime.init.try_recv().unwrap(), InitEnd::Ready);
        assert!(!runtime.state.waits_for_restore());
        assert_eq!(runtime.state.since_restored(Instant::now()), Duration::ZERO);
    }
}

#[test]
fn a_restore_fails_only_once_and_only_after_it_began() {
    let mut runtime = Runtime::beginning(Beginning::Restore);
    let refused = |from| Err(Refusal::Transition { from, to: RESTORE_ERROR });
    assert_eq!(runtime.fail_restore(), refused("Started"));
    let _polled = runtime.restore_next().unwrap();
    let reading = runtime.state.begin_reading(Report::InitError, "InitError");
    assert_eq!(reading, Err(Refusal::Transition { from: "Restoring", to: "InitError" }));
    assert_eq!(runtime.fail_restore(), Ok(()));
    assert!(matches!(runtime.init.try_recv().unwrap(), InitEnd::RestoreError { .. }));
    assert_eq!(runtime.fail_restore(), refused("Exited"));
}

#[test]
fn init_fails_only_once_and_only_during_init() {
    let mut runtime = Runtime::new();
    let fail =
        |state: &mut State| state.fail_init("Runtime.ImportModuleError".into(), Bytes::new(), Instant::now);
    assert_eq!(fail(&mut runtime.state), Ok(()));
    assert!(matches!(runtime.init.try_recv().unwrap(), InitEnd::Error { .. }));
    assert_eq!(fail(&mut runtime.state), Err(Refusal::Transition { from: "Exited", to: "InitError" }));
}
