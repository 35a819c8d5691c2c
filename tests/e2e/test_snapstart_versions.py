"""Versions that start from snapshots: their states, when their snapshots are made, and what invocations get.

Where words are AWS's, they are those of https://docs.aws.amazon.com/lambda/latest/dg/snapstart-troubleshooting.html and of
the service model."""

import concurrent.futures
import contextlib
import socketserver
import threading

import pytest
from botocore.exceptions import WaiterError

from support import packages
from support.server import run_firelet
from support.waiting import wait_for
from support.world import World, refusal

RUNTIME = "python3.13"
SNAP_START = {"ApplyOn": "PublishedVersions"}
SOON = {"Delay": 0.05, "MaxAttempts": 600}
NOT_READY = (
    409,
    "SnapStartNotReadyException",
    "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
)
INIT_FAILURE = "An error occurred during function initialization."
# Asks the gate how to go on, in each Init phase and after each restore.
GATED = """
import os, socket, time
import snapshot_restore_py

def ask(where):
    with socket.create_connection(("127.0.0.1", {port})) as gate:
        gate.sendall((os.environ["AWS_LAMBDA_FUNCTION_NAME"] + " " + where + "\\n").encode())
        answer = gate.makefile().readline().strip()
    if answer == "fail":
        raise ValueError("as told")
    if answer == "exit":
        os._exit(3)

ask("init")

@snapshot_restore_py.register_after_restore
def after():
    ask("restore")

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""


class Gate:
    """Where functions ask how to go on: at once, unless they are held or told otherwise."""

    def __init__(self):
        gate = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                place = self.rfile.readline().decode().strip()
                gate.asked.append(place)
                held = gate.held.get(place)
                if held is not None:
                    held.wait(60)
                with contextlib.suppress(OSError):
                    self.wfile.write(gate.answers.get(place, "go").encode() + b"\n")

        self.asked = []
        self.held = {}
        self.answers = {}
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def count(self, name, where="init"):
        return self.asked.count(f"{name} {where}")

    @contextlib.contextmanager
    def hold(self, name, where="init"):
        place = f"{name} {where}"
        self.held[place] = threading.Event()
        try:
            yield
        finally:
            self.held.pop(place).set()

    def close(self):
        for held in self.held.values():
            held.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def gate():
    gate = Gate()
    yield gate
    gate.close()


@pytest.fixture(scope="module")
def server_options(gate):
    return ("--allow-host", f"127.0.0.1:{gate.port}")


@pytest.fixture
def gated(gate):
    return packages.python(GATED.format(port=gate.port))


def deploy(world, code, **settings):
    return world.deploy(code, **({"runtime": RUNTIME, "SnapStart": SNAP_START} | settings))


def publish(world, name):
    version = world.client.publish_version(FunctionName=name)["Version"]
    world.await_active(f"{name}:{version}")
    return f"{name}:{version}"


def status(world, qualified):
    """What is told of a version: state, its reason, the last update, and whether SnapStart is on."""
    told = world.configuration(qualified)
    keys = ("State", "StateReasonCode", "StateReason", "LastUpdateStatus")
    return tuple(told.get(key) for key in keys) + (told["SnapStart"]["OptimizationStatus"],)


PENDING = ("Pending", "Creating", "The function is being created.", None, "Off")
ACTIVE = ("Active", None, None, "Successful", "On")
FAILED = ("Failed", "FunctionError", INIT_FAILURE, None, "Off")


def refused(call, *arguments, **settings):
    """Status, code and words of a refusal."""
    told = refusal(call, *arguments, **settings)
    return told.status, told.code, told.message


def lines(server, name, start):
    """How many lines of the function's log begin so."""
    printed = run_firelet("logs", name, endpoint=server.endpoint, check=True).stdout
    return sum(line.partition(" ")[2].startswith(start) for line in printed.splitlines())


def snapshots(server):
    return server.inventory()["snapshots"]


@pytest.mark.parametrize("waiter", ["published_version_active", "function_active_v2"])
def test_a_version_is_pending_until_its_init_phase_is_over(world, gate, gated, waiter):
    name = deploy(world, gated)
    with gate.hold(name):
        published = world.client.publish_version(FunctionName=name)
        assert (published["Version"], published["State"]) == ("1", "Pending")
        wait_for(lambda: gate.count(name), "Init has begun")
        assert status(world, f"{name}:1") == PENDING
        assert refused(world.invoke, f"{name}:1") == NOT_READY
        assert refused(world.invoke, f"{name}:1", InvocationType="DryRun") == NOT_READY
        (one,) = world.server.environments(name)
        assert (one["version"], one["state"]) == ("1", "initializing")
        assert one["initializationType"] == "snap-start"
    world.client.get_waiter(waiter).wait(FunctionName=name, Qualifier="1", WaiterConfig=SOON)
    assert status(world, f"{name}:1") == ACTIVE
    assert gate.count(name) == 1
    answer = world.invoke(f"{name}:1")
    assert (answer.payload, answer.version, answer.error) == ("snap-start", "1", None)


def test_an_event_for_a_version_that_is_pending_waits_for_it(world, gate, gated):
    name = deploy(world, gated)
    with gate.hold(name):
        world.client.publish_version(FunctionName=name)
        world.client.invoke(FunctionName=f"{name}:1", InvocationType="Event", Payload=b"{}")
        wait_for(lambda: gate.count(name), "Init has begun")
    wait_for(lambda: lines(world.server, name, "REPORT"), "the event was delivered", patience=60)


def test_latest_starts_as_ever(world, gate, gated):
    name = deploy(world, gated)
    assert world.invoke(name).payload == "on-demand"
    assert status(world, name) == ("Active", None, None, "Successful", "Off")
    assert gate.count(name, "restore") == 0
    assert lines(world.server, name, "RESTORE_START") == 0


@pytest.mark.parametrize("answer", ["fail", "exit"])
def test_a_version_whose_init_phase_fails_has_failed(world, gate, gated, answer):
    name = deploy(world, gated)
    gate.answers[f"{name} init"] = answer
    world.client.publish_version(FunctionName=name)
    with pytest.raises(WaiterError, match="terminal failure state"):
        world.client.get_waiter("published_version_active").wait(
            FunctionName=name, Qualifier="1", WaiterConfig=SOON
        )
    assert status(world, f"{name}:1") == FAILED
    text = "The operation cannot be performed at this time. The function is currently in the following state: Failed"
    assert refused(world.invoke, f"{name}:1") == (409, "ResourceConflictException", text)
    wait_for(lambda: world.server.environments(name) == [], "nothing is left of it")
    # What is not changed is not published again.
    again = world.client.publish_version(FunctionName=name)
    assert (again["Version"], again["State"]) == ("1", "Failed")
    gate.answers.clear()
    world.client.delete_function(FunctionName=name, Qualifier="1")
    assert world.invoke(publish(world, name)).version == "2"


def test_a_version_that_is_deleted_while_it_is_pending_leaves_nothing(world, gate, gated):
    name = deploy(world, gated)
    with gate.hold(name):
        world.client.publish_version(FunctionName=name)
        wait_for(lambda: gate.count(name), "Init has begun")
        world.client.delete_function(FunctionName=name, Qualifier="1")
        wait_for(lambda: world.server.environments(name) == [], "its environment has ended")
    assert world.configuration(name)["State"] == "Active"


def test_versions_that_come_with_code_have_snapshots(world, gate, gated):
    created = world.create(gated, runtime=RUNTIME, SnapStart=SNAP_START, Publish=True)
    name = created["FunctionName"]
    world.await_active(f"{name}:1")
    world.await_active(name)
    other = packages.package({"app.py": GATED.format(port=gate.port) + "\n# other\n"})
    world.client.update_function_code(FunctionName=name, ZipFile=other, Publish=True)
    world.await_active(f"{name}:2")
    assert gate.count(name) == 2
    for version in ("1", "2"):
        assert status(world, f"{name}:{version}") == ACTIVE
        assert world.invoke(f"{name}:{version}").payload == "snap-start"


def test_snapshots_go_with_their_version_and_their_function(make_server, gate, gated):
    server = make_server("--allow-host", f"127.0.0.1:{gate.port}", "--snapshot-memory", "100").start()
    world = World(server)
    assert snapshots(server) == {"count": 0, "memoryBytes": 0, "memoryLimitBytes": 100 << 20}
    name = deploy(world, gated)
    publish(world, name)
    world.client.update_function_configuration(FunctionName=name, Timeout=7)
    world.await_updated(name)
    publish(world, name)
    assert snapshots(server)["count"] == 2
    world.client.delete_function(FunctionName=name, Qualifier="1")
    wait_for(lambda: snapshots(server)["count"] == 1, "the snapshot of the version is gone")
    world.client.delete_function(FunctionName=name)
    wait_for(lambda: snapshots(server)["count"] == 0, "the snapshot of the function is gone")
    assert snapshots(server)["memoryBytes"] == 0
    told = run_firelet("environments", endpoint=server.endpoint, check=True).stdout
    assert "snapshots: 0, with 0 MB of 100 MB\n" in told


def test_after_a_restart_one_snapshot_is_made_for_all_who_wait(make_server, gate, gated):
    server = make_server("--allow-host", f"127.0.0.1:{gate.port}").start()
    world = World(server)
    name = deploy(world, gated)
    version = publish(world, name)
    server.stop()
    server.start()
    world = World(server)
    assert status(world, version) == ACTIVE
    assert snapshots(server)["count"] == 0
    before = gate.count(name)
    starts = lines(server, name, "INIT_START")
    with concurrent.futures.ThreadPoolExecutor(4) as crowd, gate.hold(name):
        answers = [crowd.submit(world.invoke, version, {"seconds": 1}) for _ in range(4)]
        wait_for(lambda: gate.count(name) > before, "Init has begun")
        wait_for(lambda: len(server.environments(name)) == 1, "others wait for it")
        gate.held[f"{name} init"].set()
        assert [answer.result().payload for answer in answers] == ["snap-start"] * 4
    assert lines(server, name, "INIT_START") == starts + 1
    assert lines(server, name, "RESTORE_START") == 4
    assert snapshots(server)["count"] == 1


def test_a_version_that_is_pending_when_the_server_stops_becomes_active_later(make_server, gate, gated):
    server = make_server("--allow-host", f"127.0.0.1:{gate.port}").start()
    world = World(server)
    name = deploy(world, gated)
    with gate.hold(name):
        world.client.publish_version(FunctionName=name)
        wait_for(lambda: gate.count(name), "Init has begun")
        server.stop()
    server.start()
    world = World(server)
    world.await_active(f"{name}:1")
    assert world.invoke(f"{name}:1").payload == "snap-start"


def test_a_snapshot_that_is_lost_and_cannot_be_made_anew_is_told(make_server, gate, gated):
    server = make_server("--allow-host", f"127.0.0.1:{gate.port}").start()
    world = World(server)
    version = publish(world, deploy(world, gated))
    name = version.partition(":")[0]
    server.stop()
    server.start()
    world = World(server)
    gate.answers[f"{name} init"] = "fail"
    text = "Lambda couldn't regenerate the SnapStart snapshot for the function."
    assert refused(world.invoke, version) == (409, "SnapStartRegenerationFailureException", text)
    assert status(world, version) == ACTIVE
    gate.answers.clear()
    assert world.invoke(version).payload == "snap-start"


def test_without_room_the_snapshot_used_longest_ago_is_dropped_and_made_again(make_server, gate):
    server = make_server("--allow-host", f"127.0.0.1:{gate.port}", "--snapshot-memory", "50").start()
    world = World(server)
    heavy = packages.python("ballast = b'x' * (30 << 20)\n" + GATED.format(port=gate.port))
    one, other = deploy(world, heavy), deploy(world, heavy)
    publish(world, one)
    first = snapshots(server)
    assert first["count"] == 1 and first["memoryBytes"] > 30 << 20
    publish(world, other)
    assert snapshots(server)["count"] == 1
    assert "snapshots are dropped for want of room" in server.log()
    for name, expected in [(other, 1), (one, 2)]:
        assert status(world, f"{name}:1") == ACTIVE
        assert world.invoke(f"{name}:1").payload == "snap-start"
        assert gate.count(name) == expected
    assert snapshots(server)["memoryBytes"] <= 50 << 20


def test_snapshots_are_dropped_when_memory_is_short(make_server, gate, gated):
    reserve = str(1 << 40)
    server = make_server("--allow-host", f"127.0.0.1:{gate.port}", "--memory-reserve", reserve).start()
    world = World(server)
    version = publish(world, deploy(world, gated))
    wait_for(lambda: snapshots(server)["memoryBytes"] == 0, "its snapshot is dropped")
    assert status(world, version) == ACTIVE
    assert world.invoke(version).payload == "snap-start"
    assert gate.count(version.partition(":")[0]) == 2


@pytest.mark.parametrize("answer", ["fail", "exit"])
def test_a_restore_that_fails_is_told(world, gate, gated, answer):
    version = publish(world, deploy(world, gated))
    name = version.partition(":")[0]
    gate.answers[f"{name} restore"] = answer
    text = (
        "The afterRestore() runtime hook encountered an error. "
        "For more information, check the Amazon CloudWatch logs."
    )
    assert refused(world.invoke, version) == (400, "SnapStartException", text)
    assert refused(world.stream, version) == (400, "SnapStartException", text)
    gate.answers.clear()
    assert world.invoke(version).payload == "snap-start"


def test_a_restore_that_takes_too_long_is_told(world, gate, gated):
    version = publish(world, deploy(world, gated))
    name = version.partition(":")[0]
    with gate.hold(name, "restore"):
        text = "Lambda couldn't restore the snapshot within the timeout limit."
        assert refused(world.invoke, version) == (408, "SnapStartTimeoutException", text)
    assert world.invoke(version).payload == "snap-start"


@pytest.mark.parametrize("runtime", ["java21", "dotnet8"])
def test_a_version_of_a_runtime_that_this_host_does_not_run_becomes_active(world, runtime):
    name = deploy(world, packages.package({"x": "y"}), runtime=runtime)
    version = publish(world, name)
    assert status(world, version) == ACTIVE
    # The same as $LATEST of such a function answers.
    assert refused(world.invoke, version) == refused(world.invoke, name)


def test_provisioned_concurrency_is_refused_for_such_a_version(world, gated):
    version = publish(world, deploy(world, gated))
    name = version.partition(":")[0]
    told = refusal(
        world.client.put_provisioned_concurrency_config,
        FunctionName=name,
        Qualifier="1",
        ProvisionedConcurrentExecutions=1,
    )
    assert (told.status, told.code) == (400, "InvalidParameterValueException")
