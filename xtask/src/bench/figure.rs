//! Figures: a measured value beside its floor and its target, for people and as JSON.
//!
//! Nothing here fails because a target was missed: a benchmark tells, tests judge.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::samples::median;

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    PerSecond,
    Megabytes,
    Count,
}

/// What was promised.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// At most so many times the floor of the same run.
    TimesFloor(f64),
    /// At least so many times the floor of the same run.
    AtLeastTimesFloor(f64),
}

/// One line of the result.
pub(crate) struct Figure {
    pub(crate) topic: &'static str,
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// One value a round; the median counts.
    pub(crate) rounds: Vec<f64>,
    /// The same of the floor; empty where there is none.
    pub(crate) floor_rounds: Vec<f64>,
    pub(crate) target: Option<Target>,
}

impl Figure {
    pub(crate) fn value(&self) -> f64 {
        median(&self.rounds)
    }

    fn floor(&self) -> Option<f64> {
        (!self.floor_rounds.is_empty()).then(|| median(&self.floor_rounds))
    }

    /// How many times the floor the value is.
    fn ratio(&self) -> Option<f64> {
        self.floor().filter(|floor| *floor > 0.0).map(|floor| self.value() / floor)
    }

    /// Whether the target is met; none where there is none.
    fn is_met(&self) -> Option<bool> {
        match self.target? {
            Target::AtMost(limit) => Some(self.value() <= limit),
            Target::AtLeast(limit) => Some(self.value() >= limit),
            Target::TimesFloor(limit) => self.ratio().map(|ratio| ratio <= limit),
            Target::AtLeastTimesFloor(limit) => self.ratio().map(|ratio| ratio >= limit),
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::AtMost(limit)) => format!("at most {}", self.unit.show(limit)),
            Some(Target::AtLeast(limit)) => format!("at least {}", self.unit.show(limit)),
            Some(Target::TimesFloor(limit)) => format!("at most {limit} x floor"),
            Some(Target::AtLeastTimesFloor(limit)) => format!("at least {limit} x floor"),
        }
    }

    /// Name, value, floor, ratio and target as text.
    fn cells(&self) -> [String; 5] {
        [
            self.name.clone(),
            self.unit.show(self.value()),
            self.floor().map(|floor| self.unit.show(floor)).unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2} x")).unwrap_or_default(),
            self.target_text(),
        ]
    }

    /// Everything about the figure.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "topic": self.topic,
            "name": self.name,
            "unit": self.unit,
            "value": self.value(),
            "floor": self.floor(),
            "ratio": self.ratio(),
            "target": self.target.map(|_| self.target_text()),
            "is_met": self.is_met(),
            "rounds": self.rounds,
            "floor_rounds": self.floor_rounds,
        })
    }
}

impl Unit {
    /// A duration in this unit.
    pub(crate) fn of(self, duration: Duration) -> f64 {
        duration.as_secs_f64() * if self == Self::Microseconds { 1e6 } else { 1e3 }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Microseconds => format!("{value:.0} us"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

const HEADINGS: [&str; 5] = ["", "value", "floor", "ratio", "target"];

/// Prints the figures of one topic as an aligned table; coloured on a terminal.
pub(crate) fn print(topic: &str, figures: &[Figure]) {
    let rows: Vec<[String; 5]> = figures.iter().map(Figure::cells).collect();
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| {
            let longest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            longest.max(HEADINGS[column].len())
        })
        .collect();
    let line = |cells: [&str; 5]| {
        let aligned: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 4 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        aligned.join("  ")
    };
    anstream::println!("\n\x1b[1m{topic}\x1b[0m\n  {}", line(HEADINGS).trim_end());
    for (figure, row) in figures.iter().zip(&rows) {
        let cells = line(row.each_ref().map(String::as_str));
        let verdict = match figure.is_met() {
            None => "",
            Some(true) => "  \x1b[32mmet\x1b[0m",
            Some(false) => "  \x1b[31mnot met\x1b[0m",
        };
        anstream::println!("  {}{verdict}", if verdict.is_empty() { cells.trim_end() } else { &cells });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, floor: &[f64], target: Target) -> Figure {
        let (rounds, floor_rounds) = (vec![value], floor.to_vec());
        Figure {
            topic: "t",
            name: "n".into(),
            unit: Unit::Milliseconds,
            rounds,
            floor_rounds,
            target: Some(target),
        }
    }

    #[test]
    fn a_target_is_judged_by_its_kind() {
        let check = |value, floor: &[f64], target, expected| {
            assert_eq!(figure(value, floor, target).is_met(), expected, "{value} {floor:?} {target:?}");
        };
        check(10.0, &[], Target::AtMost(10.0), Some(true));
        check(10.1, &[], Target::AtMost(10.0), Some(false));
        check(10.0, &[], Target::AtLeast(10.0), Some(true));
        check(9.9, &[], Target::AtLeast(10.0), Some(false));
        check(40.0, &[10.0], Target::TimesFloor(4.0), Some(true));
        check(40.0, &[9.0], Target::TimesFloor(4.0), Some(false));
        check(40.0, &[], Target::TimesFloor(4.0), None);
        check(9.0, &[10.0], Target::AtLeastTimesFloor(0.9), Some(true));
        check(8.9, &[10.0], Target::AtLeastTimesFloor(0.9), Some(false));
    }

    #[test]
    fn durations_count_in_the_unit() {
        let duration = Duration::from_micros(1_500);
        assert!((Unit::Microseconds.of(duration) - 1_500.0).abs() < 1e-6);
        assert!((Unit::Milliseconds.of(duration) - 1.5).abs() < 1e-9);
    }
}
