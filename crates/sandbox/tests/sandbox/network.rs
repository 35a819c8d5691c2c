//! The ways out of a sandbox's own network, as the server finds them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use firelet_sandbox::network::{Content, Packet, Unreachable, Ways, datagram, reset, unreachable};
use firelet_sandbox::{Error, Launcher, Network, Outside, Sandbox};

use super::harness::Test;
use super::world::{World, finish, options, python, read_all, wait_for};

pub(crate) const TESTS: &[Test] = &[
    ("a_connection_to_anywhere_waits_for_the_servers_word", connections),
    ("a_refused_connection_is_refused_at_once", refusals),
    ("a_datagram_gets_its_answer", datagrams),
    ("the_guests_own_network_stays_its_own", own_network),
    ("a_host_that_is_allowed_is_found_inside", hosts),
    ("nat_has_to_be_asked_for_at_the_start", nat_unasked),
];

fn world(nat: bool, hosts: &[&str]) -> World {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.outside = Outside { nat, hosts: hosts.iter().map(|host| host.parse().unwrap()).collect() };
    let launcher = Launcher::start(&options).unwrap();
    World { launcher, options, directory }
}

fn launch(world: &World, network: Network, script: &str) -> (Sandbox, Ways) {
    let mut spec = python(script);
    spec.network = network;
    let mut sandbox = world.launcher.launch(&spec).unwrap();
    let ways = sandbox.take_ways().unwrap();
    (sandbox, ways)
}

/// The next packet that waits, as `look` sees it.
fn next<T>(ways: &Ways, mut look: impl FnMut(&Packet<'_>) -> (bool, T)) -> T {
    let packets = ways.packets.as_ref().unwrap();
    let (id, (accept, value)) = wait_for("a packet", || {
        let seen = packets.receive(|id, bytes| (id, look(&Packet::parse(bytes).unwrap())));
        match seen {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            other => other.unwrap(),
        }
    });
    packets.decide(id, accept).unwrap();
    value
}

fn accept(ways: &Ways) -> TcpStream {
    let (stream, _) =
        wait_for("a connection", || ways.listeners.iter().find_map(|listener| listener.accept().ok()));
    stream.set_nonblocking(false).unwrap();
    stream
}

fn welcome(stream: &mut TcpStream) {
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).unwrap();
    stream.write_all(b"welcome").unwrap();
}

const CONNECT: &str = "
import socket, sys
for address in ADDRESSES:
  try:
    s = socket.create_connection(address, timeout=10)
    s.sendall(b'hello')
    print(s.recv(100).decode(), *s.getpeername()[:2], flush=True)
  except OSError as error: print(error.strerror, flush=True)
";

fn connecting(addresses: &str) -> String {
    CONNECT.replace("ADDRESSES", addresses)
}

fn connections() {
    let world = world(true, &[]);
    let script = connecting("[('198.51.100.7', 443), ('2001:db8::7', 8443)]");
    let (mut sandbox, ways) = launch(&world, Network::Nat, &script);
    for expected in ["198.51.100.7:443", "[2001:db8::7]:8443"] {
        let expected: SocketAddr = expected.parse().unwrap();
        let (destination, source) = next(&ways, |packet| {
            assert!(matches!(packet.content, Content::Opening { .. }));
            (true, (packet.destination, packet.source))
        });
        let mut stream = accept(&ways);
        assert_eq!((destination, stream.local_addr().unwrap()), (expected, expected));
        assert_eq!(source, stream.peer_addr().unwrap());
        welcome(&mut stream);
    }
    assert_eq!(read_all(sandbox.take_output()), "welcome 198.51.100.7 443\nwelcome 2001:db8::7 8443\n");
}

fn refusals() {
    let world = world(true, &[]);
    let addresses = "[('198.51.100.7', 1), ('2001:db8::7', 2), ('198.51.100.7', 3), ('2001:db8::7', 4)]";
    let (mut sandbox, ways) = launch(&world, Network::Nat, &connecting(addresses));
    for _ in 0..4 {
        let (answer, to) = next(&ways, |packet| {
            let answer = match packet.destination.port() {
                1 | 2 => reset(packet),
                _ => unreachable(packet.beginning, Unreachable::Host),
            };
            (false, (answer.unwrap(), packet.source))
        });
        ways.packets.as_ref().unwrap().send(&answer, to).unwrap();
    }
    assert_eq!(
        read_all(sandbox.take_output()),
        "Connection refused\nConnection refused\nNo route to host\nNo route to host\n"
    );
}

const ASK: &str = "
import socket
for address, size in (('169.254.78.1', 3), ('2001:db8::7', 60000)):
  s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
  s.settimeout(10)
  s.sendto(b'x' * size, (address, 53))
  answer, sender = s.recvfrom(65535)
  print(len(answer), *sender[:2], flush=True)
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
c.settimeout(10)
c.connect(('198.51.100.7', 9))
c.send(b'x')
try: c.recv(1)
except OSError as error: print(error.strerror)
";

fn datagrams() {
    let world = world(true, &[]);
    let (mut sandbox, ways) = launch(&world, Network::Nat, ASK);
    for _ in 0..3 {
        let (answer, to) = next(&ways, |packet| {
            let Content::Datagram(payload) = packet.content else { panic!("{packet:?}") };
            let answer = match packet.destination.port() {
                53 => datagram(packet.destination, packet.source, &[payload, b"!"].concat()),
                _ => unreachable(packet.beginning, Unreachable::Port),
            };
            (false, (answer.unwrap(), packet.source))
        });
        ways.packets.as_ref().unwrap().send(&answer, to).unwrap();
    }
    assert_eq!(
        read_all(sandbox.take_output()),
        "4 169.254.78.1 53\n60001 2001:db8::7 53\nConnection refused\n"
    );
}

const TALK_TO_ONESELF: &str = "
import socket
print(sorted(name for _, name in socket.if_nameindex()))
for host in '127.0.0.1', '::1', socket.create_connection(('127.0.0.1', 9001)).getsockname()[0]:
  server = socket.create_server((host, 0), family=socket.AF_INET6 if ':' in host else socket.AF_INET)
  socket.create_connection(server.getsockname()[:2], timeout=10)
  print(server.accept()[1][0] == host)
for kind in socket.SOCK_RAW, 10:
  try: print(socket.socket(socket.AF_INET, kind, 1))
  except OSError as error: print(error.strerror)
try: socket.socket().bind(('169.254.78.1', 53))
except OSError as error: print(error.strerror)
for other, family in ('198.51.100.8', socket.AF_INET), ('127.0.0.1', socket.AF_INET), ('2001:db8::8', socket.AF_INET6):
  s = socket.socket(family, socket.SOCK_DGRAM)
  if family == socket.AF_INET6: s.setsockopt(41, 78, 1) # IPV6_FREEBIND
  s.bind((other, 0))
  try: s.sendto(b'x', ('198.51.100.7' if family == socket.AF_INET else '2001:db8::7', 9))
  except OSError as error: print(error.strerror)
";

fn own_network() {
    let world = world(true, &[]);
    let (mut sandbox, ways) = launch(&world, Network::Nat, TALK_TO_ONESELF);
    let listener = sandbox.take_listener().unwrap();
    wait_for("the guest's call", || listener.accept().ok());
    assert_eq!(
        read_all(sandbox.take_output()),
        "['lo']\nTrue\nTrue\nTrue\nOperation not permitted\nOperation not permitted\nPermission denied\nOperation not permitted\nOperation not permitted\nOperation not permitted\n"
    );
    let waiting = ways.packets.as_ref().unwrap().receive(|_, _| ());
    assert_eq!(waiting.unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn hosts() {
    let hosts = ["127.0.0.1:5432", "[::1]:5432", "203.0.113.9:80"];
    let world = world(false, &hosts);
    let script = connecting(
        "[('127.0.0.1', 5432), ('::1', 5432), ('203.0.113.9', 80), ('203.0.113.9', 81), ('203.0.113.10', 80)]",
    );
    let (mut sandbox, ways) = launch(&world, Network::Isolated, &script);
    assert!(ways.packets.is_none());
    for host in hosts {
        let mut stream = accept(&ways);
        assert_eq!(stream.local_addr().unwrap(), host.parse().unwrap());
        welcome(&mut stream);
    }
    assert_eq!(
        read_all(sandbox.take_output()),
        "welcome 127.0.0.1 5432\nwelcome ::1 5432\nwelcome 203.0.113.9 80\nConnection refused\nNetwork is unreachable\n"
    );
}

fn nat_unasked() {
    let world = world(false, &[]);
    let mut spec = python("print('up')");
    let sandbox = world.launcher.launch(&spec).unwrap();
    assert_eq!(finish(sandbox).output, "up\n");
    spec.network = Network::Nat;
    assert!(matches!(world.launcher.launch(&spec), Err(Error::Isolate { .. })));
}
