//! Lines as text.

use std::io::{self, Write};

use super::event::{Event, Extension, InitDone, InitStart, Instance, Report, Start, Status, Subscription};
use super::milliseconds;
use crate::environment::InitializationType;

/// Writes the lines that tell of `event`, if there are words for it.
pub(super) fn write(event: &Event, lines: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = match event {
        Event::InitStart(InitStart { instance, .. }) => versioned("INIT_START", instance, lines),
        // One that came in the way of an invocation is told of in that one's REPORT.
        Event::InitReport(done) if done.is_on_demand() && done.status == Status::Success => Ok(()),
        Event::InitReport(done) => init_report(done, lines),
        Event::Start(Start { request, version, .. }) => {
            writeln!(lines, "START RequestId: {request} Version: {version}")
        }
        Event::Report(report) => end_and_report(report, lines),
        Event::Extension(extension) => extension_line(extension, lines),
        Event::Subscription(subscription) => subscription_line(subscription, lines),
        Event::RestoreStart(instance) => versioned("RESTORE_START", instance, lines),
        Event::RestoreReport { status, duration } => {
            let duration = milliseconds(*duration);
            writeln!(lines, "RESTORE_REPORT Restore Duration: {duration:.2} ms{}", status_fields(status))
        }
        Event::InitRuntimeDone(_)
        | Event::RuntimeDone(_)
        | Event::LogsDropped(_)
        | Event::RestoreRuntimeDone(_) => Ok(()),
    };
}

fn versioned(what: &str, instance: &Instance, lines: &mut Vec<u8>) -> io::Result<()> {
    let Instance { runtime_version, runtime_version_arn, .. } = instance;
    writeln!(lines, "{what} Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}")
}

/// That which comes before a snapshot names no phase when it succeeds, as recorded.
fn init_report(done: &InitDone, lines: &mut Vec<u8>) -> io::Result<()> {
    let InitDone { initialization, phase, duration, status } = done;
    let duration = milliseconds(*duration);
    if *initialization == InitializationType::SnapStart && *status == Status::Success {
        return writeln!(lines, "INIT_REPORT Init Duration: {duration:.2} ms");
    }
    let status = status_fields(status);
    writeln!(lines, "INIT_REPORT Init Duration: {duration:.2} ms\tPhase: {phase}{status}")
}

fn end_and_report(report: &Report, lines: &mut Vec<u8>) -> io::Result<()> {
    let request = report.request;
    write!(
        lines,
        "END RequestId: {request}\nREPORT RequestId: {request}\tDuration: {:.2} ms\tBilled Duration: {} ms\t\
         Memory Size: {} MB\tMax Memory Used: {} MB\t",
        milliseconds(report.duration),
        report.billed_milliseconds(),
        report.memory_megabytes,
        report.peak_memory_megabytes(),
    )?;
    if let Some(init) = report.init {
        write!(lines, "Init Duration: {:.2} ms\t", milliseconds(init))?;
    }
    if let Some(restore) = report.restore {
        let (total, billed) = (milliseconds(restore.total), restore.billed_milliseconds());
        write!(lines, "Restore Duration: {total:.2} ms\tBilled Restore Duration: {billed} ms\t")?;
    }
    if report.status != Status::Success {
        lines.pop();
    }
    writeln!(lines, "{}", status_fields(&report.status))
}

fn extension_line(extension: &Extension, lines: &mut Vec<u8>) -> io::Result<()> {
    let Extension { name, state, events, error_type } = extension;
    write!(lines, "EXTENSION\tName: {name}\tState: {state}\tEvents: [{}]", events.join(", "))?;
    if let Some(error_type) = error_type {
        write!(lines, "\tError Type: {error_type}")?;
    }
    writeln!(lines)
}

/// As recorded: the types with a capital.
fn subscription_line(subscription: &Subscription, lines: &mut Vec<u8>) -> io::Result<()> {
    let what = if subscription.is_of_logs_api { "LOGS" } else { "TELEMETRY" };
    let types: Vec<_> = subscription.types.iter().map(|name| capitalised(name)).collect();
    let Subscription { name, .. } = subscription;
    writeln!(lines, "{what}\tName: {name}\tState: {}\tTypes: [{}]", subscription.state(), types.join(", "))
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn status_fields(status: &Status) -> String {
    match status {
        Status::Success => String::new(),
        Status::Timeout => "\tStatus: timeout".to_owned(),
        Status::Error(error_type) => format!("\tStatus: error\tError Type: {error_type}"),
    }
}
