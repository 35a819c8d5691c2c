//! Timestamps as the wire carries them: seconds since the epoch, with a fraction.

use firelet_types::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochSeconds(pub f64);

impl From<Timestamp> for EpochSeconds {
    fn from(moment: Timestamp) -> Self {
        Self(moment.as_millis() as f64 / 1000.0)
    }
}

/// Seconds since the epoch of a query parameter: ISO 8601, or a plain number.
pub(crate) fn parse(text: &str) -> Option<f64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond() as f64 / 1000.0);
    }
    text.parse().ok().filter(|seconds: &f64| seconds.is_finite())
}
