//! The server's handle on the helper. Calls block for a round trip; nothing here forks but the start of the helper.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use crate::enforcement::Enforcement;
use crate::error::Error;
use crate::protocol::{self, Launched, MESSAGE_LIMIT};
use crate::sandbox::{Counter, Gauge, GaugeKind, Sandbox};
use crate::spec::{Options, Spec};

/// The name (`argv[0]`) under which this program is the helper: `main` must then call
/// [`run_helper`](crate::run_helper) before anything else.
pub const HELPER_NAME: &str = "firelet-sandbox-helper";

const PROGRAM: &str = "/proc/self/exe";
/// A helper that waits for its predecessor's clean-up needs some seconds; any other answer takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of output that a guest may have unread before it waits.
const OUTPUT_PIPE_BYTES: usize = 256 * 1024;

/// Makes sandboxes, through a helper process that it owns. Dropping it ends the helper and every sandbox.
#[derive(Debug)]
pub struct Launcher {
    /// Taken when dropped: closing it is what tells the helper to end.
    control: Option<OwnedFd>,
    helper: Mutex<Child>,
    enforcement: Enforcement,
}

impl Launcher {
    /// Starts the helper, which reaps what an earlier run of the same instance left and finds out what this host
    /// allows.
    ///
    /// # Errors
    ///
    /// When the helper cannot be started, or this host does not allow to isolate at all.
    pub fn start(options: &Options) -> Result<Self, Error> {
        check_options(options)?;
        let (control, helper_end) = socket_pair()?;
        let helper = Command::new(PROGRAM)
            .arg0(HELPER_NAME)
            .env_clear()
            .stdin(Stdio::from(helper_end))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| Error::StartHelper { path: PathBuf::from(PROGRAM), source })?;
        let mut launcher = Self {
            control: Some(control),
            helper: Mutex::new(helper),
            enforcement: Enforcement { items: Vec::new() },
        };
        launcher.enforcement = launcher.introduce(options)?;
        Ok(launcher)
    }

    fn introduce(&self, options: &Options) -> Result<Enforcement, Error> {
        let control = self.control()?;
        protocol::send(control, &protocol::encode_options(options), &[])
            .map_err(Error::control("send options to"))?;
        let (answer, _) = receive(control)?;
        Ok(protocol::decode_enforcement(&answer).ok_or(Error::Protocol)??)
    }

    fn control(&self) -> Result<&OwnedFd, Error> {
        self.control.as_ref().ok_or(Error::HelperEnded)
    }

    /// What this host enforces.
    #[must_use]
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// The process id of the helper, for logs.
    #[must_use]
    pub fn helper_id(&self) -> u32 {
        self.helper.lock().map_or(0, |helper| helper.id())
    }

    /// Launches a program in a new sandbox, and returns when it runs. May be called from several threads at a time.
    ///
    /// # Errors
    ///
    /// When the specification is impossible, a step of the isolation fails, or the program cannot be executed.
    pub fn launch(&self, spec: &Spec) -> Result<Sandbox, Error> {
        check_spec(spec)?;
        let (answer_end, helper_end) = socket_pair()?;
        let (output, output_end) = pipe()?;
        let (exit, exit_end) = pipe()?;
        set_blocking(&output_end)?;
        // A host may forbid larger pipes; then output has the default size.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, OUTPUT_PIPE_BYTES);
        let message = protocol::encode_spec(spec);
        if message.len() > MESSAGE_LIMIT {
            return Err(problem(format!("arguments, environment and mounts have {} bytes", message.len())));
        }
        let descriptors = [helper_end.as_fd(), output_end.as_fd(), exit_end.as_fd()];
        protocol::send(self.control()?, &message, &descriptors).map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::HelperEnded,
            _ => Error::Control { action: "send a launch to", source },
        })?;
        drop((helper_end, output_end, exit_end));
        let (answer, descriptors) = receive(&answer_end)?;
        let launched = protocol::decode_launched(&answer).ok_or(Error::Protocol)??;
        assemble(spec, &launched, descriptors, output, exit)
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.control = None;
        if let Ok(mut helper) = self.helper.lock() {
            // It ends by itself now; its exit code says nothing that anyone could act on.
            let _ = helper.wait();
        }
    }
}

fn assemble(
    spec: &Spec,
    launched: &Launched,
    descriptors: Vec<OwnedFd>,
    output: OwnedFd,
    exit: OwnedFd,
) -> Result<Sandbox, Error> {
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or(Error::Protocol);
    let first_process = next()?;
    let counter = match launched.gauge {
        None => None,
        Some(GaugeKind::V1) => Some(Counter::cgroup(GaugeKind::V1, [next()?, next()?, next()?])),
        Some(GaugeKind::V2) => Some(Counter::cgroup(GaugeKind::V2, [next()?, next()?, next()?])),
        Some(GaugeKind::Process) => Some(Counter::Process(next()?)),
    };
    let gauge = counter.map(|counter| Gauge::new(counter, spec.memory_bytes));
    let listener = if launched.listener {
        Some(crate::namespace::listener(next()?).map_err(Error::control("take the listener of"))?)
    } else {
        None
    };
    let freezer = if launched.freezer { Some(next()?) } else { None };
    Ok(Sandbox {
        id: spec.id.clone(),
        listener,
        output: Some(output),
        exit: Some(exit),
        first_process,
        gauge,
        freezer,
    })
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| Error::Control { action: "make a socket for", source: error.into() })
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|error| Error::Control { action: "make a pipe for", source: error.into() })
}

/// A guest's output must block when the pipe is full: programs do not expect otherwise.
fn set_blocking(end: &OwnedFd) -> Result<(), Error> {
    rustix::fs::fcntl_setfl(end, OFlags::WRONLY)
        .map_err(|error| Error::Control { action: "make a pipe for", source: error.into() })
}

fn receive(socket: &OwnedFd) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
    wait_readable(socket)?;
    let mut buffer = vec![0; 16 * 1024];
    let received = protocol::receive(socket, &mut buffer, RecvFlags::empty())
        .map_err(Error::control("receive an answer of"))?;
    let (length, descriptors) = received.ok_or(Error::HelperEnded)?;
    buffer.truncate(length);
    Ok((buffer, descriptors))
}

fn wait_readable(socket: &OwnedFd) -> Result<(), Error> {
    let timeout = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    let mut descriptors = [PollFd::new(socket, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut descriptors, Some(&timeout)))
        .map_err(|error| Error::Control { action: "wait for", source: error.into() })?;
    if ready == 0 { Err(Error::HelperSilent { seconds: PATIENCE.as_secs() }) } else { Ok(()) }
}

fn problem(problem: String) -> Error {
    Error::Specification { problem }
}

fn check_options(options: &Options) -> Result<(), Error> {
    let plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if options.instance.is_empty() || options.instance.len() > 64 || !options.instance.chars().all(plain) {
        return Err(problem(format!("instance {:?} is not a short plain name", options.instance)));
    }
    if !options.scratch.is_dir() {
        return Err(problem(format!("scratch {} is not a directory", options.scratch.display())));
    }
    Ok(())
}

fn check_spec(spec: &Spec) -> Result<(), Error> {
    let program = spec.argv.first().ok_or_else(|| problem("argv is empty".into()))?;
    check_path("argv[0]", Path::new(program))?;
    check_path("working_directory", &spec.working_directory)?;
    for mount in &spec.mounts {
        check_path("mount source", &mount.source)?;
        check_path("mount target", &mount.target)?;
    }
    if let Some(argument) = spec.argv.iter().find(|argument| !protocol::is_passable(argument)) {
        return Err(problem(format!("argument {} has a NUL byte", argument.display())));
    }
    let bad = |(name, value): &&(String, String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = spec.environment.iter().find(bad) {
        return Err(problem(format!("environment variable {name:?} cannot be passed to a program")));
    }
    if spec.memory_bytes == 0 || spec.tmp_bytes == 0 || spec.processes == 0 {
        return Err(problem("memory_bytes, tmp_bytes and processes must not be zero".into()));
    }
    Ok(())
}

fn check_path(field: &str, path: &Path) -> Result<(), Error> {
    let escapes = path.components().any(|part| part == Component::ParentDir);
    if path.is_absolute() && !escapes && protocol::is_passable(path.as_os_str()) {
        Ok(())
    } else {
        Err(problem(format!("{field} {} is not an absolute path without `..`", path.display())))
    }
}
