//! Warm invocations beside an echo server that the same client drives in the same round.

use std::sync::Arc;
use std::time::Duration;

use super::client;
use super::figure::{Figure, Target, Unit};
use super::firelet::{Server, invocations};
use super::floor::Floor;
use super::functions::{EVENT, Language};
use super::load::{Aim, Round, Until, count, drive};
use super::processors::Stay;
use super::{Effort, Floors};

pub(crate) const TOPIC: &str = "warm";

const BARE_LOOP: &str = "Rust in a bare loop of 2";
/// As many functions as this class of machine has processors: more only take turns at them.
pub(crate) const FEW: usize = 2;
pub(crate) const IN_FLIGHT: usize = 16;
/// More than there are processors to serve them: what is measured is that nothing gets worse.
const MANY_IN_FLIGHT: usize = 64;
const PROCESSOR_TARGET_MICROSECONDS: f64 = 40.0;
const TAIL_TARGET: f64 = 10.0;
/// So many answers are thrown away at the start of each measurement.
const WARM_UP: usize = 300;
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// The same function without firelet.
pub(crate) struct Loops {
    pub(crate) few: Floor,
    pub(crate) many: Floor,
}

/// What is driven, by name; the floor comes first.
struct Subject {
    name: &'static str,
    aim: Aim,
    alone: Vec<Round>,
    together: Vec<Round>,
    crowded: Vec<Round>,
    /// Microseconds of the server's processor time for each answer, with many in flight.
    processor: Vec<f64>,
}

pub(crate) async fn measure(
    server: &Server,
    floors: &Floors,
    loops: &Loops,
    languages: &[&Language],
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let request: Arc<[u8]> = client::request("POST", "/", &[], EVENT).into();
    let echo = |name, echo: &Floor| {
        Subject::new(name, Aim { address: echo.address(), request: Arc::clone(&request) })
    };
    let mut subjects = vec![
        echo("echo", &floors.apart),
        echo("Echo on the client's processor", &floors.beside),
        echo(BARE_LOOP, &loops.few),
        echo("Rust in a bare loop of 16", &loops.many),
    ];
    for language in languages {
        let name = format!("warm-{}", language.name.to_lowercase());
        server.deploy(&name, language, 0).await?;
        subjects.push(Subject::new(language.name, aim(server, &name)));
    }
    let _stay = Stay::as_client()?;
    for subject in &subjects {
        drive(&subject.aim, IN_FLIGHT, Until::Elapsed(effort.period)).await?;
    }
    // A round goes through all subjects, so that what else the machine does hits floor and function alike.
    for _ in 0..effort.rounds {
        for subject in &mut subjects {
            drive(&subject.aim, 1, Until::Count(WARM_UP)).await?;
            subject.alone.push(drive(&subject.aim, 1, Until::Count(effort.samples)).await?);
        }
        for subject in &mut subjects {
            drive(&subject.aim, IN_FLIGHT, Until::Elapsed(WARM_UP_TIME)).await?;
            let before = server.processor_time()?;
            let round = drive(&subject.aim, IN_FLIGHT, Until::Elapsed(effort.period)).await?;
            let used = server.processor_time()?.saturating_sub(before);
            subject.processor.push(Unit::Microseconds.of(used) / count(round.latencies.count()).max(1.0));
            subject.together.push(round);
            drive(&subject.aim, MANY_IN_FLIGHT, Until::Elapsed(WARM_UP_TIME)).await?;
            subject.crowded.push(drive(&subject.aim, MANY_IN_FLIGHT, Until::Elapsed(effort.period)).await?);
        }
    }
    let (echo, others) = subjects.split_at(1);
    let mut figures: Vec<_> = others.iter().flat_map(|other| other.figures(&echo[0])).collect();
    let find = |name| others.iter().find(|subject| subject.name == name);
    if let (Some(rust), Some(bare_loop)) = (find("Rust"), find(BARE_LOOP)) {
        figures.push(rust.beside(bare_loop));
    }
    Ok(figures)
}

/// Invokes `function` over and over.
pub(crate) fn aim(server: &Server, function: &str) -> Aim {
    let request = client::request("POST", &invocations(function), &[], EVENT);
    Aim { address: server.address(), request: request.into() }
}

impl Subject {
    fn new(name: &'static str, aim: Aim) -> Self {
        Self {
            name,
            aim,
            alone: Vec::new(),
            together: Vec::new(),
            crowded: Vec::new(),
            processor: Vec::new(),
        }
    }

    /// The share of what the same functions do without firelet.
    fn beside(&self, bare_loop: &Self) -> Figure {
        let rates = |subject: &Self| subject.together.iter().map(|round| round.per_second).collect();
        Figure {
            topic: TOPIC,
            name: format!("{}, {IN_FLIGHT} in flight, throughput beside the bare loop", self.name),
            unit: Unit::PerSecond,
            rounds: rates(self),
            floor_rounds: rates(bare_loop),
            target: None,
        }
    }

    fn figures(&self, echo: &Self) -> Vec<Figure> {
        let (times_floor, per_second) = match self.name {
            "Rust" => (Some(3.0), Some(20_000.0)),
            "Python" | "Node" => (Some(2.0), Some(12_000.0)),
            _ => (None, None),
        };
        let is_function = times_floor.is_some();
        let percentile = |percent: usize, together: bool, target| {
            let rounds = |subject: &Self| {
                let rounds = if together { &subject.together } else { &subject.alone };
                let percentiles = rounds.iter().map(|round| round.latencies.percentile(percent));
                percentiles.map(|duration| Unit::Microseconds.of(duration)).collect()
            };
            let in_flight = if together { IN_FLIGHT } else { 1 };
            Figure {
                topic: TOPIC,
                name: format!("{}, {in_flight} in flight, p{percent}", self.name),
                unit: Unit::Microseconds,
                rounds: rounds(self),
                floor_rounds: rounds(echo),
                target,
            }
        };
        let throughput = |in_flight: usize, rounds: fn(&Self) -> &[Round]| {
            let rates = |subject: &Self| rounds(subject).iter().map(|round| round.per_second).collect();
            Figure {
                topic: TOPIC,
                name: format!("{}, {in_flight} in flight, throughput", self.name),
                unit: Unit::PerSecond,
                rounds: rates(self),
                floor_rounds: rates(echo),
                target: per_second.map(Target::AtLeast),
            }
        };
        let p50s = self.alone.iter().map(|round| Unit::Microseconds.of(round.latencies.percentile(50)));
        let tail = Figure {
            name: format!("{}, 1 in flight, p99 beside its p50", self.name),
            floor_rounds: p50s.collect(),
            ..percentile(99, false, is_function.then_some(Target::TimesFloor(TAIL_TARGET)))
        };
        let processor = Figure {
            topic: TOPIC,
            name: format!("{}, {IN_FLIGHT} in flight, the server's processor time", self.name),
            unit: Unit::Microseconds,
            rounds: self.processor.clone(),
            floor_rounds: Vec::new(),
            target: Some(Target::AtMost(PROCESSOR_TARGET_MICROSECONDS)),
        };
        let mut figures = vec![
            percentile(50, false, times_floor.map(Target::TimesFloor)),
            percentile(99, false, None),
            tail,
            percentile(50, true, None),
            percentile(99, true, None),
            throughput(IN_FLIGHT, |subject| &subject.together),
            throughput(MANY_IN_FLIGHT, |subject| &subject.crowded),
        ];
        figures.extend(is_function.then_some(processor));
        figures
    }
}
