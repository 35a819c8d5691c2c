//! How many tests passed and failed, read from what the test programs print.

use std::ops::AddAssign;
use std::process::ExitStatus;

/// The exit status of pytest and unittest for "no test has this name".
const FOUND_NOTHING: i32 = 5;

/// Tests that ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) ran: u32,
    pub(super) failed: u32,
    /// Of those that ran, the ones that did nothing.
    pub(super) skipped: u32,
}

impl Count {
    /// Tests that ran well.
    pub(super) fn passed(self) -> u32 {
        self.ran.saturating_sub(self.failed + self.skipped)
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.ran += other.ran;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Whose output it is.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Cargo,
    Unittest,
    Pytest,
}

impl Format {
    /// What `line` adds.
    pub(super) fn read(self, line: &str) -> Count {
        match self {
            Self::Cargo => line.strip_prefix("test result: ").map(labelled).unwrap_or_default(),
            Self::Pytest if line.trim_end().ends_with(['=', 's', ')']) && line.contains(" in ") => {
                labelled(line)
            }
            Self::Pytest => Count::default(),
            Self::Unittest => unittest(line),
        }
    }

    /// Whether `status` only says that a filter left no test.
    pub(super) fn found_nothing(self, status: ExitStatus) -> bool {
        !matches!(self, Self::Cargo) && status.code() == Some(FOUND_NOTHING)
    }
}

/// Reads `3 failed, 97 passed, 1 error`.
fn labelled(line: &str) -> Count {
    let mut count = Count::default();
    let words: Vec<_> = line.split([' ', ',', ';', '.', '=']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2) {
        let Ok(number) = pair[0].parse::<u32>() else { continue };
        match pair[1] {
            "passed" => count.ran += number,
            "failed" | "error" | "errors" => {
                count.ran += number;
                count.failed += number;
            }
            _ => {}
        }
    }
    count
}

/// Reads `Ran 12 tests in 3.4s`, and the later `FAILED (failures=1, errors=2)` or `OK (skipped=1)`.
fn unittest(line: &str) -> Count {
    let line = line.trim_end();
    if let Some(rest) = line.strip_prefix("Ran ") {
        let ran = rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        return Count { ran, ..Count::default() };
    }
    let Some(rest) = line.strip_prefix("FAILED (").or_else(|| line.strip_prefix("OK (")) else {
        return Count::default();
    };
    let mut count = Count::default();
    for (label, number) in rest.trim_end_matches(')').split(", ").filter_map(|pair| pair.split_once('=')) {
        let number = number.parse().unwrap_or(0);
        match label {
            "failures" | "errors" | "unexpected successes" => count.failed += number,
            "skipped" => count.skipped += number,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, line: &str, ran: u32, failed: u32) {
        assert_eq!(format.read(line), Count { ran, failed, skipped: 0 }, "{line}");
    }

    #[test]
    fn cargo_results_are_counted() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out";
        check(Format::Cargo, line, 14, 2);
        check(Format::Cargo, "test bad::name ... FAILED", 0, 0);
    }

    #[test]
    fn pytest_summaries_are_counted() {
        check(Format::Pytest, "====== 3 failed, 97 passed, 1 error in 20.13s ======\n", 101, 4);
        check(Format::Pytest, "101 passed in 65.20s (0:01:05)\n", 101, 0);
        check(Format::Pytest, "collected 101 items\n", 0, 0);
    }

    #[test]
    fn unittest_summaries_are_counted() {
        check(Format::Unittest, "Ran 40 tests in 3.211s\n", 40, 0);
        check(Format::Unittest, "FAILED (failures=1, errors=2)\n", 0, 3);
        let mut count = Format::Unittest.read("Ran 40 tests in 3.211s\n");
        count += Format::Unittest.read("OK (skipped=2)\n");
        assert_eq!((count.passed(), count.failed), (38, 0));
    }
}
