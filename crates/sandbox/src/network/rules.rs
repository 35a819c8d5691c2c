//! The rules of a sandbox's network, by nf_tables: one table for each version of IP, in the sandbox's own network
//! namespace, which takes them with it when it goes.
//!
//! | | leaves (`output`) | arrives (`prerouting`) |
//! | --- | --- | --- |
//! | to loopback, or to the sandbox's own address | accepted | accepted |
//! | to others, not from the sandbox's own address | dropped | does not leave |
//! | TCP | what opens a connection: queued; the rest: accepted | to the server's listener |
//! | UDP | queued | dropped |
//! | everything else | dropped | dropped |

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::network::netlink::{ACKNOWLEDGE, APPEND, Attributes, CREATE, Message, NETFILTER, ask, socket};
use crate::network::{CATCH_V4, CATCH_V6, OWN_V4, OWN_V6};

/// How packets get from a rule into the queue; kernels are built with either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queueing {
    /// The expression of nf_tables (`NFT_QUEUE`).
    Native,
    /// The target of iptables (`NETFILTER_XT_TARGET_NFQUEUE`), through nf_tables (`NFT_COMPAT`).
    Compatible,
}

const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = 0;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

const TABLE: &[u8] = b"firelet\0";
const OUTPUT: (&[u8], u32) = (b"output\0", 3);
const PREROUTING: (&[u8], u32) = (b"prerouting\0", 0);
/// `NF_IP_PRI_MANGLE`.
const PRIORITY: i32 = -150;

const ACCEPT: u32 = 1;
const DROP: u32 = 0;
/// The register of verdicts, and two for values of up to 16 bytes.
const VERDICT: u32 = 0;
const FIRST: u32 = 1;
const SECOND: u32 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// `NFT_CMP_EQ`, `NFT_CMP_NEQ`.
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
/// `NFT_META_L4PROTO`.
const LAYER_4_PROTOCOL: u32 = 16;
/// `NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Where TCP has its flags; FIN, SYN, RST and ACK; and SYN alone, which opens a connection.
const FLAGS_OFFSET: u32 = 13;
const FLAGS: u8 = 0x17;
const OPENS: u8 = 0x02;

/// What differs between the versions of IP.
struct Version {
    family: u8,
    source_offset: u32,
    destination_offset: u32,
    loopback: Vec<u8>,
    own: Vec<u8>,
    catch: SocketAddr,
}

/// Installs all rules, or none.
pub(super) fn install(queueing: Queueing, has_v6: bool) -> io::Result<()> {
    let socket = socket(NETFILTER)?;
    let four = Version {
        family: 2,
        source_offset: 12,
        destination_offset: 16,
        loopback: vec![127],
        own: OWN_V4.octets().into(),
        catch: CATCH_V4,
    };
    let six = Version {
        family: 10,
        source_offset: 8,
        destination_offset: 24,
        loopback: std::net::Ipv6Addr::LOCALHOST.octets().into(),
        own: OWN_V6.octets().into(),
        catch: CATCH_V6,
    };
    let mut batch = Batch::new();
    batch.add_table(&four, queueing);
    if has_v6 {
        batch.add_table(&six, queueing);
    }
    let (bytes, count) = batch.finish();
    ask(&socket, &bytes, count)
}

struct Batch {
    bytes: Vec<u8>,
    count: usize,
}

impl Batch {
    fn new() -> Self {
        Self { bytes: Message::new(BATCH_BEGIN, 0, &header(0, SUBSYSTEM)).finish(), count: 0 }
    }

    fn finish(mut self) -> (Vec<u8>, usize) {
        self.bytes.extend(Message::new(BATCH_END, 0, &header(0, SUBSYSTEM)).finish());
        (self.bytes, self.count)
    }

    fn add(&mut self, message: Message) {
        self.bytes.extend(message.finish());
        self.count += 1;
    }

    fn add_table(&mut self, version: &Version, queueing: Queueing) {
        self.add(message(version, NEW_TABLE, 0).attribute(1, TABLE));
        for chain in [OUTPUT, PREROUTING] {
            self.add_chain(version, chain);
            for own in [&version.loopback, &version.own] {
                let to_own =
                    [load(NETWORK_HEADER, version.destination_offset, own.len()), compare(EQUAL, own)];
                let to_own = to_own.concat();
                self.add_rule(version, chain, &[to_own, verdict(ACCEPT)].concat());
            }
        }
        // A connection from an address that the guest took from others: with an answer, it would come here again.
        let own = &version.own;
        let from_others =
            [load(NETWORK_HEADER, version.source_offset, own.len()), compare(UNEQUAL, own)].concat();
        self.add_rule(version, OUTPUT, &[from_others, verdict(DROP)].concat());
        let opens = [protocol(TCP), tcp_flags(), compare(EQUAL, &[OPENS])].concat();
        self.add_rule(version, OUTPUT, &[opens, queue(queueing)].concat());
        self.add_rule(version, OUTPUT, &[protocol(TCP), verdict(ACCEPT)].concat());
        self.add_rule(version, OUTPUT, &[protocol(UDP), queue(queueing)].concat());
        self.add_rule(version, OUTPUT, &verdict(DROP));
        self.add_rule(version, PREROUTING, &[protocol(TCP), to_listener(version), verdict(ACCEPT)].concat());
        self.add_rule(version, PREROUTING, &verdict(DROP));
    }

    fn add_chain(&mut self, version: &Version, (name, hook): (&[u8], u32)) {
        let place = Attributes::default().with(1, &hook.to_be_bytes()).with(2, &PRIORITY.to_be_bytes());
        let chain = message(version, NEW_CHAIN, 0)
            .attribute(1, TABLE)
            .attribute(3, name)
            .nested(4, &place)
            .attribute(5, &ACCEPT.to_be_bytes())
            .attribute(7, b"filter\0");
        self.add(chain);
    }

    fn add_rule(&mut self, version: &Version, (chain, _): (&[u8], u32), expressions: &[Expression]) {
        let list = expressions.iter().fold(Attributes::default(), |list, (name, data)| {
            list.nested(1, &Attributes::default().with(1, name).nested(2, data))
        });
        let rule = message(version, NEW_RULE, APPEND).attribute(1, TABLE).attribute(2, chain);
        self.add(rule.nested(4, &list));
    }
}

fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn message(version: &Version, kind: u16, flags: u16) -> Message {
    Message::new(SUBSYSTEM << 8 | kind, ACKNOWLEDGE | CREATE | flags, &header(version.family, 0))
}

/// One step of a rule: its name, and its own attributes. Numbers are big-endian.
type Expression = (&'static [u8], Attributes);

fn numbers(numbers: &[(u16, u32)]) -> Attributes {
    numbers.iter().fold(Attributes::default(), |list, (kind, number)| list.with(*kind, &number.to_be_bytes()))
}

fn value(bytes: &[u8]) -> Attributes {
    Attributes::default().with(1, bytes)
}

fn protocol(protocol: u8) -> Vec<Expression> {
    let mut expressions: Vec<Expression> = vec![(b"meta\0", numbers(&[(1, FIRST), (2, LAYER_4_PROTOCOL)]))];
    expressions.extend(compare(EQUAL, &[protocol]));
    expressions
}

fn load(base: u32, offset: u32, length: usize) -> Vec<Expression> {
    let length = u32::try_from(length).expect("an address is short");
    vec![(b"payload\0", numbers(&[(1, FIRST), (2, base), (3, offset), (4, length)]))]
}

fn tcp_flags() -> Vec<Expression> {
    let mask = numbers(&[(1, FIRST), (2, FIRST), (3, 1)]).nested(4, &value(&[FLAGS])).nested(5, &value(&[0]));
    let mut expressions = load(TRANSPORT_HEADER, FLAGS_OFFSET, 1);
    expressions.push((b"bitwise\0", mask));
    expressions
}

fn compare(how: u32, bytes: &[u8]) -> Vec<Expression> {
    vec![(b"cmp\0", numbers(&[(1, FIRST), (2, how)]).nested(3, &value(bytes)))]
}

fn verdict(code: u32) -> Vec<Expression> {
    let verdict = Attributes::default().nested(2, &numbers(&[(1, code)]));
    vec![(b"immediate\0", numbers(&[(1, VERDICT)]).nested(2, &verdict))]
}

/// Into queue 0.
fn queue(queueing: Queueing) -> Vec<Expression> {
    match queueing {
        Queueing::Native => {
            vec![(
                b"queue\0",
                Attributes::default().with(1, &0_u16.to_be_bytes()).with(2, &1_u16.to_be_bytes()),
            )]
        }
        // The third is the C structure `xt_NFQ_info`, padded as the kernel wants it.
        Queueing::Compatible => {
            vec![(b"target\0", Attributes::default().with(1, b"NFQUEUE\0").with(2, &[0; 4]).with(3, &[0; 8]))]
        }
    }
}

fn to_listener(version: &Version) -> Vec<Expression> {
    let address: Vec<u8> = match version.catch.ip() {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    };
    let [high, low] = version.catch.port().to_be_bytes();
    vec![
        (b"immediate\0", numbers(&[(1, FIRST)]).nested(2, &value(&address))),
        (b"immediate\0", numbers(&[(1, SECOND)]).nested(2, &value(&[high, low, 0, 0]))),
        (b"tproxy\0", numbers(&[(1, version.family.into()), (2, FIRST), (3, SECOND)])),
    ]
}
