//! Calls of the control plane with many functions stored, beside the same calls with few: no call may take longer
//! because more is stored.
//!
//! Both servers are filled through the API, and a round goes through both, so that what else the machine does hits
//! both alike; what a round created is deleted at once.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{self, Answer, Connection};
use super::figure::{Figure, Target, Unit};
use super::firelet::Server;
use super::functions::Language;
use super::load::{Round, Until, drive, drive_each};
use super::{Effort, load};

pub(crate) const TOPIC: &str = "control";

/// Each round goes through both stores so many times, a part of its calls each time.
const SLICES: usize = 4;
/// Two pages of a list, so that its last page is not its first.
const FEW: usize = 100;
const VERSIONS: usize = 5;
const IN_FLIGHT: usize = 16;
/// Connections that fill a store: commits are shared by all calls that wait for one.
const FILLING: usize = 64;
const PAGE: usize = 50;
const TARGET: Target = Target::TimesFloor(1.5);
/// Steps through the names of a store so that neighbours in time are none in the store.
const STRIDE: usize = 7_919;
const FUNCTIONS: &str = "/2015-03-31/functions";
/// The status of an update that comes before the last one is in effect.
const CONFLICT: u16 = 409;
const PAUSE: Duration = Duration::from_millis(1);

/// What is measured of each store; of the first two with so many calls in flight.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Get(usize),
    Create(usize),
    List(Page),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    First,
    Middle,
    Last,
}

const MEASURES: [Measure; 7] = [
    Measure::Get(1),
    Measure::Get(IN_FLIGHT),
    Measure::Create(1),
    Measure::Create(IN_FLIGHT),
    Measure::List(Page::First),
    Measure::List(Page::Middle),
    Measure::List(Page::Last),
];

/// The code of every function.
struct Code {
    runtime: String,
    handler: &'static str,
    /// One package a version, encoded.
    packages: Vec<String>,
}

/// A server with functions stored, and what it showed: the rounds of each measure.
struct Subject {
    server: Server,
    functions: usize,
    /// The requests for the first, the middle and the last page.
    pages: [Arc<[u8]>; 3],
    code: Arc<Code>,
    /// Versions published a second while the store was filled.
    per_second: f64,
    rounds: [Vec<Round>; MEASURES.len()],
}

pub(crate) async fn measure(
    binary: &Path,
    language: &Language,
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let code = Arc::new(Code::of(language)?);
    let few = Subject::fill(binary, FEW, &code).await?;
    let many = Subject::fill(binary, effort.stored_functions, &code).await?;
    let mut subjects = [few, many];
    for round in 0..=effort.rounds * SLICES {
        for (index, measure) in MEASURES.into_iter().enumerate() {
            for subject in &mut subjects {
                let measured = subject.measure(measure, effort).await;
                let measured =
                    measured.with_context(|| format!("the log ends:\n{}", subject.server.log()))?;
                // The first round finds caches cold and is thrown away.
                if round > 0 {
                    subject.rounds[index].push(measured);
                }
            }
        }
        // What the one left the disk to do is the other's turn to wait for.
        subjects.reverse();
    }
    subjects.sort_by_key(|subject| subject.functions);
    let [few, many] = &subjects;
    Ok(many.figures(few))
}

impl Subject {
    /// Starts a server and fills it with functions of [`VERSIONS`] published versions each.
    async fn fill(binary: &Path, functions: usize, code: &Arc<Code>) -> anyhow::Result<Self> {
        let server = Server::start(binary)?;
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for worker in 0..FILLING {
            let connection = Connection::open(server.address()).await?;
            workers.spawn(fill(connection, (worker..functions).step_by(FILLING), Arc::clone(code)));
        }
        while let Some(worker) = workers.join_next().await {
            worker.context("fill a store")??;
        }
        let per_second = load::count(functions * VERSIONS) / started.elapsed().as_secs_f64();
        let pages = pages(&server, functions).await?;
        let code = Arc::clone(code);
        Ok(Self { server, functions, pages, code, per_second, rounds: Default::default() })
    }

    async fn measure(&self, measure: Measure, effort: &Effort) -> anyhow::Result<Round> {
        let address = self.server.address();
        match measure {
            Measure::Get(in_flight) => {
                let requests =
                    (0..effort.samples / SLICES).map(|number| get(number * STRIDE % self.functions));
                drive_each(address, requests.collect(), in_flight).await
            }
            Measure::Create(in_flight) => {
                let name = |number| format!("new-{number:05}");
                let count = effort.samples / 5 / SLICES;
                let creations = (0..count).map(|number| self.code.creation(&name(number), false));
                let round = drive_each(address, creations.collect(), in_flight).await?;
                let path = |number| format!("{FUNCTIONS}/{}", name(number));
                let deletions = (0..count).map(|number| client::request("DELETE", &path(number), &[], b""));
                drive_each(address, deletions.collect(), IN_FLIGHT).await?;
                Ok(round)
            }
            Measure::List(page) => {
                let aim = load::Aim { address, request: Arc::clone(&self.pages[page as usize]) };
                drive(&aim, 1, Until::Count(effort.samples / 5 / SLICES)).await
            }
        }
    }

    fn figures(&self, few: &Self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (index, measure) in MEASURES.into_iter().enumerate() {
            let (rounds, floor_rounds) = (&self.rounds[index], &few.rounds[index]);
            let figure = |what: &str, unit, target, value: &dyn Fn(&Round) -> f64| Figure {
                topic: TOPIC,
                name: format!("{}, {what}", measure.title()),
                unit,
                rounds: rounds.iter().map(value).collect(),
                floor_rounds: floor_rounds.iter().map(value).collect(),
                target,
            };
            let percentile = |percent: usize, target| {
                let value = |round: &Round| Unit::Microseconds.of(round.latencies.percentile(percent));
                figure(&format!("p{percent}"), Unit::Microseconds, target, &value)
            };
            figures.extend([percentile(50, Some(TARGET)), percentile(99, None)]);
            if !matches!(measure, Measure::List(_)) {
                figures.push(figure("throughput", Unit::PerSecond, None, &|round| round.per_second));
            }
        }
        figures.push(Figure {
            topic: TOPIC,
            name: format!("Filling with {} functions, published versions", self.functions),
            unit: Unit::PerSecond,
            rounds: vec![self.per_second],
            floor_rounds: Vec::new(),
            target: None,
        });
        figures
    }
}

impl Code {
    fn of(language: &Language) -> anyhow::Result<Self> {
        let packages = (0..VERSIONS).map(|number| Ok(BASE64_STANDARD.encode(language.package(number)?)));
        Ok(Self {
            runtime: language.runtime.clone(),
            handler: language.handler,
            packages: packages.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The request that creates a function.
    fn creation(&self, name: &str, publish: bool) -> Vec<u8> {
        let body = json!({
            "FunctionName": name,
            "Runtime": self.runtime,
            "Handler": self.handler,
            "Role": "arn:aws:iam::000000000000:role/bench",
            "Publish": publish,
            "Code": { "ZipFile": self.packages[0] },
        });
        client::request("POST", FUNCTIONS, &[], body.to_string().as_bytes())
    }

    /// The requests that give a function its further versions.
    fn updates(&self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        self.packages[1..].iter().map(move |package| {
            let body = json!({ "ZipFile": package, "Publish": true }).to_string();
            client::request("PUT", &format!("{FUNCTIONS}/{name}/code"), &[], body.as_bytes())
        })
    }
}

impl Measure {
    fn title(self) -> String {
        match self {
            Self::Get(in_flight) => format!("GetFunction, {in_flight} in flight"),
            Self::Create(in_flight) => format!("CreateFunction, {in_flight} in flight"),
            Self::List(Page::First) => "ListFunctions, first page".to_owned(),
            Self::List(Page::Middle) => "ListFunctions, middle page".to_owned(),
            Self::List(Page::Last) => "ListFunctions, last page".to_owned(),
        }
    }
}

/// Creates the functions of `numbers` with all their versions, which differ in their code.
async fn fill(
    mut connection: Connection,
    numbers: impl Iterator<Item = usize>,
    code: Arc<Code>,
) -> anyhow::Result<()> {
    for number in numbers {
        let name = stored(number);
        connection.exchange(&code.creation(&name, true)).await?.check()?;
        for update in code.updates(&name) {
            while !is_taken(&connection.exchange(&update).await?)? {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}

/// Whether an update was taken; false when the one before it is not yet in effect.
fn is_taken(answer: &Answer<'_>) -> anyhow::Result<bool> {
    if answer.status == CONFLICT {
        return Ok(false);
    }
    answer.check().map(|()| true)
}

fn stored(number: usize) -> String {
    format!("function-{number:05}")
}

fn get(number: usize) -> Vec<u8> {
    client::request("GET", &format!("{FUNCTIONS}/{}", stored(number)), &[], b"")
}

/// Follows the list once; the requests for its first, its middle and its last page, which are all full.
async fn pages(server: &Server, functions: usize) -> anyhow::Result<[Arc<[u8]>; 3]> {
    let mut connection = Connection::open(server.address()).await?;
    let mut requests: Vec<Arc<[u8]>> = Vec::new();
    let mut path = Some(format!("{FUNCTIONS}/?MaxItems={PAGE}"));
    while let Some(next) = path {
        let request: Arc<[u8]> = client::request("GET", &next, &[], b"").into();
        let answer = connection.exchange(&request).await?;
        answer.check().context("list functions")?;
        let page: Value = serde_json::from_slice(answer.body).context("read ListFunctions")?;
        let count = page["Functions"].as_array().map_or(0, Vec::len);
        ensure!(count == PAGE, "a page of the list has {count} functions");
        requests.push(request);
        path =
            page["NextMarker"].as_str().map(|marker| format!("{FUNCTIONS}/?MaxItems={PAGE}&Marker={marker}"));
    }
    let count = requests.len();
    ensure!(count * PAGE == functions, "the list has {count} pages");
    Ok([0, count / 2, count - 1].map(|index| Arc::clone(&requests[index])))
}
