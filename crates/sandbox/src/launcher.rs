//! The server's handle on the helper. Calls block for a round trip; nothing here forks but the start of the helper.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use crate::enforcement::Enforcement;
use crate::error::Error;
use crate::network::{Ends, HOSTS, Ways};
use crate::protocol::{self, Launched, MESSAGE_LIMIT};
use crate::sandbox::{Counter, Gauge, GaugeKind, Process, Sandbox};
use crate::snapshot::{Snapshot, SnapshotError, Trouble};
use crate::spec::{Mount, Options, Program, Spec, Stock, Template};

/// The name (`argv[0]`) under which this program is the helper: `main` must then call
/// [`run_helper`](crate::run_helper) before anything else.
pub const HELPER_NAME: &str = "firelet-sandbox-helper";

const PROGRAM: &str = "/proc/self/exe";
/// A helper that waits for its predecessor's clean-up needs some seconds; any other answer takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let (channel, helper_end) = socket_pair()?;
        let mut descriptors = vec![helper_end.as_fd()];
        descriptors.extend(spec.snapshot.iter().flat_map(Snapshot::descriptors).map(AsFd::as_fd));
        self.send(&checked(protocol::encode_launch(spec))?, &descriptors)?;
        drop(descriptors);
        drop(helper_end);
        let channel = Arc::new(Channel(Mutex::new(channel)));
        Channel::launched(&channel, spec, None)
    }

    /// Has programs started ahead, in place of those told before. Returns at once: they are started one after the other
    /// while no launch is on its way.
    ///
    /// # Errors
    ///
    /// When a template is impossible, or the helper has ended.
    pub fn prepare(&self, templates: &[Template], processes: u32) -> Result<(), Error> {
        for template in templates {
            check_program(&template.program)?;
            template.mounts.iter().try_for_each(check_mount)?;
        }
        self.send(&checked(protocol::encode_prepare(templates, processes))?, &[])
    }

    /// What waits of each template, by name. A round trip to the helper, for which this blocks.
    ///
    /// # Errors
    ///
    /// When the helper has ended, or does not answer.
    pub fn stock(&self) -> Result<Vec<Stock>, Error> {
        let (channel, helper_end) = socket_pair()?;
        self.send(&protocol::encode_stock_request(), &[helper_end.as_fd()])?;
        drop(helper_end);
        let (answer, _) = receive(&channel)?;
        Ok(protocol::decode_stock(&answer).ok_or(Error::Protocol)??)
    }

    fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        protocol::send(self.control()?, message, descriptors).map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::HelperEnded,
            _ => Error::Control { action: "send a request to", source },
        })
    }
}

/// The server's end of one sandbox: requests and answers, one after the other. Its end is the end of the sandbox.
#[derive(Debug)]
pub(crate) struct Channel(Mutex<OwnedFd>);

impl Channel {
    /// Sends a request, if there is one, and takes an answer.
    fn exchange(&self, request: Option<&[u8]>) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
        let socket = self.0.lock().map_err(|_| Error::Protocol)?;
        if let Some(request) = request {
            protocol::send(&*socket, request, &[]).map_err(|source| match source.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::HelperEnded,
                _ => Error::Control { action: "send a request to", source },
            })?;
        }
        receive(&socket)
    }

    fn launched(channel: &Arc<Self>, spec: &Spec, request: Option<&[u8]>) -> Result<Sandbox, Error> {
        let (answer, descriptors) = channel.exchange(request)?;
        let launched = protocol::decode_launched(&answer).ok_or(Error::Protocol)??;
        assemble(spec, &launched, descriptors, channel)
    }

    pub(crate) fn reset(channel: &Arc<Self>, spec: &Spec) -> Result<Sandbox, Error> {
        check_spec(spec)?;
        Self::launched(channel, spec, Some(&checked(protocol::encode_reset(spec))?))
    }

    pub(crate) fn start(&self, program: &Program, processes: u32) -> Result<Process, Error> {
        check_program(program)?;
        let request = checked(protocol::encode_start(program, processes))?;
        let (answer, descriptors) = self.exchange(Some(&request))?;
        protocol::decode_done(&answer).ok_or(Error::Protocol)??;
        let [process, output, exit] = descriptors.try_into().map_err(|_| Error::Protocol)?;
        Ok(Process { process, output: Some(output), exit: Some(exit) })
    }

    pub(crate) fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let (answer, descriptors) = self.exchange(Some(&protocol::encode_snapshot_request()))?;
        match protocol::decode_captured(&answer).ok_or(Error::Protocol)? {
            Ok(size) => {
                let [image, description] = descriptors.try_into().map_err(|_| Error::Protocol)?;
                Ok(Snapshot::new(image, description, size))
            }
            Err(Trouble::Unsupported(reason)) => Err(SnapshotError::Unsupported { reason }),
            Err(Trouble::Failed(failure)) => Err(SnapshotError::Failed(failure.into())),
        }
    }

    pub(crate) fn socket(&self) -> Result<OwnedFd, Error> {
        let (answer, descriptors) = self.exchange(Some(&protocol::encode_socket_request()))?;
        protocol::decode_done(&answer).ok_or(Error::Protocol)??;
        let [socket] = descriptors.try_into().map_err(|_| Error::Protocol)?;
        Ok(socket)
    }
}

fn checked(message: Vec<u8>) -> Result<Vec<u8>, Error> {
    if message.len() > MESSAGE_LIMIT {
        return Err(problem(format!("arguments, environment and mounts have {} bytes", message.len())));
    }
    Ok(message)
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
    channel: &Arc<Channel>,
) -> Result<Sandbox, Error> {
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or(Error::Protocol);
    let (first_process, main_process, output, exit) = (next()?, next()?, next()?, next()?);
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
    let ways = Ways::new(Ends::from_descriptors(descriptors.collect(), launched.packets));
    Ok(Sandbox {
        ways: (!ways.listeners.is_empty()).then_some(ways),
        id: spec.id.clone(),
        channel: Arc::clone(channel),
        processes: spec.processes,
        listener,
        output: Some(output),
        exit: Some(exit),
        first_process,
        main_process,
        gauge,
        freezer,
    })
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| Error::Control { action: "make a socket for", source: error.into() })
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
    if options.outside.hosts.len() > HOSTS {
        return Err(problem(format!("more than {HOSTS} addresses outside")));
    }
    Ok(())
}

fn check_spec(spec: &Spec) -> Result<(), Error> {
    check_strings(&spec.argv, &spec.working_directory, &spec.environment)?;
    spec.mounts.iter().try_for_each(check_mount)?;
    if spec.memory_bytes == 0 || spec.tmp_bytes == 0 || spec.processes == 0 {
        return Err(problem("memory_bytes, tmp_bytes and processes must not be zero".into()));
    }
    Ok(())
}

fn check_program(program: &Program) -> Result<(), Error> {
    check_strings(&program.argv, &program.working_directory, &program.environment)
}

fn check_strings(
    argv: &[OsString],
    working_directory: &Path,
    environment: &[(String, String)],
) -> Result<(), Error> {
    let program = argv.first().ok_or_else(|| problem("argv is empty".into()))?;
    check_path("argv[0]", Path::new(program))?;
    check_path("working_directory", working_directory)?;
    if let Some(argument) = argv.iter().find(|argument| !protocol::is_passable(argument)) {
        return Err(problem(format!("argument {} has a NUL byte", argument.display())));
    }
    let bad = |(name, value): &&(String, String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = environment.iter().find(bad) {
        return Err(problem(format!("environment variable {name:?} cannot be passed to a program")));
    }
    Ok(())
}

fn check_mount(mount: &Mount) -> Result<(), Error> {
    check_path("mount source", &mount.source)?;
    check_path("mount target", &mount.target)
}

fn check_path(field: &str, path: &Path) -> Result<(), Error> {
    let escapes = path.components().any(|part| part == Component::ParentDir);
    if path.is_absolute() && !escapes && protocol::is_passable(path.as_os_str()) {
        Ok(())
    } else {
        Err(problem(format!("{field} {} is not an absolute path without `..`", path.display())))
    }
}
