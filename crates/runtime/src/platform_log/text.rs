//! Lines as text.

use std::fmt::Write;

use super::event::{Event, Extension, InitDone, InitStart, Instance, Report, Start, Status, Subscription};
use super::milliseconds;

pub(super) fn lines(event: &Event) -> String {
    match event {
        Event::InitStart(InitStart { instance, .. }) => versioned("INIT_START", instance),
        Event::InitReport(done) if done.is_on_demand && done.status == Status::Success => String::new(),
        Event::InitReport(done) => init_report(done),
        Event::Start(Start { request, version, .. }) => {
            format!("START RequestId: {request} Version: {version}\n")
        }
        Event::Report(report) => end_and_report(report),
        Event::Extension(extension) => extension_line(extension),
        Event::Subscription(subscription) => subscription_line(subscription),
        Event::RestoreStart(instance) => versioned("RESTORE_START", instance),
        Event::RestoreReport { status, duration } => {
            let mut line = format!("RESTORE_REPORT Restore Duration: {:.2} ms", milliseconds(*duration));
            write_status(status, &mut line);
            line.push('\n');
            line
        }
        Event::InitRuntimeDone(_)
        | Event::RuntimeDone(_)
        | Event::LogsDropped(_)
        | Event::RestoreRuntimeDone(_) => String::new(),
    }
}

fn versioned(what: &str, instance: &Instance) -> String {
    let Instance { runtime_version, runtime_version_arn, .. } = instance;
    format!("{what} Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}\n")
}

fn init_report(done: &InitDone) -> String {
    let InitDone { phase, duration, status, .. } = done;
    let mut line = format!("INIT_REPORT Init Duration: {:.2} ms\tPhase: {phase}", milliseconds(*duration));
    write_status(status, &mut line);
    line.push('\n');
    line
}

fn end_and_report(report: &Report) -> String {
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
    if report.status != Status::Success {
        line.pop();
        write_status(&report.status, &mut line);
    }
    line.push('\n');
    line
}

fn extension_line(extension: &Extension) -> String {
    let Extension { name, state, events, error_type } = extension;
    let mut line = format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{}]", events.join(", "));
    if let Some(error_type) = error_type {
        let _ = write!(line, "\tError Type: {error_type}");
    }
    line.push('\n');
    line
}

/// As recorded: the types with a capital.
fn subscription_line(subscription: &Subscription) -> String {
    let what = if subscription.is_of_logs_api { "LOGS" } else { "TELEMETRY" };
    let types: Vec<_> = subscription.types.iter().map(|name| capitalised(name)).collect();
    let Subscription { name, .. } = subscription;
    format!("{what}\tName: {name}\tState: {}\tTypes: [{}]\n", subscription.state(), types.join(", "))
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn write_status(status: &Status, line: &mut String) {
    // Writing to a string cannot fail.
    let _ = match status {
        Status::Success => Ok(()),
        Status::Timeout => write!(line, "\tStatus: timeout"),
        Status::Error(error_type) => write!(line, "\tStatus: error\tError Type: {error_type}"),
    };
}
