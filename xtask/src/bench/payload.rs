//! Large payloads: the most that an invocation takes, to a function and back, beside two sockets that pass it on.

use std::path::Path;

use super::Effort;
use super::client;
use super::figure::{Figure, Target, Unit};
use super::firelet::{Server, invocations};
use super::functions::Language;
use super::load::{Aim, Round, Until, drive};
use super::processors::Stay;
use super::sockets::{self, Sockets};

pub(crate) const TOPIC: &str = "payload";

/// Where the function stands in the workspace: it answers with what it got, and does little else.
pub(crate) const BOOTSTRAP: &str = "xtask/src/bench/payload_bootstrap.py";

const SIZE: usize = 6 * 1024 * 1024;
const FUNCTION: &str = "payload";
const TARGET: Target = Target::TimesFloor(2.0);
/// So many answers are thrown away at the start.
const WARM_UP: usize = 10;

/// A JSON string.
pub(crate) fn content() -> Vec<u8> {
    let mut content = vec![b'x'; SIZE];
    content[0] = b'"';
    content[SIZE - 1] = b'"';
    content
}

/// `echo` has to answer with what it got.
pub(crate) async fn measure(
    server: &Server,
    program: &Path,
    echo: &Language,
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let sockets = Sockets::start(program)?;
    server.deploy(FUNCTION, echo, 0).await?;
    let request = client::request("POST", &invocations(FUNCTION), &[], &content());
    let function = Aim { address: server.address(), request: request.into() };
    let floor = Aim { address: sockets.address(), request: sockets::message().into() };
    let _stay = Stay::as_client()?;
    for aim in [&floor, &function] {
        drive(aim, 1, Until::Count(WARM_UP)).await?;
    }
    let (mut rounds, mut floor_rounds) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        floor_rounds.push(drive(&floor, 1, Until::Count(effort.payloads)).await?);
        rounds.push(drive(&function, 1, Until::Count(effort.payloads)).await?);
    }
    let percentile = |percent: usize, target| {
        let values = |rounds: &[Round]| {
            let percentiles = rounds.iter().map(|round| round.latencies.percentile(percent));
            percentiles.map(|duration| Unit::Milliseconds.of(duration)).collect()
        };
        Figure {
            topic: TOPIC,
            name: format!("6 MB both ways, 1 in flight, p{percent}"),
            unit: Unit::Milliseconds,
            rounds: values(&rounds),
            floor_rounds: values(&floor_rounds),
            target,
        }
    };
    let memory = Figure {
        topic: TOPIC,
        name: "the server's most memory".to_owned(),
        unit: Unit::Megabytes,
        rounds: vec![server.peak_kilobytes() as f64 / 1_024.0],
        floor_rounds: Vec::new(),
        target: None,
    };
    Ok(vec![percentile(50, Some(TARGET)), percentile(90, None), memory])
}
