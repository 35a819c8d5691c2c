//! Warm throughput with a thousand functions deployed, beside the same load on a server that has a few: what is deployed
//! and not invoked costs nothing.
//!
//! A round goes through both servers, load by load, so that what else the machine does hits both alike. The stored
//! functions are small and each has code of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::Effort;
use super::figure::{Figure, Target, Unit};
use super::firelet::{Server, creation};
use super::functions::Language;
use super::load::{Round, Until, drive_apart, drive_each};
use super::processors::Stay;
use super::warm::aim;

pub(crate) const TOPIC: &str = "stored";

const IN_FLIGHT: usize = 16;
const MANY: usize = 1_000;
/// As many as are invoked at once.
const FEW: usize = IN_FLIGHT;
/// Connections that fill a server.
const FILLING: usize = 64;
/// Throughput shall not fall; two runs on one server differ by a few in a hundred.
const TARGET: Target = Target::AtLeastTimesFloor(0.9);
const WARM_UP_TIME: Duration = Duration::from_millis(500);

/// Requests that are sent again and again, each over a connection of its own, and what came of them.
struct Load {
    title: String,
    requests: Vec<Arc<[u8]>>,
    rounds: Vec<Round>,
}

/// A server and its loads, the same for each server.
struct Subject {
    server: Server,
    loads: Vec<Load>,
}

/// `stored` is the language of the stored functions; one of each of `languages` is invoked besides.
pub(crate) async fn measure(
    binary: &Path,
    stored: &Language,
    languages: &[&Language],
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let few = Subject::fill(binary, FEW, stored, languages).await?;
    let many = Subject::fill(binary, MANY, stored, languages).await?;
    let mut subjects = [few, many];
    let _stay = Stay::as_client()?;
    for _ in 0..effort.rounds {
        for index in 0..subjects[0].loads.len() {
            for subject in &mut subjects {
                subject.drive(index, effort).await?;
            }
        }
    }
    let [few, many] = &subjects;
    Ok(many.loads.iter().zip(&few.loads).flat_map(|(many, few)| many.figures(few)).collect())
}

impl Subject {
    async fn fill(
        binary: &Path,
        functions: usize,
        stored: &Language,
        languages: &[&Language],
    ) -> anyhow::Result<Self> {
        let server = Server::start(binary)?;
        let creations = (0..functions).map(|number| creation(&name(number), stored, number));
        let creations = creations.collect::<anyhow::Result<_>>()?;
        let filled = drive_each(server.address(), creations, FILLING).await.map(drop);
        server.explain(filled).context("fill a server")?;
        for number in 0..functions {
            server.await_active(&name(number)).await?;
        }
        let mut loads = Vec::new();
        for language in languages {
            let name = format!("warm-{}", language.name.to_lowercase());
            server.deploy(&name, language, functions).await?;
            loads.push(Load::new(language.name.to_owned(), vec![aim(&server, &name).request; IN_FLIGHT]));
        }
        // From all over the store.
        let spread = (0..IN_FLIGHT).map(|number| aim(&server, &name(number * functions / IN_FLIGHT)).request);
        loads.push(Load::new(format!("{IN_FLIGHT} functions in {}", stored.name), spread.collect()));
        Ok(Self { server, loads })
    }

    async fn drive(&mut self, index: usize, effort: &Effort) -> anyhow::Result<()> {
        let (server, load) = (&self.server, &mut self.loads[index]);
        let drive = |period| drive_apart(server.address(), load.requests.clone(), Until::Elapsed(period));
        server.explain(drive(WARM_UP_TIME).await)?;
        let round = server.explain(drive(effort.period).await)?;
        load.rounds.push(round);
        Ok(())
    }
}

impl Load {
    fn new(title: String, requests: Vec<Arc<[u8]>>) -> Self {
        Self { title, requests, rounds: Vec::new() }
    }

    fn figures(&self, few: &Self) -> [Figure; 2] {
        let figure = |what: &str, unit, target, value: &dyn Fn(&Round) -> f64| Figure {
            topic: TOPIC,
            name: format!("{}, {IN_FLIGHT} in flight, {what}", self.title),
            unit,
            rounds: self.rounds.iter().map(value).collect(),
            floor_rounds: few.rounds.iter().map(value).collect(),
            target,
        };
        [
            figure("throughput", Unit::PerSecond, Some(TARGET), &|round| round.per_second),
            figure("p50", Unit::Microseconds, None, &|round| {
                Unit::Microseconds.of(round.latencies.percentile(50))
            }),
        ]
    }
}

fn name(number: usize) -> String {
    format!("stored-{number:04}")
}
