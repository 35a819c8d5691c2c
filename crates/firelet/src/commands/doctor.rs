//! `firelet doctor`.

use std::collections::HashMap;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use firelet_runtime::Catalogue;
use firelet_sandbox::{Enforcement, EnforcementStatus, Launcher, Outside};
use serde::Serialize;

use crate::client;

/// Managed runtimes that firelet has rules for.
const RUNTIMES: &[&str] = &[
    "python3.8",
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
];

/// What `firelet doctor` takes.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    sandbox: Vec<Item>,
    runtimes: Vec<Runtime>,
}

#[derive(Serialize)]
struct Item {
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Serialize)]
struct Runtime {
    runtime: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<std::path::PathBuf>,
}

pub(crate) fn run(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    client::block_on(examine(arguments))
}

async fn examine(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    let enforcement = enforcement()?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        sandbox: enforcement.items.iter().map(item).collect(),
        runtimes: runtimes().await,
    };
    if arguments.json {
        anstream::println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(if enforcement.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn enforcement() -> anyhow::Result<Enforcement> {
    let instance = format!("doctor-{}", std::process::id());
    let scratch = std::env::temp_dir().join(format!("firelet-{instance}"));
    std::fs::create_dir(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    let options = firelet_sandbox::Options {
        instance,
        scratch: scratch.clone(),
        first_user_id: crate::serve::FIRST_USER_ID,
        user_id_count: 2,
        outside: Outside { nat: true, hosts: Vec::new() },
    };
    let enforcement = Launcher::start(&options).map(|launcher| launcher.enforcement().clone());
    // What matters is what the helper said; an empty folder that stays harms nobody.
    let _ = std::fs::remove_dir(&scratch);
    enforcement.context("cannot make sandboxes on this host")
}

fn item(item: &firelet_sandbox::EnforcementItem) -> Item {
    let (status, why, remedy) = match &item.status {
        EnforcementStatus::Enforced => ("enforced", None, None),
        EnforcementStatus::Limited(why) => ("limited", Some(why.clone()), None),
        EnforcementStatus::NotEnforced { why, remedy } => {
            ("not enforced", Some(why.clone()), Some(remedy.clone()))
        }
    };
    Item { name: item.name.clone(), status, why, remedy }
}

async fn runtimes() -> Vec<Runtime> {
    let home = std::env::var_os("HOME").map(Into::into);
    let catalogue = Catalogue::new(HashMap::new(), std::env::var_os("PATH").unwrap_or_default(), home);
    let mut found = Vec::new();
    for runtime in RUNTIMES {
        let interpreter = catalogue.interpreter(runtime).await.ok();
        let version = interpreter.as_ref().map(|interpreter| interpreter.version.clone());
        let prefix = interpreter.and_then(|interpreter| interpreter.prefix.clone());
        found.push(Runtime { runtime, version, prefix });
    }
    found
}

fn print(report: &Report) {
    anstream::println!("firelet {}\n\nSandbox", report.version);
    for item in &report.sandbox {
        anstream::println!("  {:<32} {}", item.name, item.status);
        for (label, text) in [("why", &item.why), ("do", &item.remedy)] {
            if let Some(text) = text {
                anstream::println!("  {:<32}   {label}: {text}", "");
            }
        }
    }
    anstream::println!("\nRuntimes");
    for Runtime { runtime, version, prefix } in &report.runtimes {
        match (version, prefix) {
            (Some(version), Some(prefix)) => {
                anstream::println!("  {runtime:<32} {version} in {}", prefix.display());
            }
            _ => {
                anstream::println!("  {runtime:<32} not on this host");
            }
        }
    }
    anstream::println!("  {:<32} served by the package's own bootstrap", "provided.*");
}
