//! What the server asks of the helper, over the control socket and over the channel of a sandbox. What is answered is in
//! `answer.rs`.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use crate::protocol::fields::{Reader, Writer};
use crate::protocol::program::{
    Program, ProgramStrings, encode_program_strings, encode_whole_program, read_program,
};
use crate::spec::{self, Cpu, Mount, Network, Spec, Template};

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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::protocol::program::decode_program;

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
}
