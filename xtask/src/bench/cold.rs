//! Cold starts: the first invocation of functions created a moment before, beside a bare start of the same program.
//!
//! What sandbox and hand-over cost is what remains of the whole when the same runtime, with the same bootstrap and
//! function, starts without a sandbox. Every function has code of its own, so that nothing of it was unpacked before.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Effort;
use super::client::{self, Connection};
use super::figure::{Figure, Target, Unit};
use super::firelet::Server;
use super::functions::{EVENT, Language};
use super::samples::Samples;

pub(crate) const TOPIC: &str = "cold";

const SANDBOX_TARGET_MILLISECONDS: f64 = 10.0;

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
    /// Interpreter, bootstrap and function without a sandbox, until it asks for its first event.
    runtime: Duration,
}

pub(crate) async fn measure(
    server: &Server,
    languages: &[Language],
    effort: &Effort,
) -> anyhow::Result<Vec<Figure>> {
    let mut starts: Vec<Vec<Start>> = languages.iter().map(|_| Vec::new()).collect();
    // The first of each language finds caches cold that a server fills once in its life: it is made and not counted.
    for language in languages {
        invoke_first(server, language, 0).await?;
    }
    for number in 1..=effort.cold_starts {
        for (language, starts) in languages.iter().zip(&mut starts) {
            let (bare, runtime) = (language.start_bare()?, language.start_runtime(server)?);
            let (total, log) = invoke_first(server, language, number).await?;
            let (init, duration) = (reported(&log, "Init Duration")?, reported(&log, "Duration")?);
            starts.push(Start { total, init, duration, bare, runtime });
        }
    }
    Ok(languages.iter().zip(&starts).flat_map(|(language, starts)| figures(language, starts)).collect())
}

/// Creates a function and invokes it: how long that took, and its log.
async fn invoke_first(
    server: &Server,
    language: &Language,
    number: usize,
) -> anyhow::Result<(Duration, String)> {
    let name = format!("cold-{}-{number}", language.name.to_lowercase());
    server.deploy(&name, language, number + 1).await?;
    let path = format!("/2015-03-31/functions/{name}/invocations");
    let request = client::request("POST", &path, &[("X-Amz-Log-Type", "Tail")], EVENT);
    let mut connection = Connection::open(server.address()).await?;
    let sent = Instant::now();
    let answer = connection.exchange(&request).await?;
    let total = sent.elapsed();
    answer.check().with_context(|| format!("invoke {name}"))?;
    let log = answer.header("X-Amz-Log-Result").context("the answer has no log")?;
    let log = BASE64_STANDARD.decode(log).context("decode the log")?;
    Ok((total, String::from_utf8_lossy(&log).into_owned()))
}

/// A field of the REPORT line.
fn reported(log: &str, name: &str) -> anyhow::Result<Duration> {
    let report = log.lines().find(|line| line.starts_with("REPORT ")).unwrap_or_default();
    let value = report.split('\t').find_map(|field| field.strip_prefix(name)?.strip_prefix(": "));
    let milliseconds = value.and_then(|value| value.strip_suffix(" ms")?.parse().ok());
    let milliseconds: f64 = milliseconds.ok_or_else(|| anyhow!("no {name} in the report {report:?}"))?;
    Ok(Duration::from_secs_f64(milliseconds / 1_000.0))
}

fn figures(language: &Language, starts: &[Start]) -> Vec<Figure> {
    let p50 = |pick: fn(&Start) -> Duration| {
        let samples = Samples::new(starts.iter().map(pick).collect());
        Unit::Milliseconds.of(samples.percentile(50))
    };
    let figure = |phase: &str, value, floor: Option<f64>, target| Figure {
        topic: TOPIC,
        name: format!("{}, {phase}", language.name),
        unit: Unit::Milliseconds,
        rounds: vec![value],
        floor_rounds: floor.into_iter().collect(),
        target,
    };
    let (total, runtime) = (p50(|start| start.total), p50(|start| start.runtime));
    let other = p50(|start| start.total.saturating_sub(start.init + start.duration));
    let target = Some(Target::AtMost(SANDBOX_TARGET_MILLISECONDS));
    vec![
        figure("request to answer, p50", total, Some(p50(|start| start.bare)), None),
        figure("  of it: code and hand-over", other, None, None),
        figure("  of it: Init Duration", p50(|start| start.init), None, None),
        figure("  of it: Duration", p50(|start| start.duration), None, None),
        figure("runtime alone, without a sandbox", runtime, None, None),
        figure("sandbox and hand-over: the difference", total - runtime, None, target),
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
