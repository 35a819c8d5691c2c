//! One sandbox as the helper keeps it: its parts, its first process, its guests.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::Signal;

use crate::cgroup::{Entrance, Limits};
use crate::error::{At, Failure, Step};
use crate::guest::{self, Entry};
use crate::helper::ground::Ground;
use crate::helper::home::Home;
use crate::helper::parts::Parts;
use crate::helper::tracer::{self, Given, Processes, Tracer, Word};
use crate::helper::zygote::{self, Wanted, Zygote};
use crate::init::{self, Namespaces, Plan};
use crate::namespace;
use crate::network;
use crate::protocol::{self, Duty, Launch, Launched, Order, Program};
use crate::root::{self, Base, Tmp};
use crate::sandbox::{self, End, ExitStatus, GaugeKind, estimate_peak};
use crate::spec::{Mount, Network};
use crate::sys::{self, Child, Forked};

/// The size of `/tmp` until a launch says another.
const USUAL_TMP_BYTES: u64 = 512 << 20;
/// How long a first process may take to build its root; it takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of output that a guest may have unread before it waits.
const OUTPUT_PIPE_BYTES: usize = 256 * 1024;

/// The first process of a sandbox.
struct First {
    process: Child,
    duty: OwnedFd,
}

/// A process that is a program, or waits to become one.
pub(super) struct Guest {
    process: OwnedFd,
    /// Its process id in the sandbox.
    number_inside: i32,
    /// Brings it its program.
    orders: OwnedFd,
    /// Until its program runs.
    pub(super) execution: Option<OwnedFd>,
    /// The ends that the server gets.
    output: Option<OwnedFd>,
    exit: Option<OwnedFd>,
    output_inode: u64,
    /// Where its end is reported.
    report: Option<OwnedFd>,
    /// Whether the server waits to hear that its program runs.
    pub(super) is_owed: bool,
}

/// A sandbox.
pub(super) struct Member {
    pub(super) parts: Parts,
    first: Option<First>,
    namespaces: Namespaces,
    /// What guests see.
    pub(super) network: Network,
    tmp_bytes: u64,
    memory_bytes: u64,
    /// How often its cgroup had run out of memory before its first process was there.
    kills_before: u64,
    /// By number; the main one is the least.
    pub(super) guests: Vec<(u64, Guest)>,
    /// The server's, once it has launched it.
    pub(super) channel: Option<OwnedFd>,
    /// What a zygote was told to fork, with the socket that its answer comes on.
    expected: Option<(Ends, OwnedFd)>,
    /// Whoever captures its main process, or has its main guest become a captured one.
    pub(super) tracer: Option<Tracer>,
}

impl Member {
    /// Makes a sandbox and the guest that will be its main program, and waits until the sandbox stands.
    pub(super) fn boot(
        ground: &Ground,
        parts: Parts,
        network: Network,
        number: u64,
    ) -> Result<Self, Box<(Parts, Failure)>> {
        match First::start(ground, &parts, Tmp::New(USUAL_TMP_BYTES), network) {
            Ok((first, namespaces, guest)) => Ok(Self {
                parts,
                first: Some(first),
                namespaces,
                network,
                tmp_bytes: USUAL_TMP_BYTES,
                memory_bytes: u64::MAX,
                kills_before: 0,
                guests: vec![(number, guest)],
                channel: None,
                expected: None,
                tracer: None,
            }),
            Err(failure) => Err(Box::new((parts, failure))),
        }
    }

    /// Makes the sandbox anew, whatever it was doing: all that stays is its parts and the files of `/tmp`.
    pub(super) fn reset(&mut self, ground: &Ground, network: Network, number: u64) -> Result<(), Failure> {
        self.end();
        self.parts.group.thaw();
        let kept = ground.home.in_mounts(&self.namespaces.mounts, root::keep_tmp)?;
        let (first, namespaces, guest) = First::start(ground, &self.parts, Tmp::Kept(kept.as_fd()), network)?;
        self.first = Some(first);
        self.namespaces = namespaces;
        self.kills_before = self.parts.group.kills_for_memory();
        self.network = network;
        self.guests = vec![(number, guest)];
        Ok(())
    }

    /// Has a zygote fork the guest that will be the main program, in place of the one that waits. The answer comes on the
    /// socket that this gives; then [`adopt`](Self::adopt) it.
    pub(super) fn expect(
        &mut self,
        ground: &Ground,
        zygote: &Zygote,
        wanted: Wanted,
    ) -> Result<&OwnedFd, Failure> {
        let (ends, guests_ends) = ends()?;
        let (reply, reply_end) = socket_pair(Step::Fork)?;
        let network = (self.network != Network::Host).then(|| self.parts.network.namespace.as_fd());
        let zygotes_ends = zygote::GuestsEnds {
            reply: reply_end.as_fd(),
            orders: guests_ends.orders.as_fd(),
            output: guests_ends.output.as_fd(),
        };
        zygote.fork_into(ground, &self.parts, &self.namespaces, network, &zygotes_ends, wanted)?;
        Ok(&self.expected.insert((ends, reply)).1)
    }

    /// Takes in the guest that a zygote has forked; the one that waited in its place ends.
    pub(super) fn adopt(&mut self, number: u64) -> Result<(), Failure> {
        let gone = || Failure { step: Step::Fork, errno: libc::ESRCH, detail: String::new() };
        let (mut ends, reply) = self.expected.take().ok_or_else(gone)?;
        let (number_inside, process) = zygote::read_reply(&reply)?;
        let duty = &self.first.as_ref().ok_or_else(gone)?.duty;
        protocol::send(duty, &Order::Report(number_inside).encode(), &[]).at(Step::Tell, "first process")?;
        // Its program runs already.
        ends.execution = None;
        self.guests = vec![(number, ends.of(process, number_inside))];
        Ok(())
    }

    /// Another guest.
    pub(super) fn add_guest(&mut self, ground: &Ground, number: u64) -> Result<&mut Guest, Failure> {
        let gone = || Failure { step: Step::Fork, errno: libc::ESRCH, detail: String::new() };
        let guest = Guest::fork(ground, &self.parts, &self.namespaces, self.network)?;
        let report = Order::Report(guest.number_inside);
        protocol::send(&self.first.as_ref().ok_or_else(gone)?.duty, &report.encode(), &[])
            .at(Step::Tell, "first process")?;
        self.guests.push((number, guest));
        self.guest(number).ok_or_else(gone)
    }

    pub(super) fn guest(&mut self, number: u64) -> Option<&mut Guest> {
        self.guests.iter_mut().find(|(candidate, _)| *candidate == number).map(|(_, guest)| guest)
    }

    pub(super) fn main(&mut self) -> Option<&mut Guest> {
        self.guests.first_mut().map(|(_, guest)| guest)
    }

    /// The first process's pidfd, and the socket that it speaks on.
    pub(super) fn first_process(&self) -> Option<(&OwnedFd, &OwnedFd)> {
        self.first.as_ref().map(|first| (&first.process.pidfd, &first.duty))
    }

    /// Mounts what a template or a launch needs. An `/opt` that nobody mounts shows nothing.
    pub(super) fn attach(
        &self,
        ground: &Ground,
        mounts: &[Mount],
        host_network: bool,
        is_last: bool,
    ) -> Result<(), Failure> {
        let mut trees = ground.root.trees(mounts, host_network)?;
        if is_last && !mounts.iter().any(|mount| mount.target.as_os_str() == "/opt") {
            trees.push(ground.root.cover("/opt")?);
        }
        ground.home.in_mounts(&self.namespaces.mounts, || root::attach_trees(&trees))
    }

    /// Gives the sandbox the limits of a launch.
    pub(super) fn limit(&mut self, ground: &Ground, launch: &Launch) -> Result<(), Failure> {
        self.parts.group.limit(Limits {
            memory_bytes: launch.memory_bytes,
            tmp_bytes: launch.tmp_bytes,
            cpu: launch.cpu,
            processes: launch.program.processes,
        })?;
        if self.tmp_bytes != launch.tmp_bytes {
            let bytes = launch.tmp_bytes;
            ground.home.in_mounts(&self.namespaces.mounts, || root::resize_tmp(bytes))?;
            self.tmp_bytes = bytes;
        }
        self.memory_bytes = launch.memory_bytes;
        self.first.as_ref().map_or(Ok(()), |first| {
            protocol::send(&first.duty, &Order::Limit(launch.memory_bytes).encode(), &[])
                .at(Step::Tell, "limit")
        })
    }

    /// Has the main process captured; answers where the word on it comes.
    pub(super) fn capture(&mut self, ground: &Ground) -> Result<&OwnedFd, Failure> {
        let busy = || Failure { step: Step::Capture, errno: libc::EBUSY, detail: String::new() };
        if self.tracer.is_some() || self.guests.iter().any(|(_, guest)| guest.execution.is_some()) {
            return Err(busy());
        }
        self.parts.group.thaw();
        let tracer = Tracer::capture(ground, &self.parts, &self.processes().ok_or_else(busy)?)?;
        Ok(self.tracer.insert(tracer).word())
    }

    /// Has the main guest become a captured process; answers where the word on it comes.
    pub(super) fn restore(&mut self, ground: &Ground, given: &Given<'_>) -> Result<&OwnedFd, Failure> {
        let gone = || Failure { step: Step::Restore, errno: libc::ESRCH, detail: String::new() };
        let tracer = Tracer::restore(ground, &self.parts, &self.processes().ok_or_else(gone)?, given)?;
        Ok(self.tracer.insert(tracer).word())
    }

    fn processes(&self) -> Option<Processes<'_>> {
        let (_, main) = self.guests.first()?;
        let first = &self.first.as_ref()?.process.pidfd;
        Some(Processes { first, main: &main.process, orders: &main.orders, output: main.output_inode })
    }

    /// Hears how capturing or restoring went; there is no tracer any more then.
    pub(super) fn hear_tracer(&mut self) -> Option<Word> {
        let tracer = self.tracer.take()?;
        let word = tracer.hear();
        tracer.end();
        Some(word)
    }

    /// Answers a launch over the channel.
    pub(super) fn send_launched(&mut self) -> io::Result<()> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let gauge = match self.parts.group.gauge_files() {
            Ok(Some((kind, files))) => Some((kind, Vec::from(files))),
            _ => self.guests.first().and_then(|(_, guest)| main_process_gauge(&guest.process)),
        };
        let freezer = self.parts.group.freezer().unwrap_or_default();
        let listener = (self.network != Network::Host).then_some(&self.parts.network.listener);
        let outside = listener.map(|_| &self.parts.network.outside);
        let launched = Launched {
            packets: outside.map_or(0, |outside| u8::try_from(outside.packets.len()).unwrap_or(0)),
            gauge: gauge.as_ref().map(|(kind, _)| *kind),
            listener: listener.is_some(),
            freezer: freezer.is_some(),
        };
        let first = self.first.as_ref().ok_or_else(gone)?;
        let main = &self.guests.first().ok_or_else(gone)?.1;
        let (output, exit) = main.output.as_ref().zip(main.exit.as_ref()).ok_or_else(gone)?;
        let mut descriptors =
            vec![first.process.pidfd.as_fd(), main.process.as_fd(), output.as_fd(), exit.as_fd()];
        descriptors.extend(gauge.iter().flat_map(|(_, files)| files).map(AsFd::as_fd));
        descriptors.extend(listener.into_iter().chain(&freezer).map(AsFd::as_fd));
        descriptors.extend(outside.into_iter().flat_map(network::Ends::descriptors).map(AsFd::as_fd));
        protocol::send(self.channel.as_ref().ok_or_else(gone)?, &launched.encode(), &descriptors)?;
        if let Some(main) = self.main() {
            main.forget_the_servers_ends();
        }
        Ok(())
    }

    /// Kills everything in the sandbox, which takes a moment.
    pub(super) fn kill(&self) {
        if let Some(tracer) = &self.tracer {
            tracer.kill();
        }
        if let Some(first) = &self.first {
            let _ = rustix::process::pidfd_send_signal(&first.process.pidfd, Signal::KILL);
        }
    }

    /// Kills everything in the sandbox and waits for it.
    pub(super) fn end(&mut self) {
        self.guests.clear();
        // What it traces ends only when it lets go.
        if let Some(tracer) = self.tracer.take() {
            tracer.end();
        }
        if let Some(first) = self.first.take() {
            namespace::end(&first.process);
        }
    }

    /// What the first process has to say; none when that is nothing more.
    pub(super) fn hear(&self) -> Option<Duty> {
        let mut message = [0; 64];
        let duty = &self.first.as_ref()?.duty;
        let (length, _) = protocol::receive(duty, &mut message, RecvFlags::DONTWAIT).ok().flatten()?;
        Duty::decode(&message[..length])
    }

    /// Reports the end of a guest, numbered as in the sandbox; answers the number that it has here.
    pub(super) fn report_end(&mut self, number_inside: i32, end: End) -> Option<u64> {
        let (number, _) = self.guests.iter().find(|(_, guest)| guest.number_inside == number_inside)?;
        let number = *number;
        self.report(number, end, self.kills_by_kernel());
        Some(number)
    }

    /// Reports that the main program has ended since memory was used up.
    pub(super) fn report_out_of_memory(&mut self) {
        if let Some(number) = self.guests.first().map(|(number, _)| *number) {
            self.report(number, End::Signaled(libc::SIGKILL), true);
        }
    }

    /// Whether the kernel itself has killed in it for lack of memory.
    pub(super) fn kills_by_kernel(&self) -> bool {
        self.parts.group.kills_for_memory() > self.kills_before
    }

    fn report(&mut self, number: u64, end: End, out_of_memory: bool) {
        let peak_memory_bytes = self.peak().min(self.memory_bytes);
        let status = ExitStatus { end, out_of_memory, peak_memory_bytes };
        if let Some(report) = self.guest(number).and_then(|guest| guest.report.take()) {
            let _ = rustix::io::write(&report, &status.report());
        }
    }

    /// How much memory it holds, in bytes: what its cgroup counts but for cached files, or else what is resident of its main
    /// process. Zero where neither is told.
    pub(super) fn memory(&self) -> u64 {
        if let Ok(Some((kind, [_, current, statistics]))) = self.parts.group.gauge_files() {
            let files = crate::cgroup::cached_bytes(kind, &statistics).unwrap_or(0);
            return crate::cgroup::read_number(&current).unwrap_or(0).saturating_sub(files);
        }
        let main = self.guests.first().and_then(|(_, guest)| main_process_gauge(&guest.process));
        let status = main.and_then(|(_, files)| files.into_iter().next());
        status.and_then(crate::cgroup::read_memory_of_process).unwrap_or(0)
    }

    /// The kernel's peak counts cached files and `/tmp` too; what of those is held now was, most likely, held then.
    fn peak(&self) -> u64 {
        let Ok(Some((kind, [peak, current, statistics]))) = self.parts.group.gauge_files() else { return 0 };
        let counts = crate::cgroup::read_number(&peak).zip(crate::cgroup::read_number(&current));
        let files = crate::cgroup::cached_bytes(kind, &statistics).unwrap_or(0);
        counts.map_or(0, |(peak, current)| estimate_peak(peak, current, files))
    }
}

impl First {
    /// Forks the first process, which forks the main guest, and waits until both have given up their rights.
    fn start(
        ground: &Ground,
        parts: &Parts,
        tmp: Tmp<'_>,
        network: Network,
    ) -> Result<(Self, Namespaces, Guest), Failure> {
        let (duty, first_end) = socket_pair(Step::StartFirstProcess)?;
        let memory = parts.group.memory_files()?;
        let entrance = parts.group.entrance()?;
        let (ends, guests_ends) = ends()?;
        let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        match sys::fork(ground.proof, flags, None).at(Step::CreateNamespaces, "")? {
            Forked::Child => init::run(&Plan {
                proof: ground.proof,
                root: &ground.root,
                base: Base { tmp, owner: ground.users.owner(), proc: ground.proc },
                users: ground.users,
                network: (network != Network::Host).then(|| parts.network.namespace.as_fd()),
                guest: entry(ground, parts, &entrance, &guests_ends),
                memory: memory.as_ref(),
                duty: first_end.as_fd(),
            }),
            Forked::Parent(process) => {
                drop(first_end);
                let (namespaces, guest) = await_ready(&duty).inspect_err(|_| namespace::end(&process))?;
                Ok((Self { process, duty }, namespaces, ends.of(guest, MAIN_NUMBER)))
            }
        }
    }
}

/// The first process's first child.
const MAIN_NUMBER: i32 = 2;

fn await_ready(duty: &OwnedFd) -> Result<(Namespaces, OwnedFd), Failure> {
    let ended = || Failure { step: Step::StartFirstProcess, errno: libc::ESRCH, detail: String::new() };
    let timeout = Timespec::try_from(PATIENCE).ok();
    let mut descriptors = [PollFd::new(duty, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut descriptors, timeout.as_ref()))
        .at(Step::StartFirstProcess, "")?;
    if ready == 0 {
        return Err(Failure { errno: libc::ETIMEDOUT, ..ended() });
    }
    let mut message = vec![0; 4096];
    let received =
        protocol::receive(duty, &mut message, RecvFlags::empty()).at(Step::StartFirstProcess, "")?;
    let (length, mut descriptors) = received.ok_or_else(ended)?;
    match Duty::decode(&message[..length]) {
        Some(Duty::Ready) => {
            let guest = descriptors.pop().ok_or_else(ended)?;
            Ok((Namespaces::received(descriptors).ok_or_else(ended)?, guest))
        }
        Some(Duty::Failed(failure)) => Err(failure),
        Some(Duty::OutOfMemory | Duty::Ended { .. }) | None => Err(ended()),
    }
}

/// The helper's and the server's ends of what is between them and a guest.
struct Ends {
    orders: OwnedFd,
    execution: Option<OwnedFd>,
    output: OwnedFd,
    exit: OwnedFd,
    report: OwnedFd,
}

/// The guest's ends.
struct GuestsEnds {
    orders: OwnedFd,
    execution: OwnedFd,
    output: OwnedFd,
}

fn ends() -> Result<(Ends, GuestsEnds), Failure> {
    let (orders, orders_end) = socket_pair(Step::Fork)?;
    let (output, output_end) = pipe()?;
    // A guest's output must block when the pipe is full: programs do not expect otherwise.
    rustix::fs::fcntl_setfl(&output_end, OFlags::WRONLY).at(Step::Watch, "output")?;
    // A host may forbid larger pipes; then output has the default size.
    let _ = rustix::pipe::fcntl_setpipe_size(&output, OUTPUT_PIPE_BYTES);
    let (exit, report) = pipe()?;
    let (execution, execution_end) = pipe()?;
    let guests = GuestsEnds { orders: orders_end, execution: execution_end, output: output_end };
    Ok((Ends { orders, execution: Some(execution), output, exit, report }, guests))
}

impl Ends {
    fn of(self, process: OwnedFd, number_inside: i32) -> Guest {
        Guest {
            process,
            number_inside,
            orders: self.orders,
            execution: self.execution,
            output_inode: tracer::inode(&self.output),
            output: Some(self.output),
            exit: Some(self.exit),
            report: Some(self.report),
            is_owed: false,
        }
    }
}

/// How a guest that is forked by the first process gets in.
fn entry<'a>(
    ground: &'a Ground,
    parts: &'a Parts,
    entrance: &'a Entrance,
    ends: &'a GuestsEnds,
) -> Entry<'a> {
    Entry {
        filter: &ground.filter,
        writes: ground.writes,
        user: ground.users.guest(parts.slot),
        niceness: ground.guest_niceness,
        user_namespace: parts.user_namespace.as_ref().map(AsFd::as_fd),
        namespaces: None,
        network: None,
        entrance,
        output: ends.output.as_fd(),
        execution: ends.execution.as_fd(),
        orders: ends.orders.as_fd(),
    }
}

impl Guest {
    fn fork(
        ground: &Ground,
        parts: &Parts,
        namespaces: &Namespaces,
        network: Network,
    ) -> Result<Self, Failure> {
        let entrance = parts.group.entrance()?;
        let (ends, guests_ends) = ends()?;
        let cgroup = entrance.directory.as_ref().map(AsFd::as_fd);
        match Home::fork_into(ground.proof, &namespaces.processes, cgroup)? {
            Forked::Child => guest::run(&Entry {
                namespaces: Some(namespaces),
                network: (network != Network::Host).then(|| parts.network.namespace.as_fd()),
                ..entry(ground, parts, &entrance, &guests_ends)
            }),
            Forked::Parent(Child { pid, pidfd }) => Ok(ends.of(pidfd, pid)),
        }
    }

    /// Tells a waiting guest what to become.
    pub(super) fn become_program(&self, program: &Program) -> Result<(), Failure> {
        self.tell(&mut program.encode(), "program")
    }

    /// Tells a program that was prepared ahead what it is for.
    pub(super) fn assign(&self, program: &Program) -> Result<(), Failure> {
        self.tell(&mut program.encode_environment(), "environment")
    }

    fn tell(&self, message: &mut [u8], what: &str) -> Result<(), Failure> {
        let told = match protocol::send(&self.orders, message, &[]) {
            // A guest that ended early has left its reason in the execution pipe.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.execution.is_some() => Ok(()),
            told => told.at(Step::Tell, what),
        };
        sys::wipe(message);
        told
    }

    pub(super) fn orders(&self) -> &OwnedFd {
        &self.orders
    }

    /// Sends the server its ends, in answer to its request for a further program.
    pub(super) fn send_started(&mut self, channel: &OwnedFd) -> io::Result<()> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let (output, exit) = self.output.as_ref().zip(self.exit.as_ref()).ok_or_else(gone)?;
        let descriptors = [self.process.as_fd(), output.as_fd(), exit.as_fd()];
        protocol::send(channel, &protocol::encode_done(), &descriptors)?;
        self.forget_the_servers_ends();
        Ok(())
    }

    fn forget_the_servers_ends(&mut self) {
        self.output = None;
        self.exit = None;
    }
}

/// Where no cgroup counts memory, the kernel still tells the peak of the main process.
fn main_process_gauge(main: &OwnedFd) -> Option<(GaugeKind, Vec<OwnedFd>)> {
    let number = sandbox::process_id(main)?;
    let status = std::fs::File::open(format!("/proc/{number}/status")).ok()?;
    Some((GaugeKind::Process, vec![status.into()]))
}

pub(super) fn socket_pair(step: Step) -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .at(step, "socket")
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).at(Step::Watch, "pipe")
}
