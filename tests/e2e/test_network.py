"""What functions reach of the outside, in each network mode."""

import pathlib
import shutil
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import internet, packages
from support.internet import PORT, Echo, Internet, Names
from support.server import BINARY, Server, run_firelet
from support.world import World

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")

# Does one thing with the network, and tells how it went.
CLIENT = packages.python(
    """
import errno, socket, threading

def handler(event, context):
    family = socket.AF_INET6 if ":" in event["host"] else socket.AF_INET
    try:
        if event.get("datagram"):
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.settimeout(5)
                client.connect((event["host"], event["port"]))
                client.send(event["datagram"].encode())
                return client.recv(65535).decode()
        with socket.create_connection((event["host"], event["port"]), timeout=5) as client:
            return talk(client, event.get("size", 5))
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

def talk(client, size):
    failures = []

    def send():
        try:
            client.sendall(b"x" * size)
            client.shutdown(socket.SHUT_WR)
        except OSError as error:
            failures.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    received = 0
    while chunk := client.recv(65536):
        received += len(chunk)
    sender.join()
    if failures:
        raise failures[0]
    return received
"""
)


def deploy(server):
    world = World(server)
    name = world.deploy(CLIENT, MemorySize=512)

    def run(host, port, **more):
        answer = world.invoke(name, {"host": host, "port": port, **more})
        assert answer.error is None, answer.body
        return answer.payload

    return run


@pytest.fixture
def echo():
    server = Echo("127.0.0.1")
    yield server
    server.close()


@pytest.mark.parametrize("network", ["isolated", "nat"])
def test_a_host_that_is_allowed_is_reached_at_its_address_and_no_other(make_server, echo, network):
    run = deploy(make_server("--network", network, "--allow-host", f"localhost:{echo.port}").start())
    assert run("127.0.0.1", echo.port, size=20_000_000) == 20_000_000
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert run("127.0.0.1", other.getsockname()[1]) == "ECONNREFUSED"
    assert run("::1", echo.port) in ("ECONNRESET", "EPIPE", "ENOTCONN"), "nobody listens there"


def test_an_address_of_another_machine_can_be_allowed_without_nat(make_server, net):
    run = deploy(make_server("--allow-host", f"{net.far}:{PORT},[{net.far_v6}]:{PORT}").start())
    assert run(net.far, PORT) == run(net.far_v6, PORT) == 5
    assert run(net.far, PORT + 1) == "ECONNREFUSED"
    assert run(net.near, PORT) == "ENETUNREACH"


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (("--network", "host", "--allow-host", "127.0.0.1:80"), "reach every address"),
        (("--allow-host", "10.0.0.0/8:80"), "only the network mode nat can"),
        (("--network", "nat", "--allow-host", "127.0.0.1:*"), "own loopback"),
        (("--allow-host", "localhost:9001"), "Runtime API"),
        (("--allow-host", "database:5432"), "write it as HOST:PORT"),
    ],
)
def test_an_exception_that_makes_no_sense_is_refused_at_the_start(tmp_path, options, refusal):
    ran = run_firelet("serve", "--data-dir", tmp_path, "--listen", "127.0.0.1:0", *options)
    assert ran.returncode != 0
    assert refusal in ran.stderr


@pytest.fixture(scope="module")
def net():
    internet.needed()
    made = Internet()
    yield made
    made.close()


@pytest.fixture(scope="module")
def names(net):
    server = Names(net.far)
    yield server
    server.close()


@pytest.fixture(scope="module", params=["root", "ordinary"])
def translated(request, net, names):
    """A server with nat, whose host has a name server on its loopback."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="firelet-network-", dir="/tmp"))
    folder.chmod(0o777)
    binary = shutil.copy(BINARY, folder / "firelet")
    user = NOBODY if request.param == "ordinary" else ()
    prefix = (*internet.with_name_server(names.address, folder), *user)
    server = Server(folder / "data", "--network", "nat", binary=binary, prefix=prefix).start()
    server.run = deploy(server)
    yield server
    server.stop()
    assert "panicked" not in server.log(), server.log()
    shutil.rmtree(folder)


def test_public_addresses_are_reached(translated, net):
    assert translated.run(net.far, PORT) == 5
    assert translated.run(net.far_v6, PORT) == 5


def test_much_goes_through_in_both_directions(translated, net):
    assert translated.run(net.far, PORT, size=20_000_000) == 20_000_000


def test_datagrams_come_and_go(translated, net):
    assert translated.run(net.far, PORT, datagram="hello") == "HELLO"
    large = "x" * 9_000
    assert translated.run(net.far_v6, PORT, datagram=large) == large.upper()


def test_names_are_those_of_the_host(translated, names):
    before = names.questions
    assert translated.run("service.example", PORT) == 5
    assert names.questions > before


def test_a_closed_port_is_refused_as_it_would_be_without_anybody_between(translated, net):
    assert translated.run(net.far, PORT + 1) == "ECONNREFUSED"
    assert translated.run(net.far_v6, PORT + 1) == "ECONNREFUSED"
    assert translated.run(net.far, PORT + 1, datagram="hello") == "ECONNREFUSED"


def test_no_route_is_told_at_once(translated):
    assert translated.run("3fff::1", PORT) == "EHOSTUNREACH"


@pytest.mark.parametrize("how", [{}, {"datagram": "hello"}])
def test_the_host_and_its_networks_are_not_reached(translated, net, how):
    near = Echo(net.near), Echo(net.near_v6)
    assert translated.run(net.near, near[0].port, **how) == "EHOSTUNREACH"
    assert translated.run(net.near_v6, near[1].port, **how) == "EACCES"
    for address in ["169.254.169.254", "169.254.78.1", "10.0.0.1", "192.168.1.1", "fd00:ec2::254", "224.0.0.1"]:
        assert translated.run(address, 80, **how) in ("EHOSTUNREACH", "ENETUNREACH", "EACCES"), address
    assert translated.run("127.0.0.1", translated.port, **how) == "ECONNREFUSED"
    for one in near:
        one.close()


def test_many_connections_at_a_time(translated, net):
    with ThreadPoolExecutor(8) as threads:
        sizes = list(threads.map(lambda size: translated.run(net.far, PORT, size=size), range(1, 65)))
    assert sizes == list(range(1, 65))


def test_a_private_network_can_be_allowed_without_the_host_in_it(make_server, net):
    near = Echo(net.near)
    run = deploy(make_server("--network", "nat", "--allow-host", "203.0.113.0/24:*").start())
    assert run(net.far, PORT) == 5
    assert run(net.near, near.port) == "EHOSTUNREACH"
    near.close()
