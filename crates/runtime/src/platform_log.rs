//! The lines that the platform itself writes to a function's log, as text or as JSON.
//!
//! Text as recorded from AWS, fields separated by tabs; REPORT ends with a tab. JSON as documented for the events of the
//! Telemetry API, which logs in JSON consist of:
//! <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>.

mod json;
mod text;

use std::time::Duration;

use firelet_types::{RequestId, Timestamp};

/// The form of the platform's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    /// Only events of this level and above.
    Json(Level),
}

/// How much an event matters. See
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
}

impl Level {
    /// The level of a function's configuration; lines about the function are logged if it is none that is known.
    pub(crate) fn of_configuration(name: &str) -> Self {
        match name {
            "DEBUG" => Self::Debug,
            "WARN" => Self::Warn,
            _ => Self::Info,
        }
    }
}

/// How a phase ended, for the status fields that AWS adds when it did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    Timeout,
    Error(String),
}

/// What the platform has to tell.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    InitStart(InitStart<'a>),
    InitReport(InitReport<'a>),
    Start {
        request: RequestId,
        /// `$LATEST` or a number.
        version: &'a str,
    },
    /// An invocation has ended; both of its lines in text, END and REPORT.
    Report(Report<'a>),
}

/// An Init phase begins.
#[derive(Debug)]
pub(crate) struct InitStart<'a> {
    pub(crate) function: &'a str,
    pub(crate) version: &'a str,
    /// `on-demand` or `provisioned-concurrency`.
    pub(crate) initialization: &'static str,
    pub(crate) runtime_version: &'a str,
    pub(crate) runtime_version_arn: &'a str,
}

/// An Init phase has ended.
#[derive(Debug)]
pub(crate) struct InitReport<'a> {
    /// Whether it came in the way of an invocation: then text tells of it only if it failed.
    pub(crate) is_on_demand: bool,
    /// `init`, or `invoke` where it was repeated there.
    pub(crate) phase: &'static str,
    pub(crate) duration: Duration,
    pub(crate) status: &'a Status,
}

/// What REPORT says of one invocation.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) request: RequestId,
    pub(crate) duration: Duration,
    /// The Init phase, when this invocation was the first of its environment.
    pub(crate) init: Option<Duration>,
    pub(crate) memory_megabytes: u32,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) status: &'a Status,
}

impl Report<'_> {
    fn billed_milliseconds(&self) -> u128 {
        (self.duration + self.init.unwrap_or_default()).as_micros().div_ceil(1_000).max(1)
    }

    fn peak_memory_megabytes(&self) -> u64 {
        self.peak_memory_bytes.div_ceil(1 << 20).clamp(1, u64::from(self.memory_megabytes))
    }
}

impl Format {
    /// The lines that tell of `event`; none if the format leaves it out.
    pub(crate) fn lines(self, event: &Event<'_>, now: Timestamp) -> String {
        match self {
            Self::Text => text::lines(event),
            Self::Json(least) => json::lines(event, least, now),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_123);

    fn lines(format: Format, event: &Event<'_>) -> String {
        format.lines(event, NOW)
    }

    fn invocation(init: Option<u64>, peak: u64, status: &Status) -> Event<'_> {
        Event::Report(Report {
            request: ID.parse().unwrap(),
            duration: Duration::from_micros(3_010),
            init: init.map(Duration::from_micros),
            memory_megabytes: 128,
            peak_memory_bytes: peak,
            status,
        })
    }

    fn report(init: Option<u64>, peak: u64, status: &Status, expected: &str) {
        let text = lines(Format::Text, &invocation(init, peak, status));
        assert_eq!(text, format!("END RequestId: {ID}\nREPORT RequestId: {ID}\t{expected}\n"));
    }

    fn init(is_on_demand: bool, status: &Status) -> Event<'_> {
        let duration = Duration::from_micros(1_236_040);
        Event::InitReport(InitReport { is_on_demand, phase: "init", duration, status })
    }

    const INIT_START: Event<'_> = Event::InitStart(InitStart {
        function: "echo",
        version: "$LATEST",
        initialization: "on-demand",
        runtime_version: "python:3.13.v1",
        runtime_version_arn: "arn",
    });

    #[test]
    fn report_has_the_recorded_fields() {
        report(
            None,
            36 << 20,
            &Status::Success,
            "Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t",
        );
        report(
            Some(110_100),
            1,
            &Status::Success,
            "Duration: 3.01 ms\tBilled Duration: 114 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t\
             Init Duration: 110.10 ms\t",
        );
    }

    #[test]
    fn report_says_how_an_invocation_failed() {
        report(
            None,
            900 << 20,
            &Status::Timeout,
            "Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 128 MB\tStatus: timeout",
        );
        report(
            None,
            1,
            &Status::Error("Runtime.ExitError".into()),
            "Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t\
             Status: error\tError Type: Runtime.ExitError",
        );
    }

    #[test]
    fn init_is_told_as_documented() {
        let failed = lines(Format::Text, &init(true, &Status::Timeout));
        assert_eq!(failed, "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: timeout\n");
        let ahead = lines(Format::Text, &init(false, &Status::Success));
        assert_eq!(ahead, "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\n");
        assert_eq!(lines(Format::Text, &init(true, &Status::Success)), "");
        let started = lines(Format::Text, &INIT_START);
        assert_eq!(started, "INIT_START Runtime Version: python:3.13.v1\tRuntime Version ARN: arn\n");
    }

    /// The type and the record of each line.
    fn json(least: Level, event: &Event<'_>) -> Vec<(String, serde_json::Value)> {
        let lines = lines(Format::Json(least), event);
        assert!(lines.is_empty() || lines.ends_with('\n'));
        let parse = |line: &str| {
            let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["time"], "2023-11-14T22:13:20.123Z");
            (line["type"].as_str().unwrap().to_owned(), line["record"].take())
        };
        lines.lines().map(parse).collect()
    }

    fn check(least: Level, event: &Event<'_>, expected: &[(&str, serde_json::Value)]) {
        let expected: Vec<_> =
            expected.iter().map(|(name, record)| ((*name).to_owned(), record.clone())).collect();
        assert_eq!(json(least, event), expected);
    }

    #[test]
    fn an_invocation_is_told_in_json() {
        let start = Event::Start { request: ID.parse().unwrap(), version: "3" };
        check(Level::Info, &start, &[("platform.start", json!({ "requestId": ID, "version": "3" }))]);
        check(Level::Warn, &start, &[]);
        let metrics = json!({
            "durationMs": 3.01, "billedDurationMs": 114, "memorySizeMB": 128, "maxMemoryUsedMB": 36,
            "initDurationMs": 110.1,
        });
        let done = json!({ "requestId": ID, "status": "success", "metrics": { "durationMs": 3.01 } });
        let report = json!({ "requestId": ID, "status": "success", "metrics": metrics });
        let event = invocation(Some(110_100), 36 << 20, &Status::Success);
        check(Level::Info, &event, &[("platform.report", report.clone())]);
        check(Level::Debug, &event, &[("platform.runtimeDone", done), ("platform.report", report)]);
        check(Level::Warn, &event, &[]);
    }

    #[test]
    fn failures_are_warnings() {
        let metrics =
            json!({ "durationMs": 3.01, "billedDurationMs": 4, "memorySizeMB": 128, "maxMemoryUsedMB": 1 });
        let error = Status::Error("Runtime.ExitError".into());
        let fault = json!({ "requestId": ID, "status": "error", "errorType": "Runtime.ExitError" });
        let with = |metrics| {
            let mut record = fault.clone();
            record["metrics"] = metrics;
            record
        };
        let done = ("platform.runtimeDone", with(json!({ "durationMs": 3.01 })));
        check(Level::Warn, &invocation(None, 1, &error), &[done, ("platform.report", with(metrics))]);
        let phase = json!({ "initializationType": "on-demand", "phase": "init", "status": "timeout" });
        let mut report = phase.clone();
        report["metrics"] = json!({ "durationMs": 1236.04 });
        let expected = [("platform.initRuntimeDone", phase), ("platform.initReport", report)];
        check(Level::Warn, &init(true, &Status::Timeout), &expected);
    }

    #[test]
    fn init_is_told_in_json() {
        let started = json!({
            "initializationType": "on-demand", "phase": "init", "functionName": "echo", "functionVersion": "$LATEST",
            "runtimeVersion": "python:3.13.v1", "runtimeVersionArn": "arn",
        });
        check(Level::Info, &INIT_START, &[("platform.initStart", started)]);
        check(Level::Info, &init(true, &Status::Success), &[]);
        assert_eq!(json(Level::Debug, &init(true, &Status::Success)).len(), 2);
        let ahead = json!({
            "initializationType": "provisioned-concurrency", "phase": "init", "status": "success",
            "metrics": { "durationMs": 1236.04 },
        });
        check(Level::Info, &init(false, &Status::Success), &[("platform.initReport", ahead)]);
    }
}
