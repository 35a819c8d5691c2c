//! A small stand-in for the standard test harness: runs what its arguments select, one at a time, and counts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// A test and its name.
pub(crate) type Test = (&'static str, fn());

/// Runs the tests whose name contains one of the arguments, or all.
pub(crate) fn run(groups: &[&[Test]]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let tests = groups.iter().copied().flatten();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let selected: Vec<_> = tests
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)))
        .collect();
    let failed: Vec<_> =
        selected.iter().filter(|(name, test)| !passes(name, *test)).map(|(name, _)| name).collect();
    println!("\ntest result: {} passed; {} failed {failed:?}", selected.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn passes(name: &str, test: fn()) -> bool {
    let started = std::time::Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
    println!("test {name} ... {} ({:.0?})", if passed { "ok" } else { "FAILED" }, started.elapsed());
    passed
}
