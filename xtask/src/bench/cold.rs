//! Cold starts: the first invocation of functions created a moment before, beside a bare start of the same program, and
//! a hundred of them at once; and beside the same on a server whose functions reach the outside.
//!
//! Every function has code of its own, so that nothing of it was unpacked before. Interpreters wait ahead, as many as the
//! server keeps by itself.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Effort;
use super::client::{self, Connection};
use super::figure::{Figure, Target, Unit};
use super::firelet::{Server, invocations};
use super::functions::{EVENT, Language};
use super::load::drive_each;
use super::samples::Samples;

pub(crate) const TOPIC: &str = "cold";

/// Functions that are invoked for the first time at once.
const BURST: usize = 100;
const BURST_TARGET_MILLISECONDS: f64 = 500.0;
const BURST_END_TARGET_MILLISECONDS: f64 = 2_000.0;

/// One cold start and what it is compared with.
struct Start {
    /// From request to answer, as the client sees it.
    total: Duration,
    /// As REPORT shows it: the sandbox, the interpreter, the bootstrap, the function's own initialisation.
    init: Duration,
    /// As REPORT shows it: the function's own work.
    duration: Duration,
    /// The bare interpreter.
    bare: Duration,
}

pub(crate) async fn measure(
    server: &Server,
    languages: &[&Language],
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let mut starts: Vec<Vec<Start>> = languages.iter().map(|_| Vec::new()).collect();
    // The first of each language finds caches cold that a server fills once in its life: it is made and not counted.
    for language in languages {
        invoke_first(server, language, 0).await?;
    }
    for number in 1..=effort.cold_starts {
        for (language, starts) in languages.iter().zip(&mut starts) {
            let bare = language.start_bare()?;
            let (total, log) = invoke_first(server, language, number).await?;
            let (init, duration) = (reported(&log, "Init Duration")?, reported(&log, "Duration")?);
            starts.push(Start { total, init, duration, bare });
        }
    }
    let mut figures: Vec<Figure> =
        languages.iter().zip(&starts).flat_map(|(language, starts)| figures(language, starts)).collect();
    if let Some(python) = languages.iter().find(|language| language.name == "Python") {
        figures.extend(burst(server, python).await?);
    }
    Ok(figures)
}

/// Creates a function and invokes it: how long that took, and its log.
async fn invoke_first(
    server: &Server,
    language: &Language,
    number: usize,
) -> anyhow::Result<(Duration, String)> {
    let name = format!("cold-{}-{number}", language.name.to_lowercase());
    server.deploy(&name, language, number + 1).await?;
    invoke(server, &name).await
}

/// Invokes a function, once as many interpreters wait as shall: how long that took, and its log.
pub(crate) async fn invoke(server: &Server, name: &str) -> anyhow::Result<(Duration, String)> {
    server.await_stock().await?;
    let request = client::request("POST", &invocations(name), &[("X-Amz-Log-Type", "Tail")], EVENT);
    let mut connection = Connection::open(server.address()).await?;
    let sent = Instant::now();
    let answer = connection.exchange(&request).await?;
    let total = sent.elapsed();
    answer.check().with_context(|| format!("invoke {name}"))?;
    let log = answer.header("X-Amz-Log-Result").context("the answer has no log")?;
    let log = BASE64_STANDARD.decode(log).context("decode the log")?;
    Ok((total, String::from_utf8_lossy(&log).into_owned()))
}

/// Invokes many functions for the first time, all at once.
async fn burst(server: &Server, language: &Language) -> anyhow::Result<Vec<Figure>> {
    let names: Vec<String> = (0..BURST).map(|number| format!("burst-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        server.deploy(name, language, 1_000 + number).await?;
    }
    server.await_stock().await?;
    let requests = names.iter().map(|name| client::request("POST", &invocations(name), &[], EVENT)).collect();
    let round = drive_each(server.address(), requests, BURST).await.context("invoke functions at once")?;
    let figure = |name: &str, percent, limit| Figure {
        topic: TOPIC,
        name: format!("{BURST} functions in {} at once, {name}", language.name),
        unit: Unit::Milliseconds,
        rounds: vec![Unit::Milliseconds.of(round.latencies.percentile(percent))],
        floor_rounds: Vec::new(),
        target: Some(Target::AtMost(limit)),
    };
    Ok(vec![
        figure("p50", 50, BURST_TARGET_MILLISECONDS),
        figure("the last answer", 100, BURST_END_TARGET_MILLISECONDS),
    ])
}

/// First invocations of functions that reach the outside, beside those of functions that do not; each by a server of its
/// own, in turns.
pub(crate) async fn measure_outbound(
    binary: &Path,
    language: &Language,
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let isolated = Server::start(binary)?;
    let outbound = Server::start_with(binary, &["--network", "nat"])?;
    let mut totals = [Vec::new(), Vec::new()];
    for number in 0..=effort.cold_starts {
        for (server, totals) in [&outbound, &isolated].into_iter().zip(&mut totals) {
            let (total, _) = server.explain(invoke_first(server, language, number).await)?;
            // As above, the first is not counted.
            if number > 0 {
                totals.push(total);
            }
        }
    }
    let [rounds, floor_rounds] =
        totals.map(|totals| vec![Unit::Milliseconds.of(Samples::new(totals).percentile(50))]);
    Ok(vec![Figure {
        topic: TOPIC,
        name: format!("{} with --network nat, p50, beside isolated", language.name),
        unit: Unit::Milliseconds,
        rounds,
        floor_rounds,
        target: None,
    }])
}

/// A field of the REPORT line.
pub(crate) fn reported(log: &str, name: &str) -> anyhow::Result<Duration> {
    let report = log.lines().find(|line| line.starts_with("REPORT ")).unwrap_or_default();
    let value = report.split('\t').find_map(|field| field.strip_prefix(name)?.strip_prefix(": "));
    let milliseconds = value.and_then(|value| value.strip_suffix(" ms")?.parse().ok());
    let milliseconds: f64 = milliseconds.ok_or_else(|| anyhow!("no {name} in the report {report:?}"))?;
    Ok(Duration::from_secs_f64(milliseconds / 1_000.0))
}

/// Milliseconds, and times a bare start of the program.
fn targets(language: &Language) -> (f64, f64) {
    match language.name {
        "Rust" => (3.0, 6.0),
        "Python" => (5.0, 0.4),
        _ => (15.0, 0.2),
    }
}

fn figures(language: &Language, starts: &[Start]) -> Vec<Figure> {
    let values = |pick: fn(&Start) -> Duration| Samples::new(starts.iter().map(pick).collect());
    let p50 = |pick: fn(&Start) -> Duration| Unit::Milliseconds.of(values(pick).percentile(50));
    let figure = |phase: &str, value, floor: Option<f64>, target| Figure {
        topic: TOPIC,
        name: format!("{}, {phase}", language.name),
        unit: Unit::Milliseconds,
        rounds: vec![value],
        floor_rounds: floor.into_iter().collect(),
        target,
    };
    let total = p50(|start| start.total);
    let bare = Some(p50(|start| start.bare));
    let last = Unit::Milliseconds.of(values(|start| start.total).percentile(100));
    let other = p50(|start| start.total.saturating_sub(start.init + start.duration));
    let (milliseconds, times) = targets(language);
    vec![
        figure("request to answer, p50", total, None, Some(Target::AtMost(milliseconds))),
        figure("  the same, beside a bare start", total, bare, Some(Target::TimesFloor(times))),
        figure("  the longest", last, None, None),
        figure("  of p50: code and hand-over", other, None, None),
        figure("  of p50: Init Duration", p50(|start| start.init), None, None),
        figure("  of p50: Duration", p50(|start| start.duration), None, None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_by_field() {
        let log = "START RequestId: a\nREPORT RequestId: a\tDuration: 1.50 ms\tBilled Duration: 2 ms\t\
                   Memory Size: 128 MB\tMax Memory Used: 10 MB\tInit Duration: 20.25 ms\t\n";
        assert_eq!(reported(log, "Duration").unwrap(), Duration::from_micros(1_500));
        assert_eq!(reported(log, "Init Duration").unwrap(), Duration::from_micros(20_250));
        assert!(reported("START RequestId: a\n", "Duration").is_err());
    }
}
