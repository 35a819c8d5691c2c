use std::sync::Arc;

use serde_json::{Value, json};

use super::event::{
    Extension, InitDone, InitStart, Instance, LogsDropped, Report, Restore, RuntimeDone, Span, Start, Status,
    Subscription, Tracing,
};
use super::*;
use crate::environment::InitializationType::{self, OnDemand, ProvisionedConcurrency, SnapStart};

const ID: &str = "11111111-2222-4333-8444-555555555555";

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

const TRACE: &str = "Root=1-62e900b2-710d76f009d6e7785905449a;Parent=0efbd19962d95b05;Sampled=1";

fn lines(format: Format, event: &Event) -> Vec<u8> {
    let mut lines = Vec::new();
    format.write(event, NOW, &mut lines);
    lines
}

fn text(event: &Event) -> String {
    String::from_utf8(lines(Format::Text, event)).unwrap()
}

fn invocation(init: Option<u64>, peak: u64, status: Status) -> Report {
    Report {
        request: ID.parse().unwrap(),
        duration: Duration::from_micros(3_010),
        init: init.map(Duration::from_micros),
        restore: None,
        memory_megabytes: 128,
        peak_memory_bytes: peak,
        status,
        spans: Vec::new(),
        tracing: None,
    }
}

fn runtime_done(status: Status) -> RuntimeDone {
    RuntimeDone {
        request: ID.parse().unwrap(),
        status,
        duration: Duration::from_micros(3_010),
        produced_bytes: 4,
        spans: Vec::new(),
        tracing: None,
    }
}

fn report(init: Option<u64>, peak: u64, status: Status, expected: &str) {
    let text = text(&Event::Report(invocation(init, peak, status)));
    assert_eq!(text, format!("END RequestId: {ID}\nREPORT RequestId: {ID}\t{expected}\n"));
}

fn init(initialization: InitializationType, status: Status) -> InitDone {
    InitDone { initialization, phase: "init", duration: Duration::from_micros(1_236_040), status }
}

fn start() -> Start {
    Start { request: ID.parse().unwrap(), version: "3".into(), tracing: None }
}

fn instance() -> Instance {
    Instance {
        function: "echo".into(),
        version: "$LATEST".into(),
        runtime_version: "python:3.13.v1".into(),
        runtime_version_arn: "arn".into(),
        id: "2026/10/08/[$LATEST]22be".into(),
        memory_bytes: 128 << 20,
    }
}

fn init_start() -> Event {
    Event::InitStart(InitStart { initialization: OnDemand, phase: "init", instance: instance() })
}

fn restored(status: Status) -> Event {
    Event::RestoreReport { status, duration: Duration::from_micros(1_236_040) }
}

fn extension(error_type: Option<&str>) -> Event {
    let error_type = error_type.map(Arc::from);
    Event::Extension(Extension {
        name: "Foo.bar".into(),
        state: "Ready",
        events: vec!["INVOKE", "SHUTDOWN"],
        error_type,
    })
}

fn subscription(is_of_logs_api: bool, is_repeated: bool) -> Event {
    let types = vec!["platform", "function"];
    Event::Subscription(Subscription { name: "agent".into(), is_of_logs_api, is_repeated, types })
}

fn error(name: &str) -> Status {
    Status::Error(name.into())
}

#[test]
fn report_has_the_recorded_fields() {
    report(
        None,
        36 << 20,
        Status::Success,
        "Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t",
    );
    report(
        Some(110_100),
        1,
        Status::Success,
        "Duration: 3.01 ms\tBilled Duration: 114 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t\
         Init Duration: 110.10 ms\t",
    );
}

/// As recorded in both forms.
#[test]
fn report_tells_of_the_restore_before_it() {
    let milliseconds = |milliseconds: f64| Duration::from_secs_f64(milliseconds / 1_000.0);
    let restored = |duration, total, runtime| {
        let restore = Restore { total: milliseconds(total), runtime: milliseconds(runtime) };
        let duration = milliseconds(duration);
        Event::Report(Report {
            duration,
            restore: Some(restore),
            ..invocation(None, 91 << 20, Status::Success)
        })
    };
    let expected = format!(
        "END RequestId: {ID}\nREPORT RequestId: {ID}\tDuration: 2338.66 ms\tBilled Duration: 2521 ms\t\
         Memory Size: 128 MB\tMax Memory Used: 91 MB\tRestore Duration: 398.97 ms\t\
         Billed Restore Duration: 182 ms\t\n"
    );
    assert_eq!(text(&restored(2_338.66, 398.97, 181.2)), expected);
    let metrics = json!({
        "durationMs": 147.156, "billedDurationMs": 201, "memorySizeMB": 128, "maxMemoryUsedMB": 91,
        "restoreDurationMs": 500.795, "billedRestoreDurationMs": 53,
    });
    let record = json!({ "requestId": ID, "status": "success", "metrics": metrics });
    check(Level::Info, &restored(147.156, 500.795, 52.3), &[("platform.report", record)]);
}

#[test]
fn report_says_how_an_invocation_failed() {
    report(
        None,
        900 << 20,
        Status::Timeout,
        "Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 128 MB\tStatus: timeout",
    );
    report(
        None,
        1,
        error("Runtime.ExitError"),
        "Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t\
         Status: error\tError Type: Runtime.ExitError",
    );
}

#[test]
fn what_is_told_in_text() {
    for (event, expected) in [
        (
            Event::InitReport(init(OnDemand, Status::Timeout)),
            "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: timeout\n",
        ),
        (
            Event::InitReport(init(ProvisionedConcurrency, Status::Success)),
            "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\n",
        ),
        (Event::InitReport(init(SnapStart, Status::Success)), "INIT_REPORT Init Duration: 1236.04 ms\n"),
        (
            Event::InitReport(init(SnapStart, error("Runtime.BeforeSnapshotError"))),
            "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: error\t\
             Error Type: Runtime.BeforeSnapshotError\n",
        ),
        (Event::InitReport(init(OnDemand, Status::Success)), ""),
        (Event::InitRuntimeDone(init(OnDemand, Status::Timeout)), ""),
        (Event::RuntimeDone(runtime_done(Status::Timeout)), ""),
        (init_start(), "INIT_START Runtime Version: python:3.13.v1\tRuntime Version ARN: arn\n"),
        (
            Event::RestoreStart(instance()),
            "RESTORE_START Runtime Version: python:3.13.v1\tRuntime Version ARN: arn\n",
        ),
        (restored(Status::Success), "RESTORE_REPORT Restore Duration: 1236.04 ms\n"),
        (restored(Status::Timeout), "RESTORE_REPORT Restore Duration: 1236.04 ms\tStatus: timeout\n"),
        (
            restored(error("Runtime.ExitError")),
            "RESTORE_REPORT Restore Duration: 1236.04 ms\tStatus: error\tError Type: Runtime.ExitError\n",
        ),
        (Event::RestoreRuntimeDone(Status::Timeout), ""),
        (extension(None), "EXTENSION\tName: Foo.bar\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"),
        (
            extension(Some("Extension.Crash")),
            "EXTENSION\tName: Foo.bar\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.Crash\n",
        ),
        (
            subscription(false, false),
            "TELEMETRY\tName: agent\tState: Subscribed\tTypes: [Platform, Function]\n",
        ),
        (
            subscription(true, true),
            "LOGS\tName: agent\tState: Already subscribed\tTypes: [Platform, Function]\n",
        ),
    ] {
        assert_eq!(text(&event), expected);
    }
}

/// The type and the record of each line.
fn parsed(lines: &[u8]) -> Vec<(String, Value)> {
    assert!(lines.is_empty() || lines.ends_with(b"\n"));
    let parse = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["time"], "2023-11-14T22:13:20.123Z");
        (line["type"].as_str().unwrap().to_owned(), line["record"].take())
    };
    std::str::from_utf8(lines).unwrap().lines().map(parse).collect()
}

fn owned(expected: &[(&str, Value)]) -> Vec<(String, Value)> {
    expected.iter().map(|(name, record)| ((*name).to_owned(), record.clone())).collect()
}

/// In a log in JSON.
fn check(least: Level, event: &Event, expected: &[(&str, Value)]) {
    assert_eq!(parsed(&lines(Format::Json(least), event)), owned(expected));
}

/// For a subscriber.
fn told(schema: Schema, event: &Event, expected: &[(&str, Value)]) {
    let mut lines = Vec::new();
    record::write(event, schema, Level::Debug, NOW, &mut lines);
    assert_eq!(parsed(&lines), owned(expected), "{schema:?}");
}

#[test]
fn an_invocation_is_told_in_json() {
    let started = Event::Start(start());
    check(Level::Info, &started, &[("platform.start", json!({ "requestId": ID, "version": "3" }))]);
    check(Level::Warn, &started, &[]);
    let done = json!({
        "requestId": ID, "status": "success", "metrics": { "durationMs": 3.01, "producedBytes": 4 },
    });
    let event = Event::RuntimeDone(runtime_done(Status::Success));
    check(Level::Info, &event, &[]);
    check(Level::Debug, &event, &[("platform.runtimeDone", done)]);
    let metrics = json!({
        "durationMs": 3.01, "billedDurationMs": 114, "memorySizeMB": 128, "maxMemoryUsedMB": 36,
        "initDurationMs": 110.1,
    });
    let report = json!({ "requestId": ID, "status": "success", "metrics": metrics });
    let event = Event::Report(invocation(Some(110_100), 36 << 20, Status::Success));
    check(Level::Info, &event, &[("platform.report", report.clone())]);
    check(Level::Debug, &event, &[("platform.report", report)]);
    check(Level::Warn, &event, &[]);
}

#[test]
fn failures_are_warnings() {
    let fault = json!({ "requestId": ID, "status": "error", "errorType": "Runtime.ExitError" });
    let with = |metrics| {
        let mut record = fault.clone();
        record["metrics"] = metrics;
        record
    };
    let done = with(json!({ "durationMs": 3.01, "producedBytes": 4 }));
    let event = Event::RuntimeDone(runtime_done(error("Runtime.ExitError")));
    check(Level::Warn, &event, &[("platform.runtimeDone", done)]);
    let metrics =
        json!({ "durationMs": 3.01, "billedDurationMs": 4, "memorySizeMB": 128, "maxMemoryUsedMB": 1 });
    let event = Event::Report(invocation(None, 1, error("Runtime.ExitError")));
    check(Level::Warn, &event, &[("platform.report", with(metrics))]);

    let phase = json!({ "initializationType": "on-demand", "phase": "init", "status": "timeout" });
    let event = Event::InitRuntimeDone(init(OnDemand, Status::Timeout));
    check(Level::Warn, &event, &[("platform.initRuntimeDone", phase.clone())]);
    let mut report = phase;
    report["metrics"] = json!({ "durationMs": 1236.04 });
    check(
        Level::Warn,
        &Event::InitReport(init(OnDemand, Status::Timeout)),
        &[("platform.initReport", report)],
    );
}

fn init_started(with_names: bool) -> Value {
    let mut record = json!({
        "initializationType": "on-demand", "phase": "init", "runtimeVersion": "python:3.13.v1",
        "runtimeVersionArn": "arn",
    });
    if with_names {
        record["functionName"] = "echo".into();
        record["functionVersion"] = "$LATEST".into();
        record["instanceId"] = "2026/10/08/[$LATEST]22be".into();
        record["instanceMaxMemory"] = (128 << 20).into();
    }
    record
}

#[test]
fn init_is_told_in_json() {
    check(Level::Info, &init_start(), &[("platform.initStart", init_started(true))]);
    let quick = init(OnDemand, Status::Success);
    check(Level::Info, &Event::InitRuntimeDone(quick.clone()), &[]);
    check(Level::Info, &Event::InitReport(quick), &[]);
    let ahead = json!({
        "initializationType": "provisioned-concurrency", "phase": "init", "status": "success",
        "metrics": { "durationMs": 1236.04 },
    });
    check(
        Level::Info,
        &Event::InitReport(init(ProvisionedConcurrency, Status::Success)),
        &[("platform.initReport", ahead)],
    );
}

#[test]
fn each_schema_has_its_own_shape_of_init() {
    for (schema, with_names) in
        [(Schema::July2022, false), (Schema::December2022, true), (Schema::January2025, true)]
    {
        told(schema, &init_start(), &[("platform.initStart", init_started(with_names))]);
        let mut report = json!({
            "initializationType": "on-demand", "phase": "init", "metrics": { "durationMs": 1236.04 },
        });
        if with_names {
            report["status"] = "error".into();
            report["errorType"] = "Runtime.ExitError".into();
        }
        let done = init(OnDemand, error("Runtime.ExitError"));
        told(schema, &Event::InitReport(done), &[("platform.initReport", report)]);
    }
    for schema in [Schema::Logs2020, Schema::Logs2021] {
        told(schema, &init_start(), &[]);
        told(schema, &Event::InitRuntimeDone(init(OnDemand, Status::Success)), &[]);
        told(schema, &Event::InitReport(init(OnDemand, Status::Timeout)), &[]);
    }
}

#[test]
fn spans_and_tracing_are_told() {
    let tracing = Some(Tracing(TRACE.into()));
    let traced = json!({ "type": "X-Amzn-Trace-Id", "value": TRACE });
    let started = Event::Start(Start { tracing: tracing.clone(), ..start() });
    let record = json!({ "requestId": ID, "version": "3", "tracing": traced });
    told(Schema::July2022, &started, &[("platform.start", record)]);
    told(Schema::Logs2021, &started, &[("platform.start", json!({ "requestId": ID, "version": "3" }))]);

    let spans = vec![Span { name: "responseLatency", start: NOW, duration: Duration::from_micros(23_020) }];
    let done = RuntimeDone { spans, tracing, ..runtime_done(Status::Success) };
    let record = json!({
        "requestId": ID, "status": "success", "tracing": traced,
        "spans": [{ "name": "responseLatency", "start": "2023-11-14T22:13:20.123Z", "durationMs": 23.02 }],
        "metrics": { "durationMs": 3.01, "producedBytes": 4 },
    });
    told(Schema::December2022, &Event::RuntimeDone(done), &[("platform.runtimeDone", record)]);
}

#[test]
fn a_fault_of_the_platform_is_a_failure() {
    let event = Event::RestoreRuntimeDone(error("Sandbox.Failure"));
    let record = json!({ "status": "failure", "errorType": "Sandbox.Failure" });
    told(Schema::December2022, &event, &[("platform.restoreRuntimeDone", record)]);
    let event = Event::RestoreReport { status: Status::Success, duration: Duration::from_micros(15_190) };
    let record = json!({ "status": "success", "metrics": { "durationMs": 15.19 } });
    told(Schema::December2022, &event, &[("platform.restoreReport", record)]);
    let mut restored = init_started(true);
    let record = restored.as_object_mut().unwrap();
    record.remove("initializationType");
    record.remove("phase");
    told(Schema::December2022, &Event::RestoreStart(instance()), &[("platform.restoreStart", restored)]);
}

#[test]
fn the_logs_api_tells_of_an_invocation_in_its_own_way() {
    let metrics =
        json!({ "durationMs": 3.01, "billedDurationMs": 4, "memorySizeMB": 128, "maxMemoryUsedMB": 1 });
    let end = ("platform.end", json!({ "requestId": ID }));
    let report = ("platform.report", json!({ "requestId": ID, "metrics": metrics }));
    let event = Event::Report(invocation(None, 1, Status::Success));
    told(Schema::Logs2020, &event, &[end.clone(), report.clone()]);
    for (status, fault) in [
        (Status::Timeout, format!("RequestId: {ID}\tStatus: timeout\n")),
        (
            error("Runtime.ExitError"),
            format!("RequestId: {ID}\tStatus: error\tErrorType: Runtime.ExitError\n"),
        ),
    ] {
        let event = Event::Report(invocation(None, 1, status));
        told(Schema::Logs2021, &event, &[("platform.fault", fault.into()), end.clone(), report.clone()]);
    }
    let event = Event::RuntimeDone(runtime_done(error("Runtime.ExitError")));
    told(Schema::Logs2020, &event, &[]);
    let done = json!({ "requestId": ID, "status": "error" });
    told(Schema::Logs2021, &event, &[("platform.runtimeDone", done)]);
}

#[test]
fn extensions_and_what_they_get_is_told() {
    let ready = json!({ "name": "Foo.bar", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"] });
    told(Schema::Logs2020, &extension(None), &[("platform.extension", ready.clone())]);
    let mut crashed = ready;
    crashed["errorType"] = "Extension.Crash".into();
    told(Schema::July2022, &extension(Some("Extension.Crash")), &[("platform.extension", crashed)]);

    let subscribed = |state| json!({ "name": "agent", "state": state, "types": ["platform", "function"] });
    told(
        Schema::July2022,
        &subscription(false, true),
        &[("platform.telemetrySubscription", subscribed("Already subscribed"))],
    );
    told(
        Schema::Logs2020,
        &subscription(true, false),
        &[("platform.logsSubscription", subscribed("Subscribed"))],
    );

    let dropped = LogsDropped { records: 123, bytes: 12_345, reason: "slow" };
    let record = json!({ "reason": "slow", "droppedRecords": 123, "droppedBytes": 12_345 });
    told(Schema::Logs2020, &Event::LogsDropped(dropped), &[("platform.logsDropped", record)]);
}
