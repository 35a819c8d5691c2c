//! First invocations and idle environments of versions that start from a snapshot, beside those of the same functions
//! without one.
//!
//! A function for each, so that every environment is the first of its kind: its `$LATEST` runs Init as any function does,
//! its version goes on from the snapshot that was made when it was published.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Effort;
use super::cold::{invoke, reported};
use super::density::{kilobytes_each, per_gibibyte};
use super::figure::{Figure, Unit};
use super::firelet::Server;
use super::functions::Language;
use super::samples::Samples;

pub(crate) const TOPIC: &str = "snapshot";

const FUNCTION: &str = "idle";

/// What one function showed.
struct Start {
    /// From PublishVersion until the version is active.
    publishing: Duration,
    /// From request to answer, as the client sees it: from a snapshot, and without one.
    total: Duration,
    plain_total: Duration,
    /// As REPORT shows them.
    restore: Duration,
    plain_init: Duration,
}

/// `language` has to be one whose versions start from snapshots.
pub(crate) async fn measure(
    server: &Server,
    language: &Language,
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    // As with all cold starts, the first is not counted.
    start(server, language, 0).await?;
    ensure!(server.snapshot_bytes().await? > 0, "no process was kept: Init is run anew instead");
    let mut starts = Vec::new();
    for number in 1..=effort.cold_starts {
        starts.push(start(server, language, number).await?);
    }
    Ok(figures(language, &starts))
}

async fn start(server: &Server, language: &Language, number: usize) -> anyhow::Result<Start> {
    let name = format!("snapshot-{number}");
    server.deploy(&name, language, number).await?;
    server.await_stock().await?;
    let published = Instant::now();
    let version = server.publish(&name).await?;
    let publishing = published.elapsed();
    let (plain_total, plain_log) = invoke(server, &name).await?;
    let (total, log) = invoke(server, &version).await?;
    let (restore, plain_init) = (reported(&log, "Restore Duration")?, reported(&plain_log, "Init Duration")?);
    Ok(Start { publishing, total, plain_total, restore, plain_init })
}

/// Idle environments of the version and of the function that it is of, each on a server of its own.
pub(crate) async fn measure_density(binary: &Path, language: &Language) -> anyhow::Result<Vec<Figure>> {
    let plain = {
        let server = Server::start(binary)?;
        server.deploy(FUNCTION, language, 0).await?;
        server.explain(kilobytes_each(&server, FUNCTION).await)?
    };
    let server = Server::start(binary)?;
    server.deploy(FUNCTION, language, 0).await?;
    let version = server.publish(FUNCTION).await?;
    let restored = server.explain(kilobytes_each(&server, &version).await)?;
    let figure = |name: &str, unit, value: fn(f64) -> f64| Figure {
        topic: TOPIC,
        name: format!("{}, {name}", language.name),
        unit,
        rounds: vec![value(restored)],
        floor_rounds: vec![value(plain)],
        target: None,
    };
    Ok(vec![
        figure("an idle environment", Unit::Megabytes, |each| each / 1_024.0),
        figure("idle environments in a GiB", Unit::Count, per_gibibyte),
    ])
}

fn figures(language: &Language, starts: &[Start]) -> Vec<Figure> {
    let percentile = |percent, pick: fn(&Start) -> Duration| {
        let samples = Samples::new(starts.iter().map(pick).collect());
        vec![Unit::Milliseconds.of(samples.percentile(percent))]
    };
    let figure = |name: &str, rounds, floor_rounds| Figure {
        topic: TOPIC,
        name: format!("{}, {name}", language.name),
        unit: Unit::Milliseconds,
        rounds,
        floor_rounds,
        target: None,
    };
    let beside =
        |percent| (percentile(percent, |start| start.total), percentile(percent, |start| start.plain_total));
    let (p50, plain_p50) = beside(50);
    let (longest, plain_longest) = beside(100);
    vec![
        figure("request to answer, p50", p50, plain_p50),
        figure("  the longest", longest, plain_longest),
        figure(
            "  of p50: Restore Duration, beside Init Duration",
            percentile(50, |start| start.restore),
            percentile(50, |start| start.plain_init),
        ),
        figure("PublishVersion to active, p50", percentile(50, |start| start.publishing), Vec::new()),
    ]
}
