//! What the platform tells of one environment: to its log, and to those who have subscribed to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use firelet_types::{Clock, RequestId, Timestamp};

use super::{Function, InitPhase, InitializationType};
use crate::catalogue::Interpreter;
use crate::output::Output;
use crate::platform_log::event::{
    Event, Extension, InitDone, InitStart, Instance, Report, Restore, RuntimeDone, Span, Start, Status,
    Tracing,
};
use crate::state::Ending;
use crate::timeline::Timeline;

/// The log of one environment, and what its reports say besides.
pub(super) struct Log {
    pub(super) output: Arc<Output>,
    clock: Arc<dyn Clock>,
    initialization: InitializationType,
    instance: Instance,
    memory_megabytes: u32,
    pub(super) timeout: Duration,
}

/// What END and REPORT are to say of an invocation.
pub(super) struct Finished {
    pub(super) request: RequestId,
    pub(super) started: Instant,
    /// How long extensions worked after the runtime asked for its next event.
    pub(super) extensions: Option<Duration>,
    /// Until the environment was free.
    pub(super) total: Duration,
    pub(super) init: Option<Duration>,
    pub(super) restore: Option<Restore>,
    pub(super) status: Status,
    /// How it is traced, where somebody hears of it.
    pub(super) tracing: Option<Tracing>,
}

impl Finished {
    /// An invocation that was answered `duration` after it began.
    pub(super) const fn new(
        request: RequestId,
        started: Instant,
        duration: Duration,
        status: Status,
    ) -> Self {
        Self {
            request,
            started,
            extensions: None,
            total: duration,
            init: None,
            restore: None,
            status,
            tracing: None,
        }
    }

    /// The environment came to its end after the answer. An invocation that had failed before keeps its own reason.
    pub(super) fn end(&mut self, why: Ending, at: Instant) {
        let status = match why {
            Ending::Unwanted | Ending::Failed => return,
            Ending::TimedOut => Status::Timeout,
            Ending::Crashed(crash) => Status::Error(crash.error_type().to_owned()),
        };
        if self.status == Status::Success {
            self.total = at.saturating_duration_since(self.started);
            self.status = status;
        }
    }
}

impl Log {
    pub(super) fn new(output: Output, clock: Arc<dyn Clock>, function: &Function) -> Self {
        let Interpreter { runtime, version, .. } = &*function.interpreter;
        let arn = firelet_types::runtime_version_arn(&function.scope.region, runtime);
        let instance = Instance {
            function: function.name.as_str().into(),
            version: function.version.as_str().into(),
            runtime_version: version.as_str().into(),
            runtime_version_arn: arn.into(),
            id: output.stream_name().into(),
            memory_bytes: u64::from(function.memory_megabytes) << 20,
        };
        Self {
            output: Arc::new(output),
            clock,
            initialization: function.initialization,
            instance,
            memory_megabytes: function.memory_megabytes,
            timeout: function.timeout,
        }
    }

    pub(super) fn init_start(&self, phase: InitPhase) {
        let initialization = self.initialization;
        let start = InitStart { initialization, phase: phase.name(), instance: self.instance.clone() };
        self.output.platform(&[Event::InitStart(start)]);
    }

    pub(super) fn start(&self, request: RequestId, tracing: Option<Tracing>) {
        let start = Start { request, version: Arc::clone(&self.instance.version), tracing };
        self.output.start(Event::Start(start));
    }

    /// Tells of an Init phase that succeeded, and how far extensions came.
    pub(super) fn init_done(&self, duration: Duration, phase: InitPhase, extensions: Vec<Extension>) {
        let events = || self.init_end(duration, phase, Status::Success, extensions);
        match self.initialization {
            // With what the function has written until then before it: this is the last that is told of it.
            InitializationType::SnapStart => drop(self.output.end(events)),
            InitializationType::OnDemand | InitializationType::ProvisionedConcurrency => {
                self.output.platform(&events());
            }
        }
    }

    /// Says why environments of this version run Init anew in place of starting from its snapshot.
    pub(super) fn tell_operator_of_repeated_init(&self, reason: &str) {
        let Instance { function, version, .. } = &self.instance;
        tracing::warn!(%function, %version, reason, "the state of a function cannot be kept; Init is run with each restore");
    }

    pub(super) fn restore_start(&self) {
        self.output.platform(&[Event::RestoreStart(self.instance.clone())]);
    }

    /// Tells of a Restore phase that is over.
    pub(super) fn restore_end(&self, duration: Duration, status: Status) {
        self.output.end(|| {
            vec![Event::RestoreRuntimeDone(status.clone()), Event::RestoreReport { status, duration }]
        });
    }

    /// Tells of an Init phase that failed, after which there is nothing more to read.
    pub(super) fn init_failed(
        &self,
        duration: Duration,
        phase: InitPhase,
        status: Status,
        extensions: Vec<Extension>,
    ) {
        self.output.end(|| self.init_end(duration, phase, status, extensions));
    }

    /// In the order of AWS's open emulator.
    fn init_end(
        &self,
        duration: Duration,
        phase: InitPhase,
        status: Status,
        extensions: Vec<Extension>,
    ) -> Vec<Event> {
        let done = InitDone { initialization: self.initialization, phase: phase.name(), duration, status };
        let mut events = vec![Event::InitRuntimeDone(done.clone())];
        events.extend(extensions.into_iter().map(Event::Extension));
        events.push(Event::InitReport(done));
        events
    }

    /// What is taken down of an invocation that begins `now`.
    pub(super) fn timeline(&self, request: RequestId, tracing: Option<Tracing>, now: Instant) -> Timeline {
        Timeline::new(request, tracing, now, self.clock.now())
    }

    /// Writes END and REPORT, and gives the end of the invocation's log. `runtime` gives what there is to tell of the runtime's
    /// part, if it was not told before.
    pub(super) fn report(
        &self,
        finished: Finished,
        peak_memory_bytes: u64,
        runtime: impl FnOnce(Status) -> Option<RuntimeDone>,
    ) -> Bytes {
        let Finished { request, extensions, total, init, restore, status, tracing, .. } = finished;
        let spans = extensions.map(|duration| self.overhead(duration)).into_iter().collect();
        let report = Report {
            request,
            duration: total,
            init,
            restore,
            memory_megabytes: self.memory_megabytes,
            peak_memory_bytes,
            status: status.clone(),
            spans,
            tracing,
        };
        let runtime = || runtime(status).map(Event::RuntimeDone);
        self.output.end(|| runtime().into_iter().chain([Event::Report(report)]).collect())
    }

    /// What extensions took that have just asked for their next event.
    fn overhead(&self, duration: Duration) -> Span {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let start = Timestamp::from_millis(self.clock.now().as_millis().saturating_sub(milliseconds));
        Span { name: "extensionOverhead", start, duration }
    }
}
