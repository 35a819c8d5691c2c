use firelet_runtime::failure::{ExitReason, ExtensionError, Failure, Unlaunched};

use super::*;

#[test]
fn failures_of_init_have_the_codes_of_the_api() {
    let crash = |process, reason, told| InitFailure::Crashed(Crash { process, reason, told });
    let unlaunched = |error_type| InitFailure::Unlaunched(Unlaunched { error_type, problem: String::new() });
    for (failure, expected) in [
        (InitFailure::Failed(Failure::response_too_large()), "FunctionError"),
        (InitFailure::TimedOut, "FunctionError.InitTimeout"),
        (crash(Process::Runtime, ExitReason::Exited(1), None), "FunctionError"),
        (crash(Process::Runtime, ExitReason::Signaled(11), None), "FunctionError"),
        (crash(Process::Runtime, ExitReason::OutOfMemory, None), "FunctionError.InitResourceExhausted"),
        (crash(Process::Extension, ExitReason::Exited(1), None), "FunctionError.ExtensionInitError"),
        (
            crash(Process::Runtime, ExitReason::Exited(1), Some(ExtensionError::Init)),
            "FunctionError.ExtensionInitError",
        ),
        (unlaunched("Runtime.InvalidEntrypoint"), "FunctionError.InvalidEntryPoint"),
        (unlaunched("Extension.LaunchError"), "FunctionError.ExtensionInitError"),
    ] {
        assert_eq!(code(&failure), expected, "{failure:?}");
    }
}
