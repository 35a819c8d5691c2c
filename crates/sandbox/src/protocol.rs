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
use crate::sandbox::GaugeKind;
use crate::spec::{Cpu, Mount, Network, Options, Spec};

/// The largest message, well under the default socket buffer.
pub(crate) const MESSAGE_LIMIT: usize = 128 * 1024;
const DESCRIPTOR_LIMIT: usize = 6;

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

    fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn count(&mut self, value: usize) -> &mut Self {
        self.number(value as u64)
    }

    fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len());
        self.0.extend_from_slice(value);
        self
    }

    fn text(&mut self, value: &str) -> &mut Self {
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

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn number_u32(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// A count of items that each take at least one byte, so that memory is never taken for a lie.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.take(count)
    }

    fn text(&mut self) -> Option<String> {
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
        .number(options.user_id_count.into());
    writer.finish()
}

pub(crate) fn decode_options(bytes: &[u8]) -> Option<Options> {
    let mut reader = Reader::new(bytes);
    Some(Options {
        instance: reader.text()?,
        scratch: reader.path()?,
        first_user_id: reader.number_u32()?,
        user_id_count: reader.number_u32()?,
    })
}

pub(crate) fn encode_spec(spec: &Spec) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .text(&spec.id)
        .bytes(spec.working_directory.as_os_str().as_bytes())
        .number(spec.memory_bytes)
        .number(spec.tmp_bytes)
        .number(spec.cpu.share.into())
        .number(spec.cpu.cap_milli.into())
        .number(spec.processes.into())
        .byte(u8::from(spec.network == Network::Host));
    writer.count(spec.mounts.len());
    for mount in &spec.mounts {
        writer.bytes(mount.source.as_os_str().as_bytes()).bytes(mount.target.as_os_str().as_bytes());
    }
    writer.count(spec.argv.len());
    for argument in &spec.argv {
        writer.bytes(argument.as_bytes());
    }
    writer.count(spec.environment.len());
    for (name, value) in &spec.environment {
        writer.bytes(format!("{name}={value}").as_bytes());
    }
    writer.finish()
}

/// A launch as the helper sees it. Its strings may hold secrets: it wipes them when dropped.
pub(crate) struct Launch {
    pub(crate) working_directory: CString,
    pub(crate) memory_bytes: u64,
    pub(crate) tmp_bytes: u64,
    pub(crate) cpu: Cpu,
    pub(crate) processes: u32,
    pub(crate) network: Network,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
}

impl Launch {
    /// Overwrites and forgets what may be secret.
    pub(crate) fn wipe(&mut self) {
        for secret in self.environment.drain(..).chain(self.arguments.drain(..)) {
            crate::sys::wipe(&mut secret.into_bytes());
        }
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        self.wipe();
    }
}

pub(crate) fn decode_launch(bytes: &[u8]) -> Option<Launch> {
    let mut reader = Reader::new(bytes);
    reader.bytes()?;
    let mut launch = Launch {
        working_directory: reader.c_string()?,
        memory_bytes: reader.number()?,
        tmp_bytes: reader.number()?,
        cpu: Cpu { share: reader.number_u32()?, cap_milli: reader.number_u32()? },
        processes: reader.number_u32()?,
        network: if reader.byte()? == 1 { Network::Host } else { Network::Isolated },
        mounts: Vec::new(),
        arguments: Vec::new(),
        environment: Vec::new(),
    };
    for _ in 0..reader.count()? {
        launch.mounts.push(Mount { source: reader.path()?, target: reader.path()? });
    }
    for _ in 0..reader.count()? {
        launch.arguments.push(reader.c_string()?);
    }
    for _ in 0..reader.count()? {
        launch.environment.push(reader.c_string()?);
    }
    Some(launch)
}

/// How the helper answers a launch; descriptors travel in the order pidfd, gauge (its files, if any), listener (if any),
/// freezer (if any).
pub(crate) struct Launched {
    pub(crate) gauge: Option<GaugeKind>,
    pub(crate) listener: bool,
    pub(crate) freezer: bool,
}

pub(crate) fn encode_launched(launched: &Launched) -> Vec<u8> {
    let mut writer = Writer::default();
    let gauge = match launched.gauge {
        None => 0,
        Some(GaugeKind::V1) => 1,
        Some(GaugeKind::V2) => 2,
        Some(GaugeKind::Process) => 3,
    };
    writer.byte(0).byte(gauge).byte(u8::from(launched.listener)).byte(u8::from(launched.freezer));
    writer.finish()
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
    let (listener, freezer) = (reader.byte()? == 1, reader.byte()? == 1);
    Some(Ok(Launched { gauge, listener, freezer }))
}

fn decode_failure(reader: &mut Reader<'_>) -> Option<Failure> {
    let step = Step::from_code(reader.byte()?)?;
    let errno = reader.number_u32()?.cast_signed();
    Some(Failure { step, errno, detail: reader.text()? })
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
        }
    }

    #[test]
    fn a_launch_arrives_as_it_was_sent() {
        let launch = decode_launch(&encode_spec(&spec())).unwrap();
        assert_eq!(launch.arguments, [c"/bin/echo".to_owned(), c"".to_owned()]);
        assert_eq!(launch.environment, [c"NAME=a=b".to_owned()]);
        assert_eq!(launch.mounts[0].target, PathBuf::from("/var/task"));
        assert_eq!((launch.memory_bytes, launch.tmp_bytes, launch.processes), (1, 2, 5));
        assert_eq!(launch.network, Network::Host);
    }

    #[test]
    fn a_message_cut_short_is_refused_and_never_panics() {
        let whole = encode_spec(&spec());
        for length in 0..whole.len() {
            assert!(decode_launch(&whole[..length]).is_none(), "{length}");
        }
        assert!(decode_launch(&[0xff; 64]).is_none());
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
