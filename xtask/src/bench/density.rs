//! How many idle environments fit into memory: what the machine has available before and after there are many.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::client;
use super::figure::{Figure, Target, Unit};
use super::firelet::{Server, invocations};
use super::functions::Language;
use super::load::{count, drive_each};
use super::machine::{field, kilobytes};

pub(crate) const TOPIC: &str = "density";

const FUNCTION: &str = "density";
/// Where making one takes long, those that were made first work a second time, and there are fewer.
const ENVIRONMENTS: usize = 200;
const PER_GIBIBYTE_TARGET: f64 = 300.0;
/// Each invocation takes so long that all are under way at once.
const EVENT: &[u8] = br#"{"seconds":6}"#;
/// Memory that is on its way back to the kernel is there by then, and idle environments stand still.
const SETTLE: Duration = Duration::from_secs(2);
const KILOBYTES_PER_GIBIBYTE: f64 = 1_048_576.0;

/// `language` has to sleep for as long as its event says.
pub(crate) async fn measure(server: &Server, language: &Language) -> anyhow::Result<Vec<Figure>> {
    server.deploy(FUNCTION, language, 0).await?;
    let each = kilobytes_each(server, FUNCTION).await?;
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
            per_gibibyte(each),
            Some(Target::AtLeast(PER_GIBIBYTE_TARGET)),
        ),
    ])
}

/// What an idle environment of `function` takes, which has to sleep for as long as its event says.
pub(crate) async fn kilobytes_each(server: &Server, function: &str) -> anyhow::Result<f64> {
    let path = invocations(function);
    let warm = vec![client::request("POST", &path, &[], b"{}")];
    drive_each(server.address(), warm, 1).await.context("invoke once")?;
    server.await_stock().await?;
    let (before, few) = (available().await, server.environments().await?);
    let requests = vec![client::request("POST", &path, &[], EVENT); ENVIRONMENTS];
    drive_each(server.address(), requests, ENVIRONMENTS).await.context("have all environments work")?;
    let (after, many) = (available().await, server.environments().await?);
    ensure!(many > few, "no environments were added to {few}");
    ensure!(after < before, "something else gave memory back: {before} kB were available, {after} are");
    Ok((before - after) as f64 / count(many - few))
}

pub(crate) fn per_gibibyte(kilobytes_each: f64) -> f64 {
    KILOBYTES_PER_GIBIBYTE / kilobytes_each.max(1.0)
}

async fn available() -> u64 {
    tokio::time::sleep(SETTLE).await;
    kilobytes(&field("/proc/meminfo", "MemAvailable"))
}
