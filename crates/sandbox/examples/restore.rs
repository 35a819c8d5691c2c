//! Prints how long it takes to capture a Python with some modules and to launch from the snapshot, from the call to the running
//! process, against a start with its imports; and what a restored process keeps of memory for itself. Run as root:
//! `cargo run --release -p firelet-sandbox --example restore [MODULES]`.

use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use firelet_sandbox::{
    Cpu, HELPER_NAME, Launcher, Network, Options, Outside, Sandbox, Snapshot, Spec, run_helper,
};

const LAUNCHES: usize = 100;
const MODULES: &str = "json, http.client, logging";

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
        instance: "restore-example".into(),
        scratch: scratch.path().to_owned(),
        first_user_id: 3_000_000,
        user_id_count: 256,
        outside: Outside::default(),
    };
    let launcher = Launcher::start(&options)?;
    let started = Instant::now();
    let mut sandbox = launcher.launch(&spec(None))?;
    hear(&mut sandbox);
    println!("start with imports: {:?}", started.elapsed());
    let started = Instant::now();
    let snapshot = sandbox.snapshot()?;
    println!("capture: {:?}, {} KB", started.elapsed(), snapshot.size() / 1024);
    let mut took = Vec::new();
    let mut answered = Vec::new();
    for _ in 0..LAUNCHES {
        // Until the helper has made another sandbox ahead.
        std::thread::sleep(Duration::from_millis(70));
        let started = Instant::now();
        let mut sandbox = launcher.launch(&spec(Some(snapshot.clone())))?;
        took.push(started.elapsed());
        hear(&mut sandbox);
        answered.push(started.elapsed());
        if took.len() == LAUNCHES {
            println!("memory of its own: {} KB", own_memory(&sandbox).unwrap_or(0));
        }
    }
    for (name, mut times) in [("launch", took), ("first line", answered)] {
        times.sort_unstable();
        let at = |percent: usize| times[(LAUNCHES * percent / 100).min(LAUNCHES - 1)];
        println!("{name}: least {:?}, p50 {:?}, p90 {:?}, p99 {:?}", at(0), at(50), at(90), at(99));
    }
    Ok(())
}

/// Waits for some output.
fn hear(sandbox: &mut Sandbox) {
    let mut output = File::from(sandbox.take_output());
    while output.read(&mut [0; 64]).is_err() {
        std::thread::yield_now();
    }
    // Whoever writes more has it.
    std::mem::forget(output);
}

/// Kilobytes that no other process shares.
fn own_memory(sandbox: &Sandbox) -> Option<u64> {
    let smaps = fs::read_to_string(format!("/proc/{}/smaps_rollup", sandbox.process_id()?)).ok()?;
    let of = |name: &str| -> Option<u64> {
        smaps.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    Some(of("Private_Clean:")? + of("Private_Dirty:")?)
}

fn spec(snapshot: Option<Snapshot>) -> Spec {
    let modules = std::env::args().nth(1).unwrap_or_else(|| MODULES.into());
    let script = format!(
        "import socket, time, {modules}\nconnection = socket.create_connection(('127.0.0.1', 9001))\n\
         print('parked', flush=True)\nconnection.recv(1)\nprint('goes on', flush=True)\ntime.sleep(1000)"
    );
    Spec {
        id: "restore".into(),
        argv: ["/usr/bin/python3", "-c", &script].iter().map(Into::into).collect(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        working_directory: "/tmp".into(),
        mounts: Vec::new(),
        memory_bytes: 512 << 20,
        tmp_bytes: 512 << 20,
        cpu: Cpu::for_memory(1769),
        processes: 64,
        network: Network::Isolated,
        template: None,
        snapshot,
    }
}
