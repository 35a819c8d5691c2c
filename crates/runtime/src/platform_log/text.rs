//! Lines as text.

use std::fmt::Write;

use super::{Event, InitReport, InitStart, Report, Status, milliseconds};

pub(super) fn lines(event: &Event<'_>) -> String {
    match event {
        Event::InitStart(InitStart { runtime_version, runtime_version_arn, .. }) => {
            format!(
                "INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}\n"
            )
        }
        Event::InitReport(report) if report.is_on_demand && *report.status == Status::Success => {
            String::new()
        }
        Event::InitReport(report) => init_report(report),
        Event::Start { request, version } => format!("START RequestId: {request} Version: {version}\n"),
        Event::Report(report) => end_and_report(report),
    }
}

fn init_report(report: &InitReport<'_>) -> String {
    let InitReport { phase, duration, status, .. } = report;
    let mut line = format!("INIT_REPORT Init Duration: {:.2} ms\tPhase: {phase}", milliseconds(*duration));
    write_status(status, &mut line);
    line.push('\n');
    line
}

fn end_and_report(report: &Report<'_>) -> String {
    let request = report.request;
    let mut line = format!(
        "END RequestId: {request}\nREPORT RequestId: {request}\tDuration: {:.2} ms\tBilled Duration: {} ms\t\
         Memory Size: {} MB\tMax Memory Used: {} MB\t",
        milliseconds(report.duration),
        report.billed_milliseconds(),
        report.memory_megabytes,
        report.peak_memory_megabytes(),
    );
    if let Some(init) = report.init {
        let _ = write!(line, "Init Duration: {:.2} ms\t", milliseconds(init));
    }
    if *report.status != Status::Success {
        line.pop();
        write_status(report.status, &mut line);
    }
    line.push('\n');
    line
}

fn write_status(status: &Status, line: &mut String) {
    // Writing to a string cannot fail.
    let _ = match status {
        Status::Success => Ok(()),
        Status::Timeout => write!(line, "\tStatus: timeout"),
        Status::Error(error_type) => write!(line, "\tStatus: error\tError Type: {error_type}"),
    };
}
