//! Which lines of a function that logs in JSON its log leaves out: those below the level that is configured.
//!
//! As documented at <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>: a JSON object
//! has a level and a time, or else counts as INFO. Lines that are no objects stay. Firelet's own bootstraps leave lines out
//! themselves, so that nothing of them is lost here.

use bytes::{Bytes, BytesMut};
use firelet_types::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    /// A level by its name in the configuration, or in a line: there in either case, and as Python calls some.
    fn of(name: &str) -> Option<Self> {
        const NAMES: [(&str, Level); 8] = [
            ("TRACE", Level::Trace),
            ("DEBUG", Level::Debug),
            ("INFO", Level::Info),
            ("WARN", Level::Warn),
            ("WARNING", Level::Warn),
            ("ERROR", Level::Error),
            ("FATAL", Level::Fatal),
            ("CRITICAL", Level::Fatal),
        ];
        NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| level)
    }
}

/// Leaves lines out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter(Level);

impl Filter {
    /// For a configured level; none if it is one that leaves nothing out.
    pub(crate) fn of_configuration(level: &str) -> Option<Self> {
        Level::of(level).filter(|level| *level > Level::Trace).map(Self)
    }

    /// What stays of `lines`, which have their ends.
    pub(crate) fn apply(self, lines: Bytes) -> Bytes {
        let pieces = || lines.split_inclusive(|byte| *byte == b'\n');
        if pieces().all(|line| self.keeps(line)) {
            return lines;
        }
        let mut kept = BytesMut::with_capacity(lines.len());
        for line in pieces().filter(|line| self.keeps(line)) {
            kept.extend_from_slice(line);
        }
        kept.freeze()
    }

    fn keeps(self, line: &[u8]) -> bool {
        !line.trim_ascii_start().starts_with(b"{") || level_of(line).is_none_or(|level| level >= self.0)
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    level: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

/// The level of a JSON object; none for what is no object.
fn level_of(line: &[u8]) -> Option<Level> {
    let Fields { level, timestamp, time } = serde_json::from_slice(line).ok()?;
    let is_timed = timestamp.or(time).and_then(text).is_some_and(|time| Timestamp::parse(&time).is_some());
    let named = level.and_then(text).and_then(|name| Level::of(&name));
    Some(named.filter(|_| is_timed).unwrap_or(Level::Info))
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = r#""timestamp":"2024-11-02T16:51:31.587199Z""#;

    fn keeps(configured: &str, line: &str) -> bool {
        let line = Bytes::from(format!("{line}\n"));
        let kept = Filter::of_configuration(configured).unwrap().apply(line.clone());
        assert!(kept.is_empty() || kept == line);
        !kept.is_empty()
    }

    #[test]
    fn objects_below_the_level_are_left_out() {
        for (name, stays_at) in [
            ("trace", "TRACE"),
            ("debug", "DEBUG"),
            ("Info", "INFO"),
            ("WARNING", "WARN"),
            ("error", "ERROR"),
            ("CRITICAL", "FATAL"),
        ] {
            let line = format!(r#"{{"level":"{name}",{TIME},"message":"x"}}"#);
            let highest = Level::of(stays_at).unwrap();
            for configured in ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"] {
                let expected = Level::of(configured).unwrap() <= highest;
                assert_eq!(keeps(configured, &line), expected, "{name} at {configured}");
            }
        }
    }

    #[test]
    fn without_a_level_or_a_time_an_object_is_information() {
        for line in [
            format!(r#"{{{TIME}}}"#),
            format!(r#"{{"level":"loud",{TIME}}}"#),
            format!(r#"{{"level":50,{TIME}}}"#),
            r#"{"level":"error"}"#.to_owned(),
            r#"{"level":"debug"}"#.to_owned(),
            r#"{"level":"error","timestamp":"yesterday"}"#.to_owned(),
        ] {
            assert!(keeps("INFO", &line), "{line}");
            assert!(!keeps("WARN", &line), "{line}");
        }
        assert!(keeps("ERROR", r#"{"level":"ERROR","time":"2024-11-02T16:51:31+01:00"}"#));
    }

    #[test]
    fn what_is_no_object_stays() {
        for line in ["plain", "", "[1]", "{", r#"{"level":"debug""#, "1", "{} {}"] {
            assert!(keeps("FATAL", line), "{line}");
        }
    }

    #[test]
    fn the_other_lines_of_a_chunk_stay() {
        let debug = format!("{{\"level\":\"debug\",{TIME}}}\n");
        let lines = Bytes::from(format!("one\n{debug}two\n{debug}rest"));
        let kept = Filter::of_configuration("INFO").unwrap().apply(lines);
        assert_eq!(kept, "one\ntwo\nrest");
    }

    #[test]
    fn the_lowest_level_leaves_nothing_out() {
        assert!(Filter::of_configuration("TRACE").is_none());
    }
}
