//! The server itself: how fast it starts on an empty data directory, what it holds when idle, how large it is.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::Effort;
use super::bare;
use super::figure::{Figure, Target, Unit};
use super::firelet::{Memory, Server, resident};
use super::floor::Floor;

pub(crate) const TOPIC: &str = "start";

const START_TARGET_MILLISECONDS: f64 = 100.0;
const SERVER_MEMORY_TARGET_MEGABYTES: f64 = 12.0;
const MEMORY_TARGET_MEGABYTES: f64 = 30.0;
const BINARY_TARGET_MEGABYTES: f64 = 30.0;
/// What a server does first is over by then.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn measure(binary: &Path, echo: &Floor, effort: &Effort) -> anyhow::Result<Vec<Figure>> {
    let (mut starts, mut bare_starts) = (Vec::new(), Vec::new());
    for _ in 0..effort.server_starts {
        let version = bare::until_end(bare::quiet(binary).arg("version"))?;
        bare_starts.push(Unit::Milliseconds.of(version));
        starts.push(Unit::Milliseconds.of(Server::start(binary)?.start_up));
    }
    let server = Server::start(binary)?;
    thread::sleep(SETTLE);
    let Memory { server_kilobytes, helpers_kilobytes } = server.memory();
    let echo_kilobytes = resident(&echo.pid().to_string());
    let size = fs::metadata(binary).with_context(|| format!("inspect {}", binary.display()))?.len();
    let figure = |name: &str, unit, rounds, floor_rounds, target: Option<f64>| Figure {
        topic: TOPIC,
        name: name.to_owned(),
        unit,
        rounds,
        floor_rounds,
        target: target.map(Target::AtMost),
    };
    let megabytes = |kilobytes: u64| vec![kilobytes as f64 / 1_024.0];
    let both = megabytes(server_kilobytes + helpers_kilobytes);
    Ok(vec![
        figure(
            "spawn to healthy, empty data directory",
            Unit::Milliseconds,
            starts,
            bare_starts,
            Some(START_TARGET_MILLISECONDS),
        ),
        figure(
            "idle memory, server and helper",
            Unit::Megabytes,
            both,
            megabytes(echo_kilobytes),
            Some(MEMORY_TARGET_MEGABYTES),
        ),
        figure(
            "  of it: server",
            Unit::Megabytes,
            megabytes(server_kilobytes),
            Vec::new(),
            Some(SERVER_MEMORY_TARGET_MEGABYTES),
        ),
        figure("  of it: helper", Unit::Megabytes, megabytes(helpers_kilobytes), Vec::new(), None),
        figure(
            "release binary",
            Unit::Megabytes,
            megabytes(size.div_ceil(1_024)),
            Vec::new(),
            Some(BINARY_TARGET_MEGABYTES),
        ),
    ])
}
