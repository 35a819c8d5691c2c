//! What the caller of a function reads when the function failed: error types and payloads.
//!
//! Texts as recorded from AWS, those of extensions as in its open Runtime Interface Emulator. The error type is also what REPORT and INIT_REPORT show.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use firelet_types::{RequestId, limits};
use serde::Serialize;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It was killed for using more memory than the function has.
    OutOfMemory,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(formatter, "exit status {status}"),
            Self::Signaled(signal) => match signal_name(*signal) {
                Some(name) => write!(formatter, "signal: {name}"),
                None => write!(formatter, "signal: signal {signal}"),
            },
            Self::OutOfMemory => formatter.write_str("signal: killed"),
        }
    }
}

/// Whose end it was that ended an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// The runtime's.
    Runtime,
    /// That of an extension.
    Extension,
}

/// The error that an extension told of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionError {
    /// It could not start.
    Init,
    /// It was about to exit.
    Exit,
}

/// The end of a process that nobody had asked for, and with it of all others in its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// Whose.
    pub process: Process,
    /// How it ended.
    pub reason: ExitReason,
    /// What an extension had said before, which is what counts.
    pub told: Option<ExtensionError>,
}

impl Crash {
    /// The error type that AWS gives such an end.
    #[must_use]
    pub const fn error_type(self) -> &'static str {
        match (self.told, self.process, self.reason) {
            (Some(ExtensionError::Init), _, _) => "Extension.InitError",
            (Some(ExtensionError::Exit), _, _) => "Extension.ExitError",
            (None, Process::Runtime, ExitReason::OutOfMemory) => "Runtime.OutOfMemory",
            (None, Process::Runtime, _) => "Runtime.ExitError",
            (None, Process::Extension, _) => "Extension.Crash",
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.process, self.reason) {
            (Process::Runtime, ExitReason::Exited(0)) => {
                formatter.write_str("Runtime exited without providing a reason")
            }
            (Process::Runtime, reason) => write!(formatter, "Runtime exited with error: {reason}"),
            (Process::Extension, ExitReason::Exited(0)) => formatter.write_str("exit code 0"),
            (Process::Extension, reason) => write!(formatter, "{reason}"),
        }
    }
}

/// Linux signals as Go's `syscall` package names them, whose text AWS passes on.
const fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        _ => return None,
    })
}

/// A program that cannot be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlaunched {
    /// Such as `Runtime.InvalidEntrypoint`.
    pub error_type: &'static str,
    /// Why, in the words of AWS's supervisor, which is written in Go.
    pub problem: String,
}

/// An error that firelet describes, in place of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Such as `Runtime.ExitError`.
    pub error_type: String,
    /// What the caller reads.
    pub payload: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    error_type: &'a str,
    error_message: &'a str,
}

impl Failure {
    fn new(error_type: &str, error_message: &str) -> Self {
        let text = serde_json::to_vec(&Payload { error_type, error_message }).unwrap_or_default();
        Self { error_type: error_type.to_owned(), payload: Bytes::from(text) }
    }

    /// The environment came to an end during `request`.
    #[must_use]
    pub fn crash(request: RequestId, crash: Crash) -> Self {
        Self::new(crash.error_type(), &format!("RequestId: {request} Error: {crash}"))
    }

    /// The function did not answer within `timeout`.
    #[must_use]
    pub fn timeout(request: RequestId, timeout: Duration) -> Self {
        let seconds = timeout.as_secs_f64();
        let message = format!("RequestId: {request} Error: Task timed out after {seconds:.2} seconds");
        Self::new("Sandbox.Timedout", &message)
    }

    /// The answer was larger than 6 MiB and 100 bytes.
    #[must_use]
    pub fn response_too_large() -> Self {
        let limit = limits::RESPONSE_PAYLOAD_BYTES;
        let message = format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
        Self::new("Function.ResponseSizeTooLarge", &message)
    }

    /// The answer that came in pieces was larger than one may be. The caller has the first of it, and no description:
    /// AWS's open emulator sends the error type alone.
    #[must_use]
    pub fn stream_too_large() -> Self {
        Self { error_type: "Function.ResponseSizeTooLarge".to_owned(), payload: Bytes::new() }
    }

    /// The answer that came in pieces broke off. No description, as recorded from AWS.
    #[must_use]
    pub fn stream_truncated() -> Self {
        Self { error_type: "Runtime.TruncatedResponse".to_owned(), payload: Bytes::new() }
    }

    /// The runtime asked for a way of answering that there is not. No description: AWS's open emulator sends none.
    #[must_use]
    pub fn invalid_response_mode() -> Self {
        Self { error_type: "Runtime.InvalidResponseModeHeader".to_owned(), payload: Bytes::new() }
    }

    /// What should start the function, or an extension, cannot be started.
    #[must_use]
    pub fn unlaunched(request: RequestId, unlaunched: &Unlaunched) -> Self {
        let Unlaunched { error_type, problem } = unlaunched;
        Self::new(error_type, &format!("RequestId: {request} Error: {problem}"))
    }
}

/// The error type that a runtime gave, as AWS records it: `Runtime.` or `Function.` and a name, or else the
/// unknown one of its kind.
///
/// AWS's open emulator: allowed is `(Runtime|Function)\.[A-Z][a-zA-Z]+` anywhere in the text.
#[must_use]
pub fn recorded_error_type(given: &str) -> String {
    let is_allowed = given.match_indices('.').any(|(dot, _)| {
        let before = &given[..dot];
        let mut after = given[dot + 1..].bytes();
        (before.ends_with("Runtime") || before.ends_with("Function"))
            && after.next().is_some_and(|byte| byte.is_ascii_uppercase())
            && after.next().is_some_and(|byte| byte.is_ascii_alphabetic())
    });
    if is_allowed && given.len() <= 256 && given.bytes().all(|byte| byte.is_ascii_graphic()) {
        given.to_owned()
    } else if given.starts_with("Function.") {
        "Function.Unknown".to_owned()
    } else {
        "Runtime.Unknown".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    fn check(failure: &Failure, expected: &str) {
        assert_eq!(std::str::from_utf8(&failure.payload).unwrap(), expected.replace("ID", ID));
    }

    #[test]
    fn payloads_are_those_recorded() {
        let id = ID.parse().unwrap();
        check(
            &Failure::timeout(id, Duration::from_secs(1)),
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ID Error: Task timed out after 1.00 seconds"}"#,
        );
        let crash = |reason, told| Failure::crash(id, Crash { process: Process::Runtime, reason, told });
        check(
            &crash(ExitReason::Exited(0), None),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited without providing a reason"}"#,
        );
        check(
            &crash(ExitReason::Exited(127), None),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 127"}"#,
        );
        check(
            &crash(ExitReason::Signaled(11), None),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: signal: segmentation fault"}"#,
        );
        check(
            &crash(ExitReason::OutOfMemory, None),
            r#"{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: ID Error: Runtime exited with error: signal: killed"}"#,
        );
        let crash_of_extension =
            |reason| Failure::crash(id, Crash { process: Process::Extension, reason, told: None });
        check(
            &crash_of_extension(ExitReason::Exited(0)),
            r#"{"errorType":"Extension.Crash","errorMessage":"RequestId: ID Error: exit code 0"}"#,
        );
        check(
            &crash_of_extension(ExitReason::Signaled(9)),
            r#"{"errorType":"Extension.Crash","errorMessage":"RequestId: ID Error: signal: killed"}"#,
        );
        check(
            &crash(ExitReason::Exited(1), Some(ExtensionError::Init)),
            r#"{"errorType":"Extension.InitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 1"}"#,
        );
        check(
            &crash(ExitReason::Exited(0), Some(ExtensionError::Exit)),
            r#"{"errorType":"Extension.ExitError","errorMessage":"RequestId: ID Error: Runtime exited without providing a reason"}"#,
        );
        check(
            &Failure::response_too_large(),
            r#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}"#,
        );
    }

    #[test]
    fn error_types_of_runtimes_are_sanitised() {
        for (given, recorded) in [
            ("Runtime.ImportModuleError", "Runtime.ImportModuleError"),
            ("Function.MyError", "Function.MyError"),
            ("Function.lower", "Function.Unknown"),
            ("Function.X", "Function.Unknown"),
            ("ValueError", "Runtime.Unknown"),
            ("", "Runtime.Unknown"),
            ("My.Runtime.Strange", "My.Runtime.Strange"),
            ("Runtime.Bad\nHeader", "Runtime.Unknown"),
        ] {
            assert_eq!(recorded_error_type(given), recorded, "{given:?}");
        }
    }
}
