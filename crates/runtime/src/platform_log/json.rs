//! Lines as JSON: one event each, of those that matter enough.

use firelet_types::{RequestId, Timestamp};
use serde::Serialize;

use super::{Event, InitReport, InitStart, Level, Report, Status, milliseconds};

#[derive(Serialize)]
struct Line<R> {
    time: String,
    r#type: &'static str,
    record: R,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitStartRecord<'a> {
    initialization_type: &'static str,
    phase: &'static str,
    function_name: &'a str,
    function_version: &'a str,
    runtime_version: &'a str,
    runtime_version_arn: &'a str,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct InitRecord<'a> {
    initialization_type: &'static str,
    phase: &'static str,
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
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvocationRecord<'a, M> {
    request_id: String,
    #[serde(flatten)]
    outcome: Outcome<'a>,
    metrics: M,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<&'a str>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct DurationMetrics {
    duration_ms: f64,
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
}

/// Collects lines.
struct Writer {
    least: Level,
    now: Timestamp,
    lines: String,
}

pub(super) fn lines(event: &Event<'_>, least: Level, now: Timestamp) -> String {
    let mut writer = Writer { least, now, lines: String::new() };
    match event {
        Event::InitStart(start) => writer.init_start(start),
        Event::InitReport(report) => writer.init_report(report),
        Event::Start { request, version } => writer.start(*request, version),
        Event::Report(report) => writer.report(report),
    }
    writer.lines
}

impl Writer {
    fn write(&mut self, level: Level, r#type: &'static str, record: impl Serialize) {
        if level < self.least {
            return;
        }
        let line = Line { time: self.now.iso8601(), r#type, record };
        self.lines +=
            &serde_json::to_string(&line).expect("records have text keys and no serializer that fails");
        self.lines.push('\n');
    }

    fn init_start(&mut self, start: &InitStart<'_>) {
        let record = InitStartRecord {
            initialization_type: start.initialization,
            phase: "init",
            function_name: start.function,
            function_version: start.version,
            runtime_version: start.runtime_version,
            runtime_version_arn: start.runtime_version_arn,
        };
        self.write(Level::Info, "platform.initStart", record);
    }

    fn init_report(&mut self, report: &InitReport<'_>) {
        let initialization_type = if report.is_on_demand { "on-demand" } else { "provisioned-concurrency" };
        let done = InitRecord {
            initialization_type,
            phase: report.phase,
            outcome: outcome(report.status),
            metrics: None,
        };
        self.write(level(report.status, Level::Debug), "platform.initRuntimeDone", done.clone());
        let metrics = Some(DurationMetrics { duration_ms: rounded(milliseconds(report.duration)) });
        let usual = if report.is_on_demand { Level::Debug } else { Level::Info };
        self.write(level(report.status, usual), "platform.initReport", InitRecord { metrics, ..done });
    }

    fn start(&mut self, request: RequestId, version: &str) {
        self.write(Level::Info, "platform.start", StartRecord { request_id: request.to_string(), version });
    }

    fn report(&mut self, report: &Report<'_>) {
        let (request_id, outcome) = (report.request.to_string(), outcome(report.status));
        let duration_ms = rounded(milliseconds(report.duration));
        let metrics = DurationMetrics { duration_ms };
        let done = InvocationRecord { request_id: request_id.clone(), outcome: outcome.clone(), metrics };
        self.write(level(report.status, Level::Debug), "platform.runtimeDone", done);
        let metrics = ReportMetrics {
            duration_ms,
            billed_duration_ms: report.billed_milliseconds(),
            memory_size_megabytes: report.memory_megabytes,
            max_memory_used_megabytes: report.peak_memory_megabytes(),
            init_duration_ms: report.init.map(milliseconds).map(rounded),
        };
        let record = InvocationRecord { request_id, outcome, metrics };
        self.write(level(report.status, Level::Info), "platform.report", record);
    }
}

/// What did not end well is a warning.
fn level(status: &Status, usual: Level) -> Level {
    if *status == Status::Success { usual } else { Level::Warn }
}

fn outcome(status: &Status) -> Outcome<'_> {
    match status {
        Status::Success => Outcome { status: "success", error_type: None },
        Status::Timeout => Outcome { status: "timeout", error_type: None },
        Status::Error(error_type) => Outcome { status: "error", error_type: Some(error_type) },
    }
}

/// To microseconds.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1_000.0).round() / 1_000.0
}
