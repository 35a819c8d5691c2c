//! The messages between server and helper: one packet each on a `SOCK_SEQPACKET` socket, with descriptors beside it.
//!
//! Fields are little-endian numbers and byte strings with a length in front. Strings of a launch stay where they
//! arrived, so that one buffer has to be wiped. Nothing here is ever spoken to a guest.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::enforcement::{Enforcement, EnforcementItem, EnforcementStatus};
use crate::error::{Failure, Step};
use crate::network::HOSTS;
use crate::sandbox::{End, GaugeKind};
use crate::snapshot::Trouble;
use crate::spec::{self, Cpu, Mount, Network, Options, Outside, Spec, Stock, Template};

/// The largest message, well under the default socket buffer.
pub(crate) const MESSAGE_LIMIT: usize = 128 * 1024;
/// The most come with the answer to a launch: ten, and the ways outside.
const DESCRIPTOR_LIMIT: usize = 15 + HOSTS;

/// Sends one packet.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket.as_fd(), &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Receives one packet into `buffer`; `None` when the other side is gone.
pub(crate) fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<Option<(usize, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_LIMIT))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        let mut vectors = [IoSliceMut::new(buffer)];
        rustix::net::recvmsg(socket.as_fd(), &mut vectors, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut descriptors = Vec::new();
    for item in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = item {
            descriptors.extend(received);
        }
    }
    Ok((message.bytes > 0).then_some((message.bytes, descriptors)))
}

/// Puts a message together.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(crate) fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn count(&mut self, value: usize) -> &mut Self {
        self.number(value as u64)
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len());
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }
}

/// Takes a message apart; every method answers `None` where the message ends too early.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub(crate) fn number_u32(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// A count of items that each take at least one byte, so that memory is never taken for a lie.
    pub(crate) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn path(&mut self) -> Option<PathBuf> {
        self.bytes().map(|bytes| PathBuf::from(OsString::from_vec(bytes.to_vec())))
    }

    fn c_string(&mut self) -> Option<CString> {
        CString::new(self.bytes()?).ok()
    }
}

pub(crate) fn encode_options(options: &Options) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .text(&options.instance)
        .bytes(options.scratch.as_os_str().as_bytes())
        .number(options.first_user_id.into())
        .number(options.user_id_count.into())
        .byte(u8::from(options.outside.nat))
        .count(options.outside.hosts.len());
    for host in &options.outside.hosts {
        writer.text(&host.to_string());
    }
    writer.finish()
}

pub(crate) fn decode_options(bytes: &[u8]) -> Option<Options> {
    let mut reader = Reader::new(bytes);
    Some(Options {
        instance: reader.text()?,
        scratch: reader.path()?,
        first_user_id: reader.number_u32()?,
        user_id_count: reader.number_u32()?,
        outside: decode_outside(&mut reader)?,
    })
}

fn decode_outside(reader: &mut Reader<'_>) -> Option<Outside> {
    let mut outside = Outside { nat: reader.byte()? == 1, hosts: Vec::new() };
    for _ in 0..reader.count()? {
        outside.hosts.push(reader.text()?.parse().ok()?);
    }
    Some(outside)
}

/// What the server asks the helper for over the control socket.
pub(crate) enum Request {
    /// Comes with the channel of the new sandbox.
    Launch(Launch),
    /// Replaces all templates; nothing is answered.
    Prepare(Vec<Prepared>),
    /// What waits of each template; comes with a socket for the answer.
    Stock,
}

/// What the server asks for over the channel of a sandbox. The end of the channel is the end of the sandbox.
pub(crate) enum ChannelRequest {
    /// A further program.
    Start(Program),
    /// A TCP socket in the sandbox's network, not connected.
    Socket,
    /// The same sandbox from the beginning, but for what is in `/tmp`.
    Reset(Launch),
    /// The main process, written down; the sandbox ends.
    Snapshot,
}

const LAUNCH: u8 = 0;
const PREPARE: u8 = 1;
const START: u8 = 2;
const SOCKET: u8 = 3;
const RESET: u8 = 4;
const STOCK: u8 = 5;
const SNAPSHOT: u8 = 6;

pub(crate) fn encode_launch(spec: &Spec) -> Vec<u8> {
    let mut writer = Writer::default();
    encode_spec(writer.byte(LAUNCH), spec);
    writer.finish()
}

pub(crate) fn encode_reset(spec: &Spec) -> Vec<u8> {
    let mut writer = Writer::default();
    encode_spec(writer.byte(RESET), spec);
    writer.finish()
}

pub(crate) fn encode_start(program: &spec::Program, processes: u32) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(START);
    encode_whole_program(&mut writer, program, processes, false);
    writer.finish()
}

pub(crate) fn encode_socket_request() -> Vec<u8> {
    vec![SOCKET]
}

pub(crate) fn encode_snapshot_request() -> Vec<u8> {
    vec![SNAPSHOT]
}

pub(crate) fn encode_stock_request() -> Vec<u8> {
    vec![STOCK]
}

pub(crate) fn encode_prepare(templates: &[Template], processes: u32) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(PREPARE).count(templates.len());
    for template in templates {
        writer.text(&template.name).count(template.count);
        encode_mounts(&mut writer, &template.mounts);
        encode_whole_program(&mut writer, &template.program, processes, true);
        writer.byte(u8::from(template.zygote.is_some()));
        if let Some(zygote) = &template.zygote {
            encode_whole_program(&mut writer, zygote, processes, true);
        }
    }
    writer.finish()
}

fn encode_spec(writer: &mut Writer, spec: &Spec) {
    writer
        .text(&spec.id)
        .number(spec.memory_bytes)
        .number(spec.tmp_bytes)
        .number(spec.cpu.share.into())
        .number(spec.cpu.cap_milli.into())
        .byte(network_code(spec.network))
        .text(spec.template.as_deref().unwrap_or_default());
    encode_mounts(writer, &spec.mounts);
    let strings = ProgramStrings {
        directory: spec.working_directory.as_os_str(),
        arguments: &spec.argv,
        environment: &spec.environment,
    };
    encode_program_strings(writer, &strings, spec.processes, false);
}

fn encode_mounts(writer: &mut Writer, mounts: &[Mount]) {
    writer.count(mounts.len());
    for mount in mounts {
        writer.bytes(mount.source.as_os_str().as_bytes()).bytes(mount.target.as_os_str().as_bytes());
    }
}

struct ProgramStrings<'a> {
    directory: &'a OsStr,
    arguments: &'a [OsString],
    environment: &'a [(String, String)],
}

fn encode_whole_program(writer: &mut Writer, program: &spec::Program, processes: u32, keeps_orders: bool) {
    let strings = ProgramStrings {
        directory: program.working_directory.as_os_str(),
        arguments: &program.argv,
        environment: &program.environment,
    };
    encode_program_strings(writer, &strings, processes, keeps_orders);
}

fn encode_program_strings(
    writer: &mut Writer,
    strings: &ProgramStrings<'_>,
    processes: u32,
    keeps_orders: bool,
) {
    writer.bytes(strings.directory.as_bytes()).number(processes.into()).byte(u8::from(keeps_orders));
    writer.count(strings.arguments.len());
    for argument in strings.arguments {
        writer.bytes(argument.as_bytes());
    }
    writer.count(strings.environment.len());
    for (name, value) in strings.environment {
        writer.bytes(format!("{name}={value}").as_bytes());
    }
}

/// A program as a guest is told it. Its strings may hold secrets: it wipes them when dropped.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) working_directory: CString,
    pub(crate) processes: u32,
    /// Whether the program itself goes on listening to the guest's orders, on standard input.
    pub(crate) keeps_orders: bool,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
}

impl Program {
    /// The message to a guest.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .bytes(self.working_directory.as_bytes())
            .number(self.processes.into())
            .byte(u8::from(self.keeps_orders));
        for strings in [&self.arguments, &self.environment] {
            writer.count(strings.len());
            for string in strings {
                writer.bytes(string.as_bytes());
            }
        }
        writer.finish()
    }

    /// The message to a program that was prepared ahead.
    pub(crate) fn encode_environment(&self) -> Vec<u8> {
        self.environment.iter().flat_map(|variable| variable.as_bytes_with_nul()).copied().collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for secret in self.environment.drain(..).chain(self.arguments.drain(..)) {
            crate::sys::wipe(&mut secret.into_bytes());
        }
    }
}

/// A launch as the helper sees it.
pub(crate) struct Launch {
    pub(crate) memory_bytes: u64,
    pub(crate) tmp_bytes: u64,
    pub(crate) cpu: Cpu,
    pub(crate) network: Network,
    pub(crate) template: Option<String>,
    /// The image and the description of a captured process, which came beside the message.
    pub(crate) snapshot: Option<[OwnedFd; 2]>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) program: Program,
}

/// A template as the helper sees it.
pub(crate) struct Prepared {
    pub(crate) name: String,
    pub(crate) count: usize,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) program: Program,
    pub(crate) zygote: Option<Program>,
}

pub(crate) fn decode_request(bytes: &[u8]) -> Option<Request> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        LAUNCH => decode_launch(&mut reader).map(Request::Launch),
        PREPARE => {
            let mut templates = Vec::new();
            for _ in 0..reader.count()? {
                templates.push(Prepared {
                    name: reader.text()?,
                    count: usize::try_from(reader.number()?).ok()?,
                    mounts: decode_mounts(&mut reader)?,
                    program: read_program(&mut reader)?,
                    zygote: if reader.byte()? == 1 { Some(read_program(&mut reader)?) } else { None },
                });
            }
            Some(Request::Prepare(templates))
        }
        STOCK => Some(Request::Stock),
        _ => None,
    }
}

pub(crate) fn decode_channel_request(bytes: &[u8]) -> Option<ChannelRequest> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        START => read_program(&mut reader).map(ChannelRequest::Start),
        SOCKET => Some(ChannelRequest::Socket),
        RESET => decode_launch(&mut reader).map(ChannelRequest::Reset),
        SNAPSHOT => Some(ChannelRequest::Snapshot),
        _ => None,
    }
}

pub(crate) fn decode_program(bytes: &[u8]) -> Option<Program> {
    read_program(&mut Reader::new(bytes))
}

fn decode_launch(reader: &mut Reader<'_>) -> Option<Launch> {
    reader.bytes()?;
    Some(Launch {
        memory_bytes: reader.number()?,
        tmp_bytes: reader.number()?,
        cpu: Cpu { share: reader.number_u32()?, cap_milli: reader.number_u32()? },
        network: network_of(reader.byte()?)?,
        template: Some(reader.text()?).filter(|name| !name.is_empty()),
        snapshot: None,
        mounts: decode_mounts(reader)?,
        program: read_program(reader)?,
    })
}

fn decode_mounts(reader: &mut Reader<'_>) -> Option<Vec<Mount>> {
    let mut mounts = Vec::new();
    for _ in 0..reader.count()? {
        mounts.push(Mount { source: reader.path()?, target: reader.path()? });
    }
    Some(mounts)
}

fn network_code(network: Network) -> u8 {
    match network {
        Network::Isolated => 0,
        Network::Host => 1,
        Network::Nat => 2,
    }
}

fn network_of(code: u8) -> Option<Network> {
    [Network::Isolated, Network::Host, Network::Nat]
        .into_iter()
        .find(|network| network_code(*network) == code)
}

fn read_program(reader: &mut Reader<'_>) -> Option<Program> {
    let mut program = Program {
        working_directory: reader.c_string()?,
        processes: reader.number_u32()?,
        keeps_orders: reader.byte()? == 1,
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    for _ in 0..reader.count()? {
        program.arguments.push(reader.c_string()?);
    }
    for _ in 0..reader.count()? {
        program.environment.push(reader.c_string()?);
    }
    Some(program)
}

/// What the helper tells a first process. The end of the socket is the end of the sandbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Memory has this limit, in bytes.
    Limit(u64),
    /// The end of this process, numbered as in the sandbox, is of interest.
    Report(i32),
}

impl Order {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Limit(limit) => [&[0][..], &limit.to_le_bytes()].concat(),
            Self::Report(process) => [&[1][..], &process.to_le_bytes()].concat(),
        }
    }

    pub(crate) fn decode(message: &[u8]) -> Option<Self> {
        match message {
            [0, limit @ ..] => Some(Self::Limit(u64::from_le_bytes(limit.try_into().ok()?))),
            [1, process @ ..] => Some(Self::Report(i32::from_le_bytes(process.try_into().ok()?))),
            _ => None,
        }
    }
}

/// What a first process tells the helper.
#[derive(Debug)]
pub(crate) enum Duty {
    /// The sandbox stands; its namespaces and the guest's pidfd come with it.
    Ready,
    /// A process that is of interest, numbered as in the sandbox, has ended.
    Ended { process: i32, end: End },
    /// A step failed, and it ends.
    Failed(Failure),
    /// Memory is used up, and it ends.
    OutOfMemory,
}

impl Duty {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => vec![0],
            Self::Failed(failure) => [vec![1], crate::guest::encode(failure)].concat(),
            Self::OutOfMemory => vec![2],
            Self::Ended { process, end } => {
                let (kind, value) = match end {
                    End::Exited(code) => (0, code),
                    End::Signaled(signal) => (1, signal),
                };
                [&[3, kind][..], &process.to_le_bytes(), &value.to_le_bytes()].concat()
            }
        }
    }

    pub(crate) fn decode(message: &[u8]) -> Option<Self> {
        match message {
            [3, kind, a, b, c, d, value @ ..] => {
                let process = i32::from_le_bytes([*a, *b, *c, *d]);
                let value = i32::from_le_bytes(value.try_into().ok()?);
                let end = if *kind == 0 { End::Exited(value) } else { End::Signaled(value) };
                Some(Self::Ended { process, end })
            }
            [0] => Some(Self::Ready),
            [1, failure @ ..] => crate::guest::decode(failure).map(Self::Failed),
            [2] => Some(Self::OutOfMemory),
            _ => None,
        }
    }
}

/// How the helper answers a launch; descriptors travel in the order pidfds of first and main process, output, exit
/// report, gauge (its files, if any), listener (if any), freezer (if any), what is for packets, and all others are listeners of
/// the ways outside.
pub(crate) struct Launched {
    pub(crate) gauge: Option<GaugeKind>,
    pub(crate) listener: bool,
    pub(crate) freezer: bool,
    pub(crate) packets: u8,
}

impl Launched {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let gauge = match self.gauge {
            None => 0,
            Some(GaugeKind::V1) => 1,
            Some(GaugeKind::V2) => 2,
            Some(GaugeKind::Process) => 3,
        };
        vec![0, gauge, u8::from(self.listener), u8::from(self.freezer), self.packets]
    }
}

/// The answer to a [`ChannelRequest`] that worked and says no more than its descriptors do: of a program, pidfd, output
/// and exit report; of a socket, itself.
pub(crate) fn encode_done() -> Vec<u8> {
    vec![0]
}

pub(crate) fn decode_done(bytes: &[u8]) -> Option<Result<(), Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 { decode_failure(&mut reader).map(Err) } else { Some(Ok(())) }
}

const REFUSED: u8 = 2;

/// The answer to [`ChannelRequest::Snapshot`]; image and description come with it.
pub(crate) fn encode_captured(size: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(0).number(size);
    writer.finish()
}

/// The same where the process cannot be captured, for this reason.
pub(crate) fn encode_refusal(reason: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(REFUSED).text(reason);
    writer.finish()
}

/// The size of what was captured, or why nothing was.
pub(crate) fn decode_captured(bytes: &[u8]) -> Option<Result<u64, Trouble>> {
    let mut reader = Reader::new(bytes);
    Some(match reader.byte()? {
        0 => Ok(reader.number()?),
        REFUSED => Err(Trouble::Unsupported(reader.text()?)),
        _ => Err(Trouble::Failed(decode_failure(&mut reader)?)),
    })
}

pub(crate) fn encode_failure(failure: &Failure) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .byte(1)
        .byte(failure.step.code())
        .number(u64::from(failure.errno.cast_unsigned()))
        .text(&failure.detail);
    writer.finish()
}

pub(crate) fn decode_launched(bytes: &[u8]) -> Option<Result<Launched, Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 {
        return decode_failure(&mut reader).map(Err);
    }
    let gauge = match reader.byte()? {
        1 => Some(GaugeKind::V1),
        2 => Some(GaugeKind::V2),
        3 => Some(GaugeKind::Process),
        _ => None,
    };
    let (listener, freezer, packets) = (reader.byte()? == 1, reader.byte()? == 1, reader.byte()?);
    Some(Ok(Launched { gauge, listener, freezer, packets }))
}

fn decode_failure(reader: &mut Reader<'_>) -> Option<Failure> {
    let step = Step::from_code(reader.byte()?)?;
    let errno = reader.number_u32()?.cast_signed();
    Some(Failure { step, errno, detail: reader.text()? })
}

pub(crate) fn encode_stock(stock: &[Stock]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(0).count(stock.len());
    for Stock { name, wanted, waiting, memory_bytes } in stock {
        writer.text(name).count(*wanted).count(*waiting).number(*memory_bytes);
    }
    writer.finish()
}

pub(crate) fn decode_stock(bytes: &[u8]) -> Option<Result<Vec<Stock>, Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 {
        return decode_failure(&mut reader).map(Err);
    }
    let mut stock = Vec::new();
    for _ in 0..reader.count()? {
        stock.push(Stock {
            name: reader.text()?,
            wanted: usize::try_from(reader.number()?).ok()?,
            waiting: usize::try_from(reader.number()?).ok()?,
            memory_bytes: reader.number()?,
        });
    }
    Some(Ok(stock))
}

pub(crate) fn encode_enforcement(enforcement: &Enforcement) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.byte(0).count(enforcement.items.len());
    for item in &enforcement.items {
        writer.text(&item.name);
        match &item.status {
            EnforcementStatus::Enforced => writer.byte(0),
            EnforcementStatus::Limited(why) => writer.byte(1).text(why),
            EnforcementStatus::NotEnforced { why, remedy } => writer.byte(2).text(why).text(remedy),
        };
    }
    writer.finish()
}

pub(crate) fn decode_enforcement(bytes: &[u8]) -> Option<Result<Enforcement, Failure>> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? == 1 {
        return decode_failure(&mut reader).map(Err);
    }
    let mut items = Vec::new();
    for _ in 0..reader.count()? {
        let name = reader.text()?;
        let status = match reader.byte()? {
            0 => EnforcementStatus::Enforced,
            1 => EnforcementStatus::Limited(reader.text()?),
            2 => EnforcementStatus::NotEnforced { why: reader.text()?, remedy: reader.text()? },
            _ => return None,
        };
        items.push(EnforcementItem { name, status });
    }
    Some(Ok(Enforcement { items }))
}

/// Whether a string can be passed to a program: it has no NUL.
pub(crate) fn is_passable(value: &OsStr) -> bool {
    !value.as_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            id: "one".into(),
            argv: vec!["/bin/echo".into(), "".into()],
            environment: vec![("NAME".into(), "a=b".into())],
            working_directory: "/var/task".into(),
            mounts: vec![Mount { source: "/a".into(), target: "/var/task".into() }],
            memory_bytes: 1,
            tmp_bytes: 2,
            cpu: Cpu { share: 3, cap_milli: 4 },
            processes: 5,
            network: Network::Host,
            template: Some("python".into()),
            snapshot: None,
        }
    }

    #[track_caller]
    fn check(launch: &Launch) {
        assert_eq!(launch.program.arguments, [c"/bin/echo".to_owned(), c"".to_owned()]);
        assert_eq!(launch.program.environment, [c"NAME=a=b".to_owned()]);
        assert_eq!(launch.mounts[0].target, PathBuf::from("/var/task"));
        assert_eq!((launch.memory_bytes, launch.tmp_bytes, launch.program.processes), (1, 2, 5));
        assert_eq!((launch.network, launch.template.as_deref()), (Network::Host, Some("python")));
        assert!(!launch.program.keeps_orders);
    }

    #[test]
    fn requests_arrive_as_they_were_sent() {
        let Some(Request::Launch(launch)) = decode_request(&encode_launch(&spec())) else { panic!() };
        check(&launch);
        let Some(ChannelRequest::Reset(launch)) = decode_channel_request(&encode_reset(&spec())) else {
            panic!()
        };
        check(&launch);
        let told = decode_program(&launch.program.encode()).unwrap();
        assert_eq!(
            (&told.arguments, &told.environment),
            (&launch.program.arguments, &launch.program.environment)
        );
        assert_eq!(launch.program.encode_environment(), b"NAME=a=b\0");
        assert!(matches!(decode_channel_request(&encode_socket_request()), Some(ChannelRequest::Socket)));

        let program = spec::Program {
            argv: vec!["/bin/cat".into()],
            environment: vec![("A".into(), "b".into())],
            working_directory: "/".into(),
        };
        let Some(ChannelRequest::Start(start)) = decode_channel_request(&encode_start(&program, 7)) else {
            panic!()
        };
        assert_eq!((start.processes, start.keeps_orders), (7, false));
        let zygote = Some(program.clone());
        let template = Template { name: "cat".into(), program, zygote, mounts: spec().mounts, count: 2 };
        let Some(Request::Prepare(templates)) = decode_request(&encode_prepare(&[template], 7)) else {
            panic!()
        };
        assert_eq!((templates[0].name.as_str(), templates[0].count), ("cat", 2));
        assert_eq!(templates[0].mounts, spec().mounts);
        assert!(templates[0].program.keeps_orders);
        assert_eq!(templates[0].zygote.as_ref().unwrap().arguments, [c"/bin/cat".to_owned()]);
    }

    #[test]
    fn a_message_cut_short_is_refused_and_never_panics() {
        let whole = encode_launch(&spec());
        for length in 0..whole.len() {
            assert!(decode_request(&whole[..length]).is_none(), "{length}");
        }
        assert!(decode_request(&[0xff; 64]).is_none());
        assert!(decode_channel_request(&[RESET, 0xff, 0xff]).is_none());
    }

    #[test]
    fn a_stock_arrives_as_it_was_sent() {
        assert!(matches!(decode_request(&encode_stock_request()), Some(Request::Stock)));
        let of = |name: &str, waiting| Stock { name: name.into(), wanted: 2, waiting, memory_bytes: 1 << 40 };
        for stock in [vec![], vec![of("python3.13", 0), of("nodejs20.x", 2)]] {
            assert_eq!(decode_stock(&encode_stock(&stock)).unwrap().unwrap(), stock);
        }
        let whole = encode_stock(&[of("python3.13", 1)]);
        assert!((0..whole.len()).all(|length| decode_stock(&whole[..length]).is_none()));
    }

    #[test]
    fn enforcement_arrives_as_it_was_sent() {
        let enforcement = Enforcement {
            items: vec![
                EnforcementItem { name: "a".into(), status: EnforcementStatus::Enforced },
                EnforcementItem { name: "b".into(), status: EnforcementStatus::Limited("why".into()) },
                EnforcementItem {
                    name: "c".into(),
                    status: EnforcementStatus::NotEnforced { why: "no".into(), remedy: "do".into() },
                },
            ],
        };
        let decoded = decode_enforcement(&encode_enforcement(&enforcement)).unwrap().unwrap();
        assert_eq!(decoded, enforcement);
    }
}
