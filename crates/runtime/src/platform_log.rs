//! The lines that the platform itself writes to a function's log, in the text format.
//!
//! Forms as recorded from AWS, fields separated by tabs; REPORT ends with a tab.

use std::fmt::Write;
use std::time::Duration;

use firelet_types::RequestId;

/// How a phase ended, for the status fields that AWS adds when it did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    Timeout,
    Error(String),
}

impl Status {
    fn write(&self, line: &mut String) {
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Success => Ok(()),
            Self::Timeout => write!(line, "\tStatus: timeout"),
            Self::Error(error_type) => write!(line, "\tStatus: error\tError Type: {error_type}"),
        };
    }
}

pub(crate) fn init_start(runtime_version: &str, runtime_version_arn: &str) -> String {
    format!("INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}\n")
}

/// The report on an Init phase that failed, or came ahead of any invocation; `phase` is `init`, or `invoke` where it was
/// repeated there.
pub(crate) fn init_report(duration: Duration, phase: &str, status: &Status) -> String {
    let mut line = format!("INIT_REPORT Init Duration: {:.2} ms\tPhase: {phase}", milliseconds(duration));
    status.write(&mut line);
    line.push('\n');
    line
}

pub(crate) fn start(request: RequestId, version: &str) -> String {
    format!("START RequestId: {request} Version: {version}\n")
}

/// What REPORT says of one invocation.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) duration: Duration,
    /// The Init phase, when this invocation was the first of its environment.
    pub(crate) init: Option<Duration>,
    pub(crate) memory_megabytes: u32,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) status: &'a Status,
}

/// END and REPORT, which AWS writes together.
pub(crate) fn end_and_report(request: RequestId, report: &Report<'_>) -> String {
    let billed = (report.duration + report.init.unwrap_or_default()).as_micros().div_ceil(1_000).max(1);
    let peak = report.peak_memory_bytes.div_ceil(1 << 20).clamp(1, u64::from(report.memory_megabytes));
    let mut line = format!(
        "END RequestId: {request}\nREPORT RequestId: {request}\tDuration: {:.2} ms\tBilled Duration: {billed} ms\t\
         Memory Size: {} MB\tMax Memory Used: {peak} MB\t",
        milliseconds(report.duration),
        report.memory_megabytes,
    );
    if let Some(init) = report.init {
        let _ = write!(line, "Init Duration: {:.2} ms\t", milliseconds(init));
    }
    if *report.status != Status::Success {
        line.pop();
        report.status.write(&mut line);
    }
    line.push('\n');
    line
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    fn report(init: Option<u64>, peak: u64, status: &Status, expected: &str) {
        let report = Report {
            duration: Duration::from_micros(3_010),
            init: init.map(Duration::from_micros),
            memory_megabytes: 128,
            peak_memory_bytes: peak,
            status,
        };
        let text = end_and_report(ID.parse().unwrap(), &report);
        assert_eq!(text, format!("END RequestId: {ID}\nREPORT RequestId: {ID}\t{expected}\n"));
    }

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
    fn init_report_appears_as_documented() {
        let line = init_report(Duration::from_micros(1_236_040), "init", &Status::Timeout);
        assert_eq!(line, "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: timeout\n");
    }
}
