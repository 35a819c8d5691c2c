//! Warm invocations beside an echo server that the same client drives in the same round.

use std::sync::Arc;
use std::time::Duration;

use super::client;
use super::echo::Echo;
use super::figure::{Figure, Target, Unit};
use super::firelet::Server;
use super::functions::{EVENT, Language};
use super::load::{Aim, Round, Until, drive};
use super::processors::Stay;
use super::{Effort, Floors};

pub(crate) const TOPIC: &str = "warm";

const IN_FLIGHT: usize = 16;
/// So many answers are thrown away at the start of each measurement.
const WARM_UP: usize = 300;
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// What is driven, by name; the floor comes first.
struct Subject {
    name: &'static str,
    aim: Aim,
    alone: Vec<Round>,
    together: Vec<Round>,
}

pub(crate) async fn measure(
    server: &Server,
    floors: &Floors,
    languages: &[Language],
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let request: Arc<[u8]> = client::request("POST", "/", &[], EVENT).into();
    let echo = |name, echo: &Echo| {
        Subject::new(name, Aim { address: echo.address(), request: Arc::clone(&request) })
    };
    let mut subjects =
        vec![echo("echo", &floors.apart), echo("Echo on the client's processor", &floors.beside)];
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
            subject.together.push(drive(&subject.aim, IN_FLIGHT, Until::Elapsed(effort.period)).await?);
        }
    }
    let (echo, others) = subjects.split_at(1);
    Ok(others.iter().flat_map(|other| other.figures(&echo[0])).collect())
}

/// Invokes `function` over and over.
pub(crate) fn aim(server: &Server, function: &str) -> Aim {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    Aim { address: server.address(), request: client::request("POST", &path, &[], EVENT).into() }
}

impl Subject {
    fn new(name: &'static str, aim: Aim) -> Self {
        Self { name, aim, alone: Vec::new(), together: Vec::new() }
    }

    fn figures(&self, echo: &Self) -> Vec<Figure> {
        let is_rust = self.name == "Rust";
        let times_floor = match self.name {
            "Rust" => Some(Target::TimesFloor(4.0)),
            "Python" | "Node" => Some(Target::TimesFloor(6.0)),
            _ => None,
        };
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
        let rates = |subject: &Self| subject.together.iter().map(|round| round.per_second).collect();
        vec![
            percentile(50, false, times_floor),
            percentile(99, false, None),
            percentile(50, true, None),
            percentile(99, true, None),
            Figure {
                topic: TOPIC,
                name: format!("{}, {IN_FLIGHT} in flight, throughput", self.name),
                unit: Unit::PerSecond,
                rounds: rates(self),
                floor_rounds: rates(echo),
                target: is_rust.then_some(Target::AtLeast(10_000.0)),
            },
        ]
    }
}
