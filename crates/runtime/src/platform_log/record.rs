//! Events as JSON, in each version of their schema.
//!
//! The Telemetry API's as documented at <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>,
//! which logs in JSON consist of too; the Logs API's as at
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html>. What documents leave open follows AWS's open
//! Runtime Interface Emulator (`lambda/interop/events_api.go`) and recorded events.

use std::time::Duration;

use firelet_types::{RequestId, Timestamp};
use serde::Serialize;

use super::Level;
use super::event::{
    Event, Extension, InitDone, InitStart, Instance, LogsDropped, Report, Restore, RuntimeDone, Span, Start,
    Status, Subscription, Tracing,
};
use super::milliseconds;

/// A version of the events' form, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Schema {
    /// The Logs API's.
    Logs2020,
    /// The same with `platform.runtimeDone`.
    Logs2021,
    /// The Telemetry API's.
    July2022,
    /// The same, with the function's name, the status of Init, and logs in JSON as they are.
    December2022,
    /// Differs for Managed Instances only.
    January2025,
}

impl Schema {
    /// That of logs in JSON.
    pub(super) const LATEST: Self = Self::January2025;

    pub(crate) fn is_of_logs_api(self) -> bool {
        self < Self::July2022
    }
}

/// Writes what tells of `event` in `schema`, as far as it matters at least `least`: lines, each one JSON object.
pub(crate) fn write(event: &Event, schema: Schema, least: Level, time: Timestamp, lines: &mut Vec<u8>) {
    let mut writer = Writer { schema, least, time, lines };
    if schema.is_of_logs_api() {
        writer.log(event);
    } else {
        writer.event(event);
    }
}

/// One object with the metadata of each record.
#[derive(Serialize)]
pub(crate) struct Line<'a, R> {
    pub(crate) time: &'a str,
    pub(crate) r#type: &'static str,
    pub(crate) record: R,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitStartRecord<'a> {
    initialization_type: &'static str,
    phase: &'static str,
    #[serde(flatten)]
    instance: InstanceRecord<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceRecord<'a> {
    runtime_version: &'a str,
    runtime_version_arn: &'a str,
    #[serde(flatten)]
    function: Option<FunctionRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionRecord<'a> {
    function_name: &'a str,
    function_version: &'a str,
    instance_id: &'a str,
    instance_max_memory: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitRecord<'a> {
    initialization_type: &'static str,
    phase: &'static str,
    #[serde(flatten)]
    outcome: Option<Outcome<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<DurationMetrics>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestoreRecord<'a> {
    #[serde(flatten)]
    outcome: Outcome<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<DurationMetrics>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StartRecord<'a> {
    request_id: String,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<TracingRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestRecord {
    request_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvocationRecord<'a, M> {
    request_id: String,
    #[serde(flatten)]
    outcome: Option<Outcome<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<TracingRecord<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<SpanRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<M>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
}

#[derive(Serialize)]
struct TracingRecord<'a> {
    r#type: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanRecord {
    name: &'static str,
    start: String,
    duration_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DurationMetrics {
    duration_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeMetrics {
    duration_ms: f64,
    produced_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportMetrics {
    duration_ms: f64,
    billed_duration_ms: u128,
    #[serde(rename = "memorySizeMB")]
    memory_size_megabytes: u32,
    #[serde(rename = "maxMemoryUsedMB")]
    max_memory_used_megabytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billed_restore_duration_ms: Option<u128>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtensionRecord<'a> {
    name: &'a str,
    state: &'static str,
    events: &'a [&'static str],
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
}

#[derive(Serialize)]
struct SubscriptionRecord<'a> {
    name: &'a str,
    state: &'static str,
    types: &'a [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DroppedRecord {
    reason: &'static str,
    dropped_records: u64,
    dropped_bytes: u64,
}

/// Adds lines.
struct Writer<'a> {
    schema: Schema,
    least: Level,
    time: Timestamp,
    lines: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn write(&mut self, level: Level, r#type: &'static str, record: impl Serialize) {
        if level < self.least {
            return;
        }
        let line = Line { time: &self.time.iso8601(), r#type, record };
        serde_json::to_writer(&mut *self.lines, &line)
            .expect("records have text keys and no serializer that fails");
        self.lines.push(b'\n');
    }

    /// An event of the Telemetry API.
    fn event(&mut self, event: &Event) {
        match event {
            Event::InitStart(start) => self.init_start(start),
            Event::InitRuntimeDone(done) => self.init_runtime_done(done),
            Event::InitReport(done) => self.init_report(done),
            Event::Start(start) => self.start(start),
            Event::RuntimeDone(done) => self.runtime_done(done),
            Event::Report(report) => self.report(report),
            Event::Extension(extension) => self.extension(extension),
            Event::Subscription(subscription) => self.subscription(subscription),
            Event::LogsDropped(dropped) => self.logs_dropped(*dropped),
            Event::RestoreStart(instance) => {
                self.write(Level::Info, "platform.restoreStart", self.instance(instance));
            }
            Event::RestoreRuntimeDone(status) => {
                let record = RestoreRecord { outcome: outcome(status), metrics: None };
                self.write(level(status, Level::Debug), "platform.restoreRuntimeDone", record);
            }
            Event::RestoreReport { status, duration } => {
                let metrics = Some(DurationMetrics { duration_ms: rounded(*duration) });
                let record = RestoreRecord { outcome: outcome(status), metrics };
                self.write(level(status, Level::Info), "platform.restoreReport", record);
            }
        }
    }

    /// What the Logs API tells of an event.
    fn log(&mut self, event: &Event) {
        match event {
            Event::Start(start) => self.start(start),
            Event::RuntimeDone(done) if self.schema >= Schema::Logs2021 => {
                let outcome = Some(Outcome { error_type: None, ..outcome(&done.status) });
                self.write(Level::Debug, "platform.runtimeDone", plain(done.request, outcome, NO_METRICS));
            }
            Event::Report(report) => self.end_and_report(report),
            Event::Extension(extension) => self.extension(extension),
            Event::Subscription(subscription) => self.subscription(subscription),
            Event::LogsDropped(dropped) => self.logs_dropped(*dropped),
            Event::InitStart(_)
            | Event::InitRuntimeDone(_)
            | Event::InitReport(_)
            | Event::RuntimeDone(_)
            | Event::RestoreStart(_)
            | Event::RestoreRuntimeDone(_)
            | Event::RestoreReport { .. } => {}
        }
    }

    fn instance<'i>(&self, instance: &'i Instance) -> InstanceRecord<'i> {
        let Instance { function, version, runtime_version, runtime_version_arn, id, memory_bytes } = instance;
        let function = (self.schema >= Schema::December2022).then_some(FunctionRecord {
            function_name: function,
            function_version: version,
            instance_id: id,
            instance_max_memory: *memory_bytes,
        });
        InstanceRecord { runtime_version, runtime_version_arn, function }
    }

    fn init_start(&mut self, start: &InitStart) {
        let record = InitStartRecord {
            initialization_type: start.initialization.as_str(),
            phase: start.phase,
            instance: self.instance(&start.instance),
        };
        self.write(Level::Info, "platform.initStart", record);
    }

    fn init_runtime_done(&mut self, done: &InitDone) {
        let record = init_record(done, Some(outcome(&done.status)), None);
        self.write(level(&done.status, Level::Debug), "platform.initRuntimeDone", record);
    }

    fn init_report(&mut self, done: &InitDone) {
        let outcome = (self.schema >= Schema::December2022).then(|| outcome(&done.status));
        let metrics = Some(DurationMetrics { duration_ms: rounded(done.duration) });
        let usual = if done.is_on_demand() { Level::Debug } else { Level::Info };
        self.write(level(&done.status, usual), "platform.initReport", init_record(done, outcome, metrics));
    }

    fn start(&mut self, start: &Start) {
        let Start { request, version, tracing } = start;
        let tracing = tracing.as_ref().filter(|_| !self.schema.is_of_logs_api()).map(traced);
        let record = StartRecord { request_id: request.to_string(), version, tracing };
        self.write(Level::Info, "platform.start", record);
    }

    fn runtime_done(&mut self, done: &RuntimeDone) {
        let record = InvocationRecord {
            request_id: done.request.to_string(),
            outcome: Some(outcome(&done.status)),
            tracing: done.tracing.as_ref().map(traced),
            spans: done.spans.iter().map(span).collect(),
            metrics: Some(RuntimeMetrics {
                duration_ms: rounded(done.duration),
                produced_bytes: done.produced_bytes,
            }),
        };
        self.write(level(&done.status, Level::Debug), "platform.runtimeDone", record);
    }

    fn report(&mut self, report: &Report) {
        let record = InvocationRecord {
            request_id: report.request.to_string(),
            outcome: Some(outcome(&report.status)),
            tracing: report.tracing.as_ref().map(traced),
            spans: report.spans.iter().map(span).collect(),
            metrics: Some(report_metrics(report)),
        };
        self.write(level(&report.status, Level::Info), "platform.report", record);
    }

    /// In the Logs API, with the fault of an invocation that failed, in the emulator's words.
    fn end_and_report(&mut self, report: &Report) {
        let request = report.request;
        let fault = outcome(&report.status);
        if report.status != Status::Success {
            let error_type = fault.error_type.map(|name| format!("\tErrorType: {name}")).unwrap_or_default();
            let record = format!("RequestId: {request}\tStatus: {}{error_type}\n", fault.status);
            self.write(Level::Warn, "platform.fault", record);
        }
        self.write(Level::Info, "platform.end", RequestRecord { request_id: request.to_string() });
        let record = plain(request, None, Some(report_metrics(report)));
        self.write(Level::Info, "platform.report", record);
    }

    fn extension(&mut self, extension: &Extension) {
        let Extension { name, state, events, error_type } = extension;
        let record = ExtensionRecord { name, state, events, error_type: error_type.as_deref() };
        let level = if error_type.is_none() { Level::Info } else { Level::Warn };
        self.write(level, "platform.extension", record);
    }

    fn subscription(&mut self, subscription: &Subscription) {
        let Subscription { name, types, .. } = subscription;
        let r#type = if subscription.is_of_logs_api {
            "platform.logsSubscription"
        } else {
            "platform.telemetrySubscription"
        };
        let record = SubscriptionRecord { name, state: subscription.state(), types };
        self.write(Level::Info, r#type, record);
    }

    fn logs_dropped(&mut self, dropped: LogsDropped) {
        let LogsDropped { records, bytes, reason } = dropped;
        let record = DroppedRecord { reason, dropped_records: records, dropped_bytes: bytes };
        self.write(Level::Warn, "platform.logsDropped", record);
    }
}

/// For a record without metrics.
const NO_METRICS: Option<DurationMetrics> = None;

/// A record of the Logs API.
fn plain<M>(request: RequestId, outcome: Option<Outcome<'_>>, metrics: Option<M>) -> InvocationRecord<'_, M> {
    InvocationRecord { request_id: request.to_string(), outcome, tracing: None, spans: Vec::new(), metrics }
}

fn init_record<'a>(
    done: &InitDone,
    outcome: Option<Outcome<'a>>,
    metrics: Option<DurationMetrics>,
) -> InitRecord<'a> {
    InitRecord { initialization_type: done.initialization.as_str(), phase: done.phase, outcome, metrics }
}

fn report_metrics(report: &Report) -> ReportMetrics {
    ReportMetrics {
        duration_ms: rounded(report.duration),
        billed_duration_ms: report.billed_milliseconds(),
        memory_size_megabytes: report.memory_megabytes,
        max_memory_used_megabytes: report.peak_memory_megabytes(),
        init_duration_ms: report.init.map(rounded),
        restore_duration_ms: report.restore.map(|restore| rounded(restore.total)),
        billed_restore_duration_ms: report.restore.map(Restore::billed_milliseconds),
    }
}

fn span(span: &Span) -> SpanRecord {
    let Span { name, start, duration } = *span;
    SpanRecord { name, start: start.iso8601(), duration_ms: rounded(duration) }
}

fn traced(tracing: &Tracing) -> TracingRecord<'_> {
    TracingRecord { r#type: "X-Amzn-Trace-Id", value: &tracing.0 }
}

/// What did not end well is a warning.
fn level(status: &Status, usual: Level) -> Level {
    if *status == Status::Success { usual } else { Level::Warn }
}

/// As in the emulator, a fault of the platform is a failure, and any other an error.
fn outcome(status: &Status) -> Outcome<'_> {
    match status {
        Status::Success => Outcome { status: "success", error_type: None },
        Status::Timeout => Outcome { status: "timeout", error_type: None },
        Status::Error(error_type) if error_type.starts_with("Sandbox.") => {
            Outcome { status: "failure", error_type: Some(error_type) }
        }
        Status::Error(error_type) => Outcome { status: "error", error_type: Some(error_type) },
    }
}

/// Milliseconds, to microseconds.
fn rounded(duration: Duration) -> f64 {
    (milliseconds(duration) * 1_000.0).round() / 1_000.0
}
