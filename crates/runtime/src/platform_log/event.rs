//! What the platform has to tell, as values: one for each event of the Telemetry API.
//!
//! Says nothing of how they are written. The names of states follow
//! <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>.

use std::sync::Arc;
use std::time::Duration;

use firelet_types::{RequestId, Timestamp};

use crate::environment::InitializationType;

/// How a phase ended, for the status fields that AWS adds when it did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    Timeout,
    Error(String),
}

/// What the platform has to tell.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    InitStart(InitStart),
    /// The runtime has asked for its first event, or will not.
    InitRuntimeDone(InitDone),
    InitReport(InitDone),
    Start(Start),
    /// The runtime has asked for its next event, or will not.
    RuntimeDone(RuntimeDone),
    /// An invocation has ended; both of its lines in text, END and REPORT.
    Report(Report),
    Extension(Extension),
    Subscription(Subscription),
    LogsDropped(LogsDropped),
    RestoreStart(Instance),
    /// The runtime has asked for its first event since its snapshot was restored, or will not.
    RestoreRuntimeDone(Status),
    RestoreReport {
        status: Status,
        duration: Duration,
    },
}

/// Which version of a function runs where.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) function: Arc<str>,
    /// `$LATEST` or a number.
    pub(crate) version: Arc<str>,
    pub(crate) runtime_version: Arc<str>,
    pub(crate) runtime_version_arn: Arc<str>,
    /// The name of the log stream, as recorded.
    pub(crate) id: Arc<str>,
    pub(crate) memory_bytes: u64,
}

/// An Init phase begins.
#[derive(Debug, Clone)]
pub(crate) struct InitStart {
    pub(crate) initialization: InitializationType,
    /// `init`, or `invoke` where it is repeated there.
    pub(crate) phase: &'static str,
    pub(crate) instance: Instance,
}

/// An Init phase has ended.
#[derive(Debug, Clone)]
pub(crate) struct InitDone {
    pub(crate) initialization: InitializationType,
    /// `init`, or `invoke` where it was repeated there.
    pub(crate) phase: &'static str,
    pub(crate) duration: Duration,
    pub(crate) status: Status,
}

impl InitDone {
    pub(super) fn is_on_demand(&self) -> bool {
        self.initialization == InitializationType::OnDemand
    }
}

/// An invocation begins.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) request: RequestId,
    /// `$LATEST` or a number.
    pub(crate) version: Arc<str>,
    pub(crate) tracing: Option<Tracing>,
}

/// The value of `X-Amzn-Trace-Id` of an invocation that is traced.
#[derive(Debug, Clone)]
pub(crate) struct Tracing(pub(crate) Arc<str>);

impl Tracing {
    /// Of a value that says so.
    pub(crate) fn of(value: &str) -> Option<Self> {
        value.split(';').any(|part| part == "Sampled=1").then(|| Self(value.into()))
    }
}

/// A stretch of an invocation.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// `responseLatency`, `responseDuration`, `runtimeOverhead` or `extensionOverhead`.
    pub(crate) name: &'static str,
    pub(crate) start: Timestamp,
    pub(crate) duration: Duration,
}

/// The runtime's part in an invocation.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeDone {
    pub(crate) request: RequestId,
    pub(crate) status: Status,
    /// Until the runtime asked for the next event.
    pub(crate) duration: Duration,
    /// The size of its response.
    pub(crate) produced_bytes: u64,
    pub(crate) spans: Vec<Span>,
    pub(crate) tracing: Option<Tracing>,
}

/// What REPORT says of one invocation.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) request: RequestId,
    pub(crate) duration: Duration,
    /// The Init phase, when this invocation was the first of its environment.
    pub(crate) init: Option<Duration>,
    /// The Restore phase, likewise.
    pub(crate) restore: Option<Restore>,
    pub(crate) memory_megabytes: u32,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) status: Status,
    pub(crate) spans: Vec<Span>,
    pub(crate) tracing: Option<Tracing>,
}

/// How long an environment took to start from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restore {
    /// All of it.
    pub(crate) total: Duration,
    /// The runtime's part: since its snapshot was there again.
    pub(crate) runtime: Duration,
}

impl Restore {
    pub(super) fn billed_milliseconds(self) -> u128 {
        self.runtime.as_micros().div_ceil(1_000)
    }
}

/// How far an extension came in Init.
#[derive(Debug, Clone)]
pub(crate) struct Extension {
    pub(crate) name: Arc<str>,
    /// `Ready`, `Registered` and so on.
    pub(crate) state: &'static str,
    /// `INVOKE`, `SHUTDOWN`.
    pub(crate) events: Vec<&'static str>,
    pub(crate) error_type: Option<Arc<str>>,
}

/// An extension has asked for telemetry, or for logs in the older API.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) name: Arc<str>,
    pub(crate) is_of_logs_api: bool,
    /// Whether it had asked before.
    pub(crate) is_repeated: bool,
    /// `platform`, `function`, `extension`.
    pub(crate) types: Vec<&'static str>,
}

impl Subscription {
    /// As recorded.
    pub(super) const fn state(&self) -> &'static str {
        if self.is_repeated { "Already subscribed" } else { "Subscribed" }
    }
}

/// A subscriber was too slow for what there was to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogsDropped {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) reason: &'static str,
}

impl RuntimeDone {
    /// That of a runtime which never got to the invocation.
    pub(crate) const fn without_runtime(request: RequestId, status: Status, duration: Duration) -> Self {
        Self { request, status, duration, produced_bytes: 0, spans: Vec::new(), tracing: None }
    }
}

impl Report {
    /// The billed part of the Restore phase counts in whole milliseconds: as recorded, 147.156 ms and 53 ms make 201 ms.
    pub(super) fn billed_milliseconds(&self) -> u128 {
        let own = (self.duration + self.init.unwrap_or_default()).as_micros().div_ceil(1_000).max(1);
        own + self.restore.map_or(0, Restore::billed_milliseconds)
    }

    pub(super) fn peak_memory_megabytes(&self) -> u64 {
        self.peak_memory_bytes.div_ceil(1 << 20).clamp(1, u64::from(self.memory_megabytes))
    }
}
