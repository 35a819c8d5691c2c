//! Prints how long the helper takes to start, and a sandbox from the call to the running program: the least, p50, p90
//! and p99 of 200. Run as root: `cargo run --release -p firelet-sandbox --example launch`.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use firelet_sandbox::{Cpu, HELPER_NAME, Launcher, Mount, Network, Options, Outside, Spec, run_helper};

const LAUNCHES: usize = 200;
const MEGABYTE: u64 = 1024 * 1024;

fn main() -> ExitCode {
    if std::env::args().next().as_deref() == Some(HELPER_NAME) {
        return run_helper();
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let options = Options {
        instance: "launch-example".into(),
        scratch: scratch.path().to_owned(),
        first_user_id: 3_000_000,
        user_id_count: 256,
        outside: Outside::default(),
    };
    let started = Instant::now();
    let launcher = Launcher::start(&options)?;
    println!("helper ready in {:?}", started.elapsed());
    for item in &launcher.enforcement().items {
        println!("  {}: {:?}", item.name, item.status);
    }
    let spec = spec();
    let mut took: Vec<_> = (0..LAUNCHES).map(|_| launch(&launcher, &spec)).collect::<Result<_, _>>()?;
    took.sort_unstable();
    let at = |percent: usize| took[(LAUNCHES * percent / 100).min(LAUNCHES - 1)];
    println!("launch: least {:?}, p50 {:?}, p90 {:?}, p99 {:?}", at(0), at(50), at(90), at(99));
    Ok(())
}

fn launch(launcher: &Launcher, spec: &Spec) -> Result<Duration, firelet_sandbox::Error> {
    let started = Instant::now();
    let mut sandbox = launcher.launch(spec)?;
    let took = started.elapsed();
    let mut output = std::fs::File::from(sandbox.take_output());
    while std::io::Read::read(&mut output, &mut [0; 64]).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(took)
}

fn spec() -> Spec {
    Spec {
        id: "example".into(),
        argv: vec!["/bin/true".into()],
        environment: Vec::new(),
        working_directory: "/var/task".into(),
        mounts: vec![
            Mount { source: "/usr/share".into(), target: "/var/task".into() },
            Mount { source: "/usr/lib".into(), target: "/opt".into() },
        ],
        memory_bytes: 128 * MEGABYTE,
        tmp_bytes: 512 * MEGABYTE,
        cpu: Cpu::for_memory(128),
        processes: 1024,
        network: Network::Isolated,
        template: None,
        snapshot: None,
    }
}
