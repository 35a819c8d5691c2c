"""Hostile functions: every probe gets nothing inside, and something where there is no sandbox."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

from attack import probes
from support import internet, packages
from support.server import BINARY, Server, clean_environment
from support.traces import processes_of
from support.waiting import wait_for
from support.world import World

PYTHON = "python3.11"
SNAPSHOT_RUNTIME = "python3.12"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
MARK = "firelet-attack-target"
MEMORY_MEGABYTES, TMP_MEGABYTES = 256, 512
# Documented for Lambda.
PROCESSES, DESCRIPTORS = 1_024, 1_024
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become others, and gets what others do not")
SOURCE = pathlib.Path(probes.__file__)


@pytest.fixture(scope="module")
def folder():
    """A folder that every user of this machine can reach."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="firelet-attack-", dir="/tmp"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def host(folder):
    """What there is to get hold of on this machine, open to everybody."""
    with contextlib.ExitStack() as stack:
        secret, keys = folder / "secret", folder / "credentials"
        for path in (secret, keys):
            path.write_text("secret")
        shared = pathlib.Path("/dev/shm", f"{folder.name}")
        shared.write_text("secret")
        stack.callback(shared.unlink)
        task = folder / "task"
        task.mkdir()
        shutil.copy(SOURCE, task)
        process = stack.enter_context(
            subprocess.Popen(["sleep", "600"], executable="/bin/sleep", env={"MARK": MARK}, cwd=folder)
        )
        marked = stack.enter_context(
            subprocess.Popen([PYTHON, "-c", "import signal; signal.pause()", MARK], stdin=subprocess.DEVNULL)
        )
        for one in (marked, process):
            stack.callback(one.kill)
        listener = stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=64))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind("\0" + folder.name)
        abstract.listen(16)
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        named.listen(16)
        yield {
            "secret": str(secret),
            "keys": str(keys),
            "shared": str(shared),
            "mount": "/",
            "mark": MARK,
            "process": process.pid,
            "port": listener.getsockname()[1],
            "address": own_address(),
            "abstract": folder.name,
            "socket": str(folder / "socket"),
            "memory_megabytes": MEMORY_MEGABYTES,
            "tmp_megabytes": TMP_MEGABYTES,
            "processes": PROCESSES,
            "descriptors": DESCRIPTORS,
            "inodes": 1_000_000,
        }


def own_address():
    """An address of this machine that is not loopback's, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


@dataclasses.dataclass
class Victim:
    """A server, its hostile function, and what the function is told about the host."""

    world: World
    function: str
    host: dict

    def enforces(self, limit):
        """Whether the server did not say at its start that it cannot."""
        return f"{limit} is not enforced" not in self.world.server.log()

    def attack(self, probe):
        return self.world.invoke(self.function, {"probe": probe, "host": self.host})


@pytest.fixture(scope="module", params=["root", "ordinary"])
def victim(request, folder, host):
    """A server, its hostile function, and what the function is told about the host."""
    home = folder / request.param
    home.mkdir()
    home.chmod(0o777)
    binary = shutil.copy(BINARY, home / "firelet")
    prefix = NOBODY if request.param == "ordinary" else ()
    server = Server(home / "data", binary=binary, prefix=prefix).start()
    world = World(server)
    name = deploy(world)
    told = host | {"data": str(server.data_directory), "server": server.port, "task": "/var/task"}
    victim = Victim(world, name, told)
    dataclasses.replace(victim, function=deploy(world)).attack("lay_out")
    yield victim
    server.stop()
    assert "panicked" not in server.log(), server.log()


@pytest.fixture(scope="module")
def restored(victim):
    """A version of the hostile function whose environments go on from a snapshot."""
    world = victim.world
    name = deploy(world, runtime=SNAPSHOT_RUNTIME, SnapStart={"ApplyOn": "PublishedVersions"})
    version = f"{name}:" + world.client.publish_version(FunctionName=name)["Version"]
    wait_for(lambda: world.configuration(version)["State"] == "Active", "the version is active")
    restored = dataclasses.replace(victim, function=version)
    # Otherwise it was not restored, and getting nothing would prove nothing.
    assert restored.attack("maps_the_image").payload
    return restored


def deploy(world, **settings):
    return world.deploy(
        packages.package({"probes.py": SOURCE.read_text()}),
        Handler="probes.handler",
        MemorySize=MEMORY_MEGABYTES,
        EphemeralStorage={"Size": TMP_MEGABYTES},
        Timeout=60,
        **settings,
    )


ATTACKS = [name for name, (family, _) in probes.PROBES.items() if family not in ("layout", "nat")]
# Limits are kept by control groups, whatever goes on in them.
AFTER_RESTORE = [name for name in ATTACKS if probes.PROBES[name][0] not in ("resources", "memory")]
# With nat there is a way to everywhere, and what goes there is what matters: the probes of that family look whether it does.
WAYS = {"finds_a_way_to_the_metadata_of_a_cloud", "finds_a_way_to_a_name_server"}
NAT_ATTACKS = [name for name, (family, _) in probes.PROBES.items() if family in ("network", "nat") and name not in WAYS]


@as_root
@pytest.mark.parametrize("probe", ATTACKS)
def test_inside_it_gets_nothing(victim, probe):
    family, _ = probes.PROBES[probe]
    if family == "memory" and not victim.enforces("memory limit"):
        # Said at the start of the server and in SECURITY.md: with neither a control group nor a /proc of its own it cannot.
        return
    answer = victim.attack(probe)
    killed = answer.error is not None and "signal: killed" in answer.payload["errorMessage"]
    assert killed or (answer.error, answer.payload) == (None, None), answer.body


# An ordinary user may have no interpreter of a runtime with snapshots; `crates/sandbox/tests` restores as one.
@as_root
@pytest.mark.parametrize("victim", ["root"], indirect=True)
@pytest.mark.parametrize("probe", AFTER_RESTORE)
def test_restored_it_gets_nothing_either(restored, probe):
    answer = restored.attack(probe)
    assert (answer.error, answer.payload) == (None, None), answer.body


@as_root
@pytest.mark.parametrize("probe", ATTACKS)
def test_outside_it_gets_something(folder, host, probe):
    data = folder / "outside"
    data.mkdir(exist_ok=True)
    (data / "firelet.db").write_text("SQLite format 3")
    with socket.create_server(("127.0.0.1", 0)) as server, open(data / "firelet.db") as leaked:
        told = host | {"data": str(data), "server": server.getsockname()[1], "task": str(folder / "task")}
        ran = subprocess.run(
            [PYTHON, SOURCE, probe, json.dumps(told)],
            env=clean_environment(),
            pass_fds=[leaked.fileno()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) is not None


METADATA = ("169.254.171.254", "fd77:ec2::254")
PRIVATE = ("10.211.77.7", "192.168.211.77", "100.64.211.77")
# Where a function with nat finds its name server.
RESOLVER = "169.254.78.1"
NEIGHBOUR = 7_777

LISTENER = """
import socket

servers = [socket.create_server(("::", %d), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)]

def handler(event, context):
    return socket.create_connection(("127.0.0.1", %d), timeout=5).getpeername()
""" % (NEIGHBOUR, NEIGHBOUR)


@pytest.fixture(scope="module")
def internet_host(host):
    """What there is to get hold of by network: this machine, and what lies behind it."""
    internet.needed()
    net = internet.Internet((*METADATA, *PRIVATE))
    try:
        internet.ip("addr", "add", f"{RESOLVER}/32", "dev", net.link)
        with contextlib.ExitStack() as stack:
            echo = stack.enter_context(contextlib.closing(internet.Echo("0.0.0.0")))
            stack.enter_context(contextlib.closing(internet.Echo("::", echo.port)))
            yield host | {
                "far": net.far,
                "far_port": internet.PORT,
                "near": net.near,
                "link": net.link,
                "link_local": link_local(net.link),
                "broadcast": net.broadcast,
                "addresses": [net.near, net.near_v6, "127.0.0.1", "::1", host["address"]],
                "metadata": METADATA,
                "private": PRIVATE,
                "resolver": RESOLVER,
                "echo": echo.port,
                "neighbour": echo.port,
            }
    finally:
        net.close()


def link_local(link):
    """The address of this end of a link that the kernel has made."""

    def found():
        for line in pathlib.Path("/proc/net/if_inet6").read_text().splitlines():
            address, *_, flags, name = line.split()
            # Not while the kernel still asks whether somebody else has it.
            if name == link and address.startswith("fe80") and not int(flags, 16) & 0x40:
                return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
        return None

    return wait_for(found, "the link has an address of its own")


@pytest.fixture(scope="module", params=["root", "ordinary"])
def translated(request, folder, internet_host):
    """A server with nat, its hostile function, and another function that listens."""
    home = folder / f"nat-{request.param}"
    home.mkdir()
    home.chmod(0o777)
    binary = shutil.copy(BINARY, home / "firelet")
    prefix = NOBODY if request.param == "ordinary" else ()
    with contextlib.closing(internet.Echo("127.0.0.1")) as allowed:
        options = ("--network", "nat", "--allow-host", f"127.0.0.1:{allowed.port}")
        server = Server(home / "data", *options, binary=binary, prefix=prefix).start()
        world = World(server)
        neighbour = world.deploy(packages.python(LISTENER))
        assert world.invoke(neighbour).payload == ["127.0.0.1", NEIGHBOUR]
        told = internet_host | {"data": str(server.data_directory), "server": server.port, "neighbour": NEIGHBOUR}
        yield Victim(world, deploy(world), told)
        server.stop()
        assert "panicked" not in server.log(), server.log()


@as_root
@pytest.mark.parametrize("probe", NAT_ATTACKS)
def test_with_nat_it_gets_nothing_either(translated, probe):
    answer = translated.attack(probe)
    assert (answer.error, answer.payload) == (None, None), answer.body


@as_root
def test_with_nat_the_attacks_have_a_network(translated):
    # Without it, getting nothing would prove nothing.
    host = translated.host | {"addresses": [translated.host["far"]], "echo": translated.host["far_port"]}
    for probe in ("calls_the_host_by_each_of_its_addresses", "asks_the_host_by_each_of_its_addresses"):
        assert translated.world.invoke(translated.function, {"probe": probe, "host": host}).payload


@as_root
@pytest.mark.parametrize("probe", [name for name in NAT_ATTACKS if name not in ATTACKS])
def test_outside_it_gets_something_by_network(internet_host, probe):
    ran = subprocess.run(
        [PYTHON, SOURCE, probe, json.dumps(internet_host)],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) is not None


def test_there_are_many_and_each_family_has_some():
    families = {family for family, _ in probes.PROBES.values()}
    assert len(ATTACKS) >= 50
    assert families >= {"files", "processes", "namespaces", "mounts", "kernel", "network"}
    assert families >= {"credentials", "resources", "memory", "snapshots", "neighbours"}


STAYERS = """
import os, signal

def stay():
    # In a session of its own, deaf to every signal that can be ignored, and the child of nobody.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            while True:
                signal.pause()
        os._exit(0)

def handler(event, context):
    for _ in range(3):
        stay()
    if event.get("end") == "crash":
        os._exit(3)
    while event.get("end") == "timeout":
        signal.pause()
"""


@pytest.mark.parametrize("end", ["crash", "timeout", "delete", "update"])
def test_nothing_outlives_its_environment(server, world, end):
    name = world.deploy(packages.python(STAYERS), Timeout=2)
    world.invoke(name)
    old = wait_for(lambda: len(found := processes_of(name)) > 3 and found, "the function has left processes")
    if end == "delete":
        world.client.delete_function(FunctionName=name)
    elif end == "update":
        world.client.update_function_configuration(FunctionName=name, Description="new")
        world.await_updated(name)
    else:
        assert world.invoke(name, {"end": end}).error == "Unhandled"
    wait_for(lambda: not processes_of(name) & old, "none of them is left")
