//! `cargo xtask bench`: measures a release build of firelet beside what the same machine can do at best.
//!
//! Every figure stands beside a floor measured in the same run. Timings are shown and never asserted: the exit status
//! is 1 only when something could not be measured.

mod bare;
mod bare_loop;
mod client;
mod cold;
mod control;
mod density;
mod echo;
mod figure;
mod firelet;
mod floor;
mod functions;
mod interpreters;
mod load;
mod machine;
mod payload;
mod processors;
mod samples;
mod snapshot;
mod sockets;
mod start;
mod stored;
mod warm;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::commands::{self, cargo, target_directory};
use crate::examples::{self, EXAMPLES};

pub(crate) use self::bare_loop::{COMMAND as LOOP_COMMAND, serve as serve_loop};
pub(crate) use self::echo::{COMMAND as FLOOR_COMMAND, serve as serve_floor};
use self::figure::Figure;
use self::firelet::Server;
use self::floor::Floor;
use self::functions::Language;
use self::machine::Machine;
pub(crate) use self::processors::Place;
pub(crate) use self::sockets::{COMMAND as SOCKETS_COMMAND, serve as serve_sockets};

/// Options of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Options {
    /// Write all figures and facts about the machine to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure only this; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Topic>,
    /// Few samples, for a first impression.
    #[arg(long)]
    quick: bool,
    /// Measure this binary instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Topic {
    /// Latency and throughput of functions that have started.
    Warm,
    /// Throughput with many functions deployed.
    Stored,
    /// The first invocation of new functions.
    Cold,
    /// The first invocation and idle environments of versions that start from a snapshot.
    Snapshot,
    /// Idle environments in memory.
    Density,
    /// The largest payloads.
    Payload,
    /// Calls of the control plane with many functions stored.
    Control,
    /// The server's start-up time, idle memory and size.
    Start,
}

/// How much is measured.
pub(crate) struct Effort {
    /// Rounds of load; medians over them are shown.
    rounds: usize,
    /// Answers in a round with one request in flight.
    samples: usize,
    /// How long a round with many in flight takes.
    period: Duration,
    cold_starts: usize,
    /// Large payloads in a round.
    payloads: usize,
    /// Functions in the store that is called many.
    stored_functions: usize,
    server_starts: usize,
}

const THOROUGH: Effort = Effort {
    rounds: 3,
    samples: 5_000,
    period: Duration::from_secs(3),
    cold_starts: 20,
    payloads: 100,
    stored_functions: 10_000,
    server_starts: 11,
};

const QUICK: Effort = Effort {
    rounds: 1,
    samples: 1_000,
    period: Duration::from_secs(1),
    cold_starts: 5,
    payloads: 20,
    stored_functions: 1_000,
    server_starts: 3,
};

/// The echo servers.
pub(crate) struct Floors {
    /// What figures are compared with.
    apart: Floor,
    /// Shown beside them.
    beside: Floor,
}

/// Everything that is measured, and with what.
struct Bench {
    binary: PathBuf,
    /// This program, whose children the floors are.
    program: PathBuf,
    rust: Language,
    /// What its package holds.
    rust_program: PathBuf,
    python: Language,
    node: Language,
    sleeping: Language,
    importing: Language,
    /// Answers with what it got.
    payload_echo: Language,
    floors: Floors,
    effort: &'static Effort,
}

/// Measures, in a release build of this program: an unoptimised client or floor would flatter every ratio.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    if !cfg!(debug_assertions) {
        return measure(root, options);
    }
    build(root, "xtask")?;
    let program = target_directory(root).join("release/xtask");
    Err(Command::new(&program).args(std::env::args_os().skip(1)).exec())
        .with_context(|| format!("become {}", program.display()))
}

fn measure(root: &Path, options: &Options) -> anyhow::Result<()> {
    let bench = Bench::prepare(root, options)?;
    let machine = Machine::here();
    anstream::println!("{}", machine.describe());
    let mut figures = Vec::new();
    let mut problems = Vec::new();
    for topic in Topic::value_variants() {
        if !options.only.is_empty() && !options.only.contains(topic) {
            continue;
        }
        match bench.measure(*topic) {
            Ok(measured) => {
                figure::print(topic.title(), &measured);
                figures.extend(measured);
            }
            Err(error) => problems.push(format!("{}: {error:#}", topic.title())),
        }
    }
    if let Some(path) = &options.json {
        write(path, &machine, &figures, &problems)?;
    }
    if problems.is_empty() { Ok(()) } else { bail!("could not be measured:\n{}", problems.join("\n")) }
}

impl Floors {
    fn start(program: &Path) -> anyhow::Result<Self> {
        Ok(Self { apart: echo::start(program, Place::Apart)?, beside: echo::start(program, Place::Beside)? })
    }
}

impl Bench {
    /// Builds what is measured and starts the floor.
    fn prepare(root: &Path, options: &Options) -> anyhow::Result<Self> {
        let binary = match &options.binary {
            Some(binary) => binary.clone(),
            None => {
                build(root, "firelet")?;
                target_directory(root).join("release/firelet")
            }
        };
        let rust = rust_function(root)?;
        let [python, node] = interpreters::find(&binary)?;
        let python = python.context("firelet finds no Python on this host")?;
        let node = node.context("firelet finds no Node.js on this host")?;
        let program = std::env::current_exe().context("find this program")?;
        Ok(Self {
            binary,
            rust: Language::bootstrap("Rust", &rust)?,
            rust_program: rust,
            sleeping: Language::sleeping(python.clone()),
            importing: Language::importing(python.clone()),
            python: Language::python(python),
            node: Language::node(node),
            payload_echo: Language::bootstrap("Payload", &root.join(payload::BOOTSTRAP))?,
            floors: Floors::start(&program)?,
            program,
            effort: if options.quick { &QUICK } else { &THOROUGH },
        })
    }

    fn measure(&self, topic: Topic) -> anyhow::Result<Vec<Figure>> {
        if topic == Topic::Start {
            return start::measure(&self.binary, &self.floors.apart, self.effort);
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the client")?;
        runtime.block_on(async {
            match topic {
                Topic::Control => control::measure(&self.binary, &self.python, self.effort).await,
                Topic::Stored => {
                    let languages = [&self.rust, &self.python];
                    stored::measure(&self.binary, &self.python, &languages, self.effort).await
                }
                Topic::Cold => {
                    let mut figures = self.measure_on_one_server(topic).await?;
                    figures.extend(cold::measure_outbound(&self.binary, &self.python, self.effort).await?);
                    Ok(figures)
                }
                Topic::Snapshot => {
                    let mut figures = self.measure_on_one_server(topic).await?;
                    figures.extend(snapshot::measure_density(&self.binary, &self.importing).await?);
                    Ok(figures)
                }
                _ => self.measure_on_one_server(topic).await,
            }
        })
    }

    async fn measure_on_one_server(&self, topic: Topic) -> anyhow::Result<Vec<Figure>> {
        let languages = [&self.rust, &self.python, &self.node];
        let server = Server::start(&self.binary)?;
        let measured = match topic {
            Topic::Warm => {
                let start = |count| bare_loop::start(&self.program, &self.rust_program, count);
                let loops = warm::Loops { few: start(warm::FEW)?, many: start(warm::IN_FLIGHT)? };
                warm::measure(&server, &self.floors, &loops, &languages, self.effort).await
            }
            Topic::Density => density::measure(&server, &self.sleeping).await,
            Topic::Payload => payload::measure(&server, &self.program, &self.payload_echo, self.effort).await,
            Topic::Snapshot => snapshot::measure(&server, &self.importing, self.effort).await,
            _ => cold::measure(&server, &languages, self.effort).await,
        };
        server.explain(measured)
    }
}

impl Topic {
    fn title(self) -> &'static str {
        match self {
            Self::Warm => {
                "Warm invocations, beside a bare hyper echo server on other processors than the client's"
            }
            Self::Stored => "Warm invocations with 1,000 functions deployed, beside the same with 16",
            Self::Cold => "Cold starts, beside a bare start of the same program",
            Self::Snapshot => "Versions that start from a snapshot, beside the same functions without one",
            Self::Density => "Idle environments, by what the machine has available",
            Self::Payload => "Large payloads, beside two loopback sockets that pass them on",
            Self::Control => {
                "The control plane with many functions stored, beside the same calls with a hundred"
            }
            Self::Start => "The server, beside a bare start of its binary and the echo server's memory",
        }
    }
}

fn build(root: &Path, package: &str) -> anyhow::Result<()> {
    commands::run(cargo(root).args(["build", "--release", "--locked", "--package", package]))
}

/// The bootstrap of the Rust example, an unmodified `lambda_runtime` program.
fn rust_function(root: &Path) -> anyhow::Result<PathBuf> {
    let rust = EXAMPLES.into_iter().find(|example| example.name == RUST).context("no Rust example")?;
    examples::build(root, rust)?;
    Ok(examples::directory(root).join(RUST).join("bootstrap"))
}

const RUST: &str = "rust-hello";

fn write(path: &Path, machine: &Machine, figures: &[Figure], problems: &[String]) -> anyhow::Result<()> {
    let figures: Vec<_> = figures.iter().map(Figure::to_json).collect();
    let report = json!({ "machine": machine, "figures": figures, "problems": problems });
    fs::write(path, format!("{report:#}\n")).with_context(|| format!("write {}", path.display()))
}
