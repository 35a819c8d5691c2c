//! `cargo xtask demo`: builds firelet and the examples, deploys and invokes them, and stays up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::commands::{self, cargo, target_directory};
use crate::examples::{self, EXAMPLES, Example};
use crate::lambda::{Client, Invocation};
use crate::progress::{human, step};
use crate::server::{self, Server};

/// Options of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// Where firelet keeps functions, code and logs [default: demo in cargo's target directory].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Address and port to serve on.
    #[arg(long, default_value = "127.0.0.1:4566")]
    listen: String,
    /// End after the invocations instead of staying up.
    #[arg(long)]
    exit: bool,
}

/// How an example went.
struct Shown {
    example: Example,
    build: Duration,
    create: Duration,
    cold: Duration,
    warm: Duration,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    println!("Building firelet and the examples");
    let (binary, build_took) = build_firelet(root)?;
    let built: Vec<_> = EXAMPLES
        .into_iter()
        .filter_map(|example| {
            let (zip, took) = step(example.name, || examples::build(root, example));
            told(zip).map(|zip| (example, zip, took))
        })
        .collect();

    let target = target_directory(root);
    let data_directory = options.data_dir.clone().unwrap_or_else(|| target.join("demo"));
    fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
    let start = server::Options {
        binary: &binary,
        data_directory: &data_directory,
        listen: &options.listen,
        log: target.join("demo.log"),
    };
    println!("\nStarting firelet");
    let (server, start_took) = step(&format!("http://{}", options.listen), || Server::start(&start));
    let mut server = server?;
    let stop = server.stopper();
    ctrlc::set_handler(stop).context("take over Ctrl-C")?;

    let client = Client::new(&options.listen);
    let shown: Vec<_> =
        built.iter().filter_map(|(example, zip, build)| show(&client, *example, zip, *build)).collect();
    print_table(&shown);
    println!("firelet itself: built in {}, started in {}", human(build_took), human(start_took));
    let left_out = EXAMPLES.len() - shown.len();
    if left_out > 0 {
        println!("\n{left_out} of {} examples did not run; the reasons stand above.", EXAMPLES.len());
    }
    if options.exit {
        drop(server);
        anyhow::ensure!(left_out == 0, "not all examples ran");
        return Ok(());
    }
    print_invitation(options, &data_directory, &start.log);
    let status = server.wait()?;
    println!("\nfirelet has ended ({status})");
    Ok(())
}

fn build_firelet(root: &Path) -> anyhow::Result<(PathBuf, Duration)> {
    let mut build = cargo(root);
    build.args(["build", "--release", "--package", "firelet"]);
    let (built, took) = step("firelet", || commands::run(&mut build));
    built?;
    Ok((target_directory(root).join("release/firelet"), took))
}

/// Deploys `example`, invokes it twice and prints what came back.
fn show(client: &Client, example: Example, zip: &Path, build: Duration) -> Option<Shown> {
    println!("\n{} ({})", example.name, example.runtime);
    let (created, create) = step("create", || client.create(example, zip));
    told(created)?;
    let cold = told(client.invoke(example.name, example.event))?;
    print_invocation("cold", &cold);
    let warm = told(client.invoke(example.name, example.event))?;
    print_invocation("warm", &warm);
    let succeeded = cold.error.is_none() && warm.error.is_none();
    succeeded.then_some(Shown { example, build, create, cold: cold.took, warm: warm.took })
}

fn print_invocation(label: &str, invocation: &Invocation) {
    let error = invocation.error.as_ref().map(|error| format!(" ({error} error)")).unwrap_or_default();
    println!("  {label} {:>9}  {}{error}", human(invocation.took), invocation.answer);
    for line in invocation.log_tail.lines() {
        println!("    | {}", line.trim_end());
    }
}

fn print_table(shown: &[Shown]) {
    println!(
        "\n{:<20}{:<18}{:>10}{:>10}{:>10}{:>10}",
        "function", "runtime", "build", "create", "cold", "warm"
    );
    for one in shown {
        println!(
            "{:<20}{:<18}{:>10}{:>10}{:>10}{:>10}",
            one.example.name,
            one.example.runtime,
            human(one.build),
            human(one.create),
            human(one.cold),
            human(one.warm)
        );
    }
}

fn print_invitation(options: &Options, data_directory: &Path, log: &Path) {
    println!(
        "
firelet is up on http://{listen}, with its data in {data} and its log in {log}.
Go on in another terminal, with any credentials:

  export AWS_ENDPOINT_URL=http://{listen} AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
  aws lambda list-functions
  aws lambda invoke --function-name python-hello answer.json

Ctrl-C ends it.",
        listen = options.listen,
        data = data_directory.display(),
        log = log.display(),
    );
}

/// The value, or nothing after the reason was printed.
fn told<T>(result: anyhow::Result<T>) -> Option<T> {
    result.inspect_err(|error| println!("    {}", format!("{error:#}").replace('\n', "\n    "))).ok()
}
