//! How many idle environments fit into memory: what the machine has available before and after there are many.

use std::time::Duration;

use anyhow::Context;

use super::client;
use super::figure::{Figure, Target, Unit};
use super::firelet::Server;
use super::functions::Language;
use super::load::drive_each;
use super::machine::{field, kilobytes};

pub(crate) const TOPIC: &str = "density";

const ENVIRONMENTS: usize = 200;
const PER_GIBIBYTE_TARGET: f64 = 300.0;
/// Each invocation takes so long that all are under way at once.
const EVENT: &[u8] = br#"{"seconds":6}"#;
/// Memory that is on its way back to the kernel is there by then, and idle environments stand still.
const SETTLE: Duration = Duration::from_secs(2);
const KILOBYTES_PER_GIBIBYTE: f64 = 1_048_576.0;

/// `language` has to sleep for as long as its event says.
pub(crate) async fn measure(server: &Server, language: &Language) -> anyhow::Result<Vec<Figure>> {
    server.deploy("density", language, 0).await?;
    let path = "/2015-03-31/functions/density/invocations";
    let warm = vec![client::request("POST", path, &[], b"{}")];
    drive_each(server.address(), warm, 1).await.context("invoke once")?;
    server.await_stock().await?;
    let before = available().await;
    let requests = vec![client::request("POST", path, &[], EVENT); ENVIRONMENTS];
    drive_each(server.address(), requests, ENVIRONMENTS).await.context("have all environments work")?;
    let after = available().await;
    // One was there before.
    let each = before.saturating_sub(after) as f64 / (ENVIRONMENTS - 1) as f64;
    let figure = |name: &str, unit, value, target| Figure {
        topic: TOPIC,
        name: format!("{}, {name}", language.name),
        unit,
        rounds: vec![value],
        floor_rounds: Vec::new(),
        target,
    };
    Ok(vec![
        figure("an idle environment", Unit::Megabytes, each / 1_024.0, None),
        figure(
            "idle environments in a GiB",
            Unit::Count,
            KILOBYTES_PER_GIBIBYTE / each.max(1.0),
            Some(Target::AtLeast(PER_GIBIBYTE_TARGET)),
        ),
    ])
}

async fn available() -> u64 {
    tokio::time::sleep(SETTLE).await;
    kilobytes(&field("/proc/meminfo", "MemAvailable"))
}
