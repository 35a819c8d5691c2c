//! The world of one test: a launcher with its own scratch directory and instance, and programs run in its sandboxes.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use firelet_sandbox::{Cpu, End, Launcher, Mount, Network, Options, Outside, Sandbox, Spec, read_exit};

pub(crate) const MB: u64 = 1024 * 1024;
const USERS: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(20);

/// A launcher, and a directory that goes away with it.
pub(crate) struct World {
    pub(crate) launcher: Launcher,
    pub(crate) options: Options,
    pub(crate) directory: tempfile::TempDir,
}

/// What a program did.
pub(crate) struct Outcome {
    pub(crate) output: String,
    /// How it ended and whether for lack of memory; `None` when the sandbox was killed from outside.
    pub(crate) status: Option<(End, bool)>,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) sandbox: Sandbox,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = options(directory.path());
        let launcher = Launcher::start(&options).unwrap();
        Self { launcher, options, directory }
    }

    /// Writes a file that a sandbox may read, and answers its path on the host.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let code = self.directory.path().join("code");
        fs::create_dir_all(&code).unwrap();
        fs::write(code.join(name), content).unwrap();
        code
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, spec: &Spec) -> Outcome {
        finish(self.launcher.launch(spec).unwrap())
    }

    pub(crate) fn shell(&self, script: &str) -> Outcome {
        self.run(&shell(script))
    }

    pub(crate) fn python(&self, script: &str) -> Outcome {
        self.run(&python(script))
    }
}

pub(crate) fn options(directory: &Path) -> Options {
    let scratch = directory.join("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let name = directory.file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned();
    let mut hash = DefaultHasher::new();
    name.hash(&mut hash);
    // A range of its own, by which the processes of this world are found.
    let first_user_id = 1_000_000_000 + u32::try_from(hash.finish() % 1_000_000).unwrap() * USERS;
    Options {
        instance: format!("test-{name}"),
        scratch,
        first_user_id,
        user_id_count: USERS,
        outside: Outside::default(),
    }
}

/// A modest sandbox.
pub(crate) fn spec(argv: &[&str]) -> Spec {
    Spec {
        id: "test".into(),
        argv: argv.iter().map(Into::into).collect(),
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        working_directory: "/tmp".into(),
        mounts: Vec::new(),
        memory_bytes: 128 * MB,
        tmp_bytes: 512 * MB,
        cpu: Cpu::for_memory(128),
        processes: 128,
        network: Network::Isolated,
        template: None,
        snapshot: None,
    }
}

pub(crate) fn shell(script: &str) -> Spec {
    spec(&["/bin/sh", "-c", script])
}

pub(crate) fn python(script: &str) -> Spec {
    spec(&["/usr/bin/python3", "-c", script])
}

pub(crate) fn mount(source: &Path, target: &str) -> Mount {
    Mount { source: source.to_owned(), target: target.into() }
}

/// Reads all output, then the exit report.
pub(crate) fn finish(mut sandbox: Sandbox) -> Outcome {
    let output = read_all(sandbox.take_output());
    let exit = sandbox.take_exit();
    let status = wait_for("the exit report", || match read_exit(&exit) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        other => Some(other.unwrap()),
    });
    Outcome {
        output,
        status: status.map(|status| (status.end, status.out_of_memory)),
        peak_memory_bytes: status.map_or(0, |status| status.peak_memory_bytes),
        sandbox,
    }
}

pub(crate) fn read_all(output: OwnedFd) -> String {
    let mut file = File::from(output);
    let mut bytes = Vec::new();
    wait_for("the end of output", || match file.read_to_end(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        other => Some(other.unwrap()),
    });
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until `condition` has a value.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// What this program does as another process than the test's own.
pub(crate) fn play(role: &str) -> ExitCode {
    let directory = PathBuf::from(std::env::args().nth(2).unwrap());
    match role {
        // A server that is killed while a sandbox runs.
        "role-server" => {
            let launcher = Launcher::start(&options(&directory)).unwrap();
            let mut sandbox =
                launcher.launch(&shell("sleep 1000 & setsid sleep 1000 & echo up; wait")).unwrap();
            let mut output = File::from(sandbox.take_output());
            let mut line = [0; 3];
            wait_for("the guest", || output.read_exact(&mut line).ok());
            println!("{}", launcher.helper_id());
            std::thread::park();
            ExitCode::FAILURE
        }
        // A server that is killed while it launches.
        "role-churn" => {
            let launcher = Launcher::start(&options(&directory)).unwrap();
            println!("{}", launcher.helper_id());
            loop {
                let sandbox = launcher.launch(&shell("setsid sleep 1000 & wait"));
                println!("launched");
                drop(sandbox);
            }
        }
        // A guest with threads.
        "role-threads" => {
            let threads: Vec<_> = (0..8).map(|number| std::thread::spawn(move || number)).collect();
            println!("{}", threads.into_iter().map(|thread| thread.join().unwrap()).sum::<i32>());
            ExitCode::SUCCESS
        }
        // A guest that waits at the end of a connection to the server.
        "role-parked" => {
            let mut connection = TcpStream::connect("127.0.0.1:9001").unwrap();
            println!("parked");
            assert_eq!(connection.read(&mut [0; 1]).unwrap(), 0);
            println!("goes on {}", std::process::id());
            ExitCode::SUCCESS
        }
        // A launcher of an ordinary user.
        "role-ordinary" => {
            let launcher = match Launcher::start(&options(&directory)) {
                Ok(launcher) => launcher,
                Err(error) => {
                    println!("{error:?}: {:?}", error.remedy());
                    return ExitCode::FAILURE;
                }
            };
            for item in &launcher.enforcement().items {
                println!("{}: {:?}", item.name, item.status);
            }
            let script = "id -u; id -g; grep Cap /proc/self/status; ls /root /home; echo $$; echo x > /tmp/x && cat /tmp/x";
            let outcome = finish(launcher.launch(&shell(script)).unwrap());
            println!("{}{:?}", outcome.output, outcome.status);
            let sleeper =
                launcher.launch(&python("print('up', flush=True); import time; time.sleep(30)")).unwrap();
            wait_for("the peak", || (sleeper.usage().peak_memory_bytes > MB).then_some(()));
            ExitCode::SUCCESS
        }
        // One whose sandboxes use memory.
        "role-ordinary-memory" => {
            let launcher = Launcher::start(&options(&directory)).unwrap();
            super::counted::tell(&launcher);
            ExitCode::SUCCESS
        }
        // One that captures and restores.
        "role-ordinary-snapshot" => {
            let options = options(&directory);
            let launcher = Launcher::start(&options).unwrap();
            println!("{}", super::snapshot::capture_and_go_on(&launcher));
            ExitCode::SUCCESS
        }
        other => panic!("unknown role {other}"),
    }
}
