//! `cargo xtask bench`: measures a release build of firelet beside what the same machine can do at best.
//!
//! Every figure stands beside a floor measured in the same run. Timings are shown and never asserted: the exit status
//! is 1 only when something could not be measured.

mod bare;
mod client;
mod cold;
mod control;
mod density;
mod echo;
mod figure;
mod firelet;
mod functions;
mod interpreters;
mod load;
mod machine;
mod processors;
mod samples;
mod start;
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

use self::echo::Echo;
pub(crate) use self::echo::{COMMAND as FLOOR_COMMAND, serve as serve_floor};
use self::figure::Figure;
use self::firelet::Server;
use self::functions::Language;
use self::machine::Machine;
pub(crate) use self::processors::Place;

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
    /// The first invocation of new functions.
    Cold,
    /// Idle environments in memory.
    Density,
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
    /// Functions in the store that is called many.
    stored_functions: usize,
    server_starts: usize,
}

const THOROUGH: Effort = Effort {
    rounds: 3,
    samples: 5_000,
    period: Duration::from_secs(3),
    cold_starts: 20,
    stored_functions: 10_000,
    server_starts: 11,
};

const QUICK: Effort = Effort {
    rounds: 1,
    samples: 1_000,
    period: Duration::from_secs(1),
    cold_starts: 5,
    stored_functions: 1_000,
    server_starts: 3,
};

/// The echo servers.
pub(crate) struct Floors {
    /// What figures are compared with.
    apart: Echo,
    /// Shown beside them.
    beside: Echo,
}

/// Everything that is measured, and with what.
struct Bench {
    binary: PathBuf,
    languages: Vec<Language>,
    sleeper: Language,
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
    fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        Ok(Self {
            apart: Echo::start(&program, Place::Apart)?,
            beside: Echo::start(&program, Place::Beside)?,
        })
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
        Ok(Self {
            binary,
            sleeper: Language::sleeping(python.clone()),
            languages: vec![Language::rust(&rust)?, Language::python(python), Language::node(node)],
            floors: Floors::start()?,
            effort: if options.quick { &QUICK } else { &THOROUGH },
        })
    }

    fn measure(&self, topic: Topic) -> anyhow::Result<Vec<Figure>> {
        if topic == Topic::Start {
            return start::measure(&self.binary, &self.floors.apart, self.effort);
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the client")?;
        if topic == Topic::Control {
            let python = self.languages.iter().find(|language| language.name == PYTHON);
            let python = python.context("there is no Python function")?;
            return runtime.block_on(control::measure(&self.binary, python, self.effort));
        }
        let server = Server::start(&self.binary)?;
        let measured = runtime.block_on(async {
            match topic {
                Topic::Warm => warm::measure(&server, &self.floors, &self.languages, self.effort).await,
                Topic::Density => density::measure(&server, &self.sleeper).await,
                _ => cold::measure(&server, &self.languages, self.effort).await,
            }
        });
        measured.with_context(|| format!("the server's last words:\n{}\n", server.log()))
    }
}

impl Topic {
    fn title(self) -> &'static str {
        match self {
            Self::Warm => {
                "Warm invocations, beside a bare hyper echo server on other processors than the client's"
            }
            Self::Cold => "Cold starts, beside a bare start of the same program",
            Self::Density => "Idle environments, by what the machine has available",
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
const PYTHON: &str = "Python";

fn write(path: &Path, machine: &Machine, figures: &[Figure], problems: &[String]) -> anyhow::Result<()> {
    let figures: Vec<_> = figures.iter().map(Figure::to_json).collect();
    let report = json!({ "machine": machine, "figures": figures, "problems": problems });
    fs::write(path, format!("{report:#}\n")).with_context(|| format!("write {}", path.display()))
}
