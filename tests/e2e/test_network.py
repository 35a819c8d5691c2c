"""What functions reach of the outside, in each network mode."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from support import internet, packages
from support.internet import PORT, Echo, Internet, Names
from support.server import BINARY, Server, run_firelet
from support.world import World

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")

# Does one thing with the network, and tells how it went.
CLIENT = packages.python(
    """
import errno, socket, threading, time

def handler(event, context):
    family = socket.AF_INET6 if ":" in event["host"] else socket.AF_INET
    try:
        if event.get("datagram"):
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.settimeout(5)
                client.connect((event["host"], event["port"]))
                client.send(event["datagram"].encode())
                return client.recv(65535).decode()
        if event.get("resolve"):
            # As Java and others do: only of the versions of IP that this machine seems to have.
            found = socket.getaddrinfo(event["host"], event["port"], flags=socket.AI_ADDRCONFIG)
            return found[0][4][0]
        if event.get("flood"):
            return flood(family, event["host"], event["port"], time.monotonic() + event["flood"])
        with socket.create_connection((event["host"], event["port"]), timeout=5) as client:
            if event.get("raw"):
                client.sendall(event["raw"].encode("latin-1"))
                return client.recv(4096).decode("latin-1")
            return talk(client, event.get("size", 5))
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

def flood(family, host, port, end):
    # From more ports than may have something under way, to where there is an answer and to where nothing may go.
    clients = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(400)]
    sent = 0
    while time.monotonic() < end:
        for client in clients:
            for address in host, "10.0.0.1":
                client.sendto(b"flood", (address, port))
                sent += 1
    return sent

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


def test_a_host_that_cannot_is_told_at_the_start_and_by_the_doctor(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root has a right to go without")
    without = ("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw")
    told = r"queue the packets of the sandbox's network \(nfnetlink_queue\).*\n?.*modprobe -a nf_tables"
    ran = run_firelet("serve", "--data-dir", tmp_path, "--listen", "127.0.0.1:0", "--network", "nat", prefix=without)
    assert ran.returncode != 0
    assert re.search(told, ran.stderr), ran.stderr
    ran = run_firelet("doctor", prefix=without)
    assert re.search(rf"ways outside of its network +not enforced\n.*{told}", ran.stdout), ran.stdout
    ran = run_firelet("doctor")
    assert re.search(r"ways outside of its network +enforced", ran.stdout), ran.stdout


@pytest.fixture(scope="module")
def net():
    internet.needed()
    made = Internet()
    made.addresses, made.routes = run_ip("addr"), run_ip("route")
    yield made
    made.close()


def run_ip(what):
    """What the host's network consists of, without what changes by itself."""
    listed = subprocess.run(["ip", "-brief", what], capture_output=True, text=True, check=True).stdout
    return [line.split("fe80")[0].rstrip() for line in listed.splitlines()]


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
    prefix = (*internet.with_name_servers(folder, names.address), *user)
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
    assert translated.run("service.example", PORT, resolve=True) == socket.inet_ntoa(names.answer)
    assert names.questions > before


def test_questions_for_names_may_come_by_a_connection(translated, names):
    question = "\0\x21\x12\x34\1\0\0\1\0\0\0\0\0\0\7service\7example\0\0\1\0\1"
    answer = translated.run("169.254.78.1", 53, raw=question)
    assert answer.encode("latin-1").endswith(names.answer)


def test_a_name_server_that_is_down_is_passed_over(make_server, tmp_path, net, names):
    down = "127.77.255.254"
    prefix = internet.with_name_servers(tmp_path, down, names.address)
    run = deploy(make_server("--network", "nat", prefix=prefix).start())
    assert run("service.example", PORT) == 5


def test_nothing_of_the_hosts_network_changes(translated, net):
    assert translated.run(net.far, PORT) == 5
    # Everything of a function is in a network of its own, so that nothing is left when the server is killed, either.
    assert run_ip("addr") == net.addresses
    assert run_ip("route") == net.routes
    assert not [line for line in pathlib.Path("/proc/net/tcp").read_text().splitlines() if "014CFEA9" in line]


def test_a_function_that_floods_the_network_leaves_others_theirs(translated, net):
    flood = threading.Thread(target=translated.run, args=(net.far, PORT), kwargs={"flood": 2})
    flood.start()
    served = 0
    while flood.is_alive():
        assert translated.run(net.far, PORT) == 5
        served += 1
    flood.join()
    # At least the first was served while the flood went on, however slow the machine is.
    assert served > 1
    assert resident_megabytes(translated.process) < 200


def resident_megabytes(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def test_a_closed_port_is_refused_as_it_would_be_without_anybody_between(translated, net):
    assert translated.run(net.far, PORT + 1) == "ECONNREFUSED"
    assert translated.run(net.far_v6, PORT + 1) == "ECONNREFUSED"
    assert translated.run(net.far, PORT + 1, datagram="hello") == "ECONNREFUSED"


def test_no_route_is_told_at_once(translated):
    assert translated.run("3fff::1", PORT) == "EHOSTUNREACH"


@pytest.mark.parametrize("how", [{}, {"datagram": "hello"}])
def test_the_host_and_its_networks_are_not_reached(translated, net, how):
    with closing(Echo(net.near)) as four, closing(Echo(net.near_v6)) as six:
        assert translated.run(net.near, four.port, **how) == "EHOSTUNREACH"
        assert translated.run(net.near_v6, six.port, **how) == "EACCES"
    for address in ["169.254.169.254", "169.254.78.1", "10.0.0.1", "192.168.1.1", "fd00:ec2::254", "224.0.0.1"]:
        assert translated.run(address, 80, **how) in ("EHOSTUNREACH", "ENETUNREACH", "EACCES"), address
    assert translated.run("127.0.0.1", translated.port, **how) == "ECONNREFUSED"


def test_many_connections_at_a_time(translated, net):
    with ThreadPoolExecutor(8) as threads:
        sizes = list(threads.map(lambda size: translated.run(net.far, PORT, size=size), range(1, 65)))
    assert sizes == list(range(1, 65))


def test_a_private_network_can_be_allowed_without_the_host_in_it(make_server, net):
    run = deploy(make_server("--network", "nat", "--allow-host", "203.0.113.0/24:*").start())
    assert run(net.far, PORT) == 5
    with closing(Echo(net.near)) as near:
        assert run(net.near, near.port) == "EHOSTUNREACH"
