//! The lines that the platform itself writes to a function's log, as text or as JSON.
//!
//! Text as recorded from AWS, fields separated by tabs; REPORT ends with a tab. JSON as documented for the events of the
//! Telemetry API, which logs in JSON consist of; [`record`] has their other forms, for those who subscribe to them.

pub(crate) mod event;
pub(crate) mod record;
mod text;

use std::time::Duration;

use firelet_types::Timestamp;

use self::event::Event;
use self::record::Schema;

/// The form of the platform's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    /// Only events of this level and above.
    Json(Level),
}

/// How much an event matters. See
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
}

impl Level {
    /// The level of a function's configuration; lines about the function are logged if it is none that is known.
    pub(crate) fn of_configuration(name: &str) -> Self {
        match name {
            "DEBUG" => Self::Debug,
            "WARN" => Self::Warn,
            _ => Self::Info,
        }
    }
}

impl Format {
    /// Writes the lines that tell of `event` to `lines`; none if the format leaves it out.
    pub(crate) fn write(self, event: &Event, now: Timestamp, lines: &mut Vec<u8>) {
        match self {
            Self::Text => text::write(event, lines),
            Self::Json(least) => record::write(event, Schema::LATEST, least, now, lines),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests;
