//! One line a step on the terminal; a step of more than a second shows that it is alive.

use std::io::{IsTerminal, Write, stdout};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_secs(1);
const LABEL_WIDTH: usize = 46;

/// Does `work` under a line that names it and, in the end, says how long it took.
pub(crate) fn step<T>(
    label: &str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> (anyhow::Result<T>, Duration) {
    let started = Instant::now();
    let (done, waiting) = channel::<()>();
    let result = thread::scope(|scope| {
        scope.spawn(move || {
            while stdout().is_terminal() && waiting.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                show(&format!("\r  {label:LABEL_WIDTH$} … {:>4} s", started.elapsed().as_secs()));
            }
        });
        let result = work();
        drop(done);
        result
    });
    let took = started.elapsed();
    let mark = if result.is_ok() { "✓" } else { "✗" };
    let clear = if stdout().is_terminal() { "\r" } else { "" };
    show(&format!("{clear}  {label:LABEL_WIDTH$} {mark} {:>9}\n", human(took)));
    (result, took)
}

/// A duration as a person reads it: `0.42 ms`, `87 ms`, `12.3 s`.
pub(crate) fn human(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    match milliseconds {
        under if under < 10.0 => format!("{under:.2} ms"),
        under if under < 1000.0 => format!("{under:.0} ms"),
        over => format!("{:.1} s", over / 1000.0),
    }
}

fn show(text: &str) {
    let mut terminal = stdout().lock();
    // A closed terminal is no reason to stop the work itself.
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_telling_digits() {
        let shown = |micros| human(Duration::from_micros(micros));
        assert_eq!(shown(420), "0.42 ms");
        assert_eq!(shown(87_400), "87 ms");
        assert_eq!(shown(12_340_000), "12.3 s");
    }
}
