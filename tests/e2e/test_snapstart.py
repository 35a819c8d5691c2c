"""Functions that start from snapshots: what they do around them, and what is told of it."""

import concurrent.futures
import json
import os
import re
import signal

import pytest

from support import extensions, packages, telemetry
from support.server import run_firelet
from support.telemetry import records
from support.waiting import wait_for
from support.world import World, refusal

RUNTIME = "python3.13"
SNAP_START = {"ApplyOn": "PublishedVersions"}
INIT_START = re.compile(r"INIT_START Runtime Version: python:3\.13\.\S*\tRuntime Version ARN: arn:aws:lambda:\S+$")
RESTORE_START = re.compile(
    r"RESTORE_START Runtime Version: python:3\.13\.\S*\tRuntime Version ARN: arn:aws:lambda:\S+$"
)
INIT_REPORT = re.compile(r"INIT_REPORT Init Duration: \d+\.\d\d ms$")
RESTORE_REPORT = re.compile(r"RESTORE_REPORT Restore Duration: (\d+\.\d\d) ms(.*)$")
REPORT = re.compile(
    r"REPORT RequestId: \S+\tDuration: (?P<duration>\d+\.\d\d) ms\tBilled Duration: (?P<billed>\d+) ms\t"
    r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\t"
    r"Restore Duration: (?P<restore>\d+\.\d\d) ms\tBilled Restore Duration: (?P<billed_restore>\d+) ms\t$",
    re.MULTILINE,
)
HOOKS = """
import os, time, uuid
import snapshot_restore_py as hooks

print("at import")
log = ["import"]
me = None

def note(what):
    print(what)
    log.append(what)

hooks.register_before_snapshot(note, "first before")
hooks.register_before_snapshot(note, what="second before")
hooks.register_after_restore(note, "first after")

@hooks.register_after_restore
def become():
    global me
    me = str(uuid.uuid4())
    note("second after")

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    if event.get("exit"):
        os._exit(1)
    return {"log": log, "me": me, "stream": context.log_stream_name, "group": context.log_group_name}
"""
ORDER = ["import", "second before", "first before", "first after", "second after"]


def publish(world, source, state="Active", **settings):
    """A version of a new function that starts from a snapshot, by the name that it is invoked by."""
    settings = {"runtime": RUNTIME, "SnapStart": SNAP_START} | settings
    name = world.deploy(packages.python(source), **settings)
    version = world.client.publish_version(FunctionName=name)["Version"]
    qualified = f"{name}:{version}"
    wait_for(lambda: world.configuration(qualified)["State"] == state, f"the version is {state}")
    return qualified


def logged(world, qualified):
    """The lines that the function has logged, apart by log stream, oldest first."""
    name = qualified.partition(":")[0]
    printed = run_firelet("logs", name, endpoint=world.server.endpoint, check=True).stdout
    return printed.splitlines()


def restored(world, qualified):
    """What was logged since an environment began to start from the snapshot for the last time."""
    lines = logged(world, qualified)
    begun = max(index for index, line in enumerate(lines) if "RESTORE_START" in line)
    return [line.partition(" ")[2] for line in lines[begun:]]


@pytest.fixture(scope="module")
def version(world):
    return publish(world, HOOKS)


def test_hooks_run_in_their_order(world, version):
    first = world.invoke(version).payload
    assert first["log"] == ORDER
    # Once for each environment, not for each invocation.
    assert world.invoke(version).payload == first
    assert (first["stream"], first["group"]) == (None, None), "which would be those of the snapshot"


def test_each_environment_becomes_its_own(world, version):
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: world.invoke(version, {"seconds": 1}).payload, range(3)))
    assert [answer["log"] for answer in answers] == [ORDER] * 3
    assert len({answer["me"] for answer in answers}) == 3


KEPT = """
import random, ssl, uuid
import snapshot_restore_py as hooks

print("at import")
random.seed(1)
ssl.RAND_bytes(1)
born = str(uuid.uuid4())
with open("/tmp/note", "w") as file:
    file.write(born)
note = open("/tmp/note")
drawn = []
hooks.register_after_restore(lambda: drawn.extend([random.random(), ssl.RAND_bytes(8).hex()]))

def handler(event, context):
    import time
    time.sleep(1)
    return {"born": born, "note": open("/tmp/note").read(), "open": note.read(), "drawn": drawn}
"""


@pytest.mark.parametrize("runtime", ["python3.12", "python3.13"])
def test_the_state_that_init_left_is_there_and_numbers_to_come_differ(world, runtime):
    version = publish(world, KEPT, runtime=runtime)
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda _: world.invoke(version).payload, range(3)))
    assert sum("at import" in line for line in logged(world, version)) == 1, world.server.log()
    born = answers[0]["born"]
    for answer in answers:
        assert (answer["born"], answer["note"], answer["open"]) == (born, born, born)
    for drawn in zip(*(answer["drawn"] for answer in answers)):
        assert len(set(drawn)) == 3


GOES_ON = """
import asyncio, os, socket, sqlite3, threading, time

print("at import")
ticks = []

def tick():
    while True:
        time.sleep(0.01)
        ticks.append(1)

threading.Thread(target=tick, daemon=True).start()
database = sqlite3.connect("/tmp/database", check_same_thread=False)
database.execute("create table numbers (number)")
database.execute("insert into numbers values (42)")
database.commit()
loop = asyncio.new_event_loop()
listener = socket.create_server(("127.0.0.1", 8123))

def handler(event, context):
    ticked = len(ticks)
    while len(ticks) < ticked + 2:
        time.sleep(0.01)
    client = socket.create_connection(("127.0.0.1", 8123))
    client.send(b"sent")
    return [
        database.execute("select number from numbers").fetchone()[0],
        loop.run_until_complete(asyncio.sleep(0.01, "slept")),
        listener.accept()[0].recv(10).decode(),
    ]
"""


def test_threads_and_what_is_open_go_on(world):
    version = publish(world, GOES_ON)
    assert world.invoke(version).payload == [42, "slept", "sent"]
    assert sum("at import" in line for line in logged(world, version)) == 1


def test_where_a_state_cannot_be_kept_init_is_run_anew(world):
    version = publish(world, "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n" + HOOKS)
    cold = world.invoke(version, tail=True)
    assert cold.payload["log"] == ORDER
    assert REPORT.search(cold.log)
    lines = [line.partition(" ")[2] for line in logged(world, version)]
    assert lines.count("at import") == 2
    assert sum(line.startswith("INIT_REPORT") for line in lines) == 1
    name = version.partition(":")[0]
    told = [line for line in world.server.log().splitlines() if "cannot be kept" in line and f"function={name} " in line]
    assert len(told) == 1


def test_what_is_told_of_snapshot_and_restore(world):
    version = publish(world, HOOKS)
    cold = world.invoke(version, tail=True)
    warm = world.invoke(version, tail=True)
    lines = [line.partition(" ")[2] for line in logged(world, version)]
    assert INIT_START.match(lines[0])
    assert lines[1:4] == ["at import", "second before", "first before"]
    assert INIT_REPORT.match(lines[4])
    lines = restored(world, version)
    assert RESTORE_START.match(lines[0])
    report = next(line for line in lines if RESTORE_REPORT.match(line))
    hooks = lines[lines.index(report) - 2 : lines.index(report)]
    assert hooks == ["first after", "second after"]
    assert lines[lines.index(report) + 1] == f"START RequestId: {cold.request_id} Version: 1"
    assert not any(line.startswith("INIT_") for line in lines)

    assert cold.log.startswith("START RequestId: ")
    told = REPORT.search(cold.log)
    duration, restore = float(told["duration"]), float(told["restore"])
    billed, billed_restore = int(told["billed"]), int(told["billed_restore"])
    assert RESTORE_REPORT.match(report)[1] == told["restore"]
    assert 0 <= billed_restore <= restore + 1
    assert 0 <= billed - (duration + billed_restore) < 1
    assert "Restore Duration" not in warm.log and "Init Duration" not in warm.log


def test_what_is_told_in_json(world):
    version = publish(world, HOOKS, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG"})
    world.invoke(version)
    lines = [json.loads(line) for line in restored_in_json(world, version)]
    init, restore = split(lines)
    assert [name for name, _ in init] == ["platform.initStart", "platform.initRuntimeDone", "platform.initReport"]
    for _, record in init:
        assert (record["initializationType"], record["phase"]) == ("snap-start", "init")
    names = [name for name, _ in restore]
    assert names[:4] == [
        "platform.restoreStart",
        "platform.restoreRuntimeDone",
        "platform.restoreReport",
        "platform.start",
    ]
    told = dict(restore)
    assert told["platform.restoreRuntimeDone"] == {"status": "success"}
    assert told["platform.restoreReport"]["status"] == "success"
    metrics = told["platform.report"]["metrics"]
    assert metrics["restoreDurationMs"] == told["platform.restoreReport"]["metrics"]["durationMs"]
    assert metrics["billedRestoreDurationMs"] <= metrics["restoreDurationMs"] + 1


def restored_in_json(world, qualified):
    lines = [line.partition(" ")[2] for line in logged(world, qualified)]
    return [line for line in lines if line.startswith('{"time"')]


def split(lines):
    """The events of the snapshot's environment, and those of the one that started from it."""
    events = [(line["type"], line["record"]) for line in lines]
    begun = next(index for index, (name, _) in enumerate(events) if name == "platform.restoreStart")
    return events[:begun], events[begun:]


CREDENTIALS = """
import json, os, urllib.error, urllib.request

def ask(token):
    request = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": token})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()

at_import = ask(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"])

def handler(event, context):
    token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    return {"import": at_import, "now": ask(token), "other": ask(token[:-1]), "variables": dict(os.environ)}
"""


def test_credentials_are_asked_for(world):
    answer = world.invoke(publish(world, CREDENTIALS)).payload
    for status, credentials in (answer["import"], answer["now"]):
        assert status == 200
        assert set(credentials) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
        assert credentials["AccessKeyId"] == world.account
    assert answer["other"] == [404, "cannot get credentials for the provided token\n"]
    variables = answer["variables"]
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
    assert variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"].endswith("/2021-04-23/credentials")
    absent = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "LAMBDA_LOG_STREAM_NAME", "LAMBDA_LOG_GROUP_NAME")
    assert not {f"AWS_{name}" for name in absent} & variables.keys()


def test_other_functions_know_no_snapshots(world):
    source = CREDENTIALS.replace("at_import = ", "# ").replace(
        "def handler(event, context):",
        "def handler(event, context):\n"
        "    url = 'http://' + os.environ['AWS_LAMBDA_RUNTIME_API']\n"
        "    os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = url + event['path']\n"
        "    return ask('token')\n",
    )
    for version in (world.deploy(packages.python(source)), publish(world, source).partition(":")[0]):
        for path in ("/2018-06-01/runtime/restore/next", "/2021-04-23/credentials"):
            assert world.invoke(version, {"path": path}).payload == [404, "404 page not found\n"]


def test_an_environment_that_ended_is_restored_again(world):
    version = publish(world, HOOKS)
    first = world.invoke(version).payload
    assert world.invoke(version, {"exit": True}).error == "Unhandled"
    second = world.invoke(version).payload
    assert second["log"] == ORDER and second["me"] != first["me"]
    assert sum("RESTORE_REPORT" in line for line in logged(world, version)) == 2
    assert sum("INIT_START" in line for line in logged(world, version)) == 1


def test_extensions_are_there_too(world):
    """The state of several processes is not kept: Init is run anew, and nobody sees that."""
    content = extensions.layer({"one": extensions.recorder("INVOKE", "SHUTDOWN")})
    layer = world.client.publish_layer_version(LayerName=world.name("layer"), Content={"ZipFile": content})
    version = publish(world, HOOKS, Layers=[layer["LayerVersionArn"]])
    cold = world.invoke(version, tail=True)
    assert cold.payload["log"] == ORDER
    assert REPORT.search(cold.log)
    assert world.invoke(version).payload == cold.payload
    lines = [line.partition(" ")[2] for line in logged(world, version)]
    assert lines.count("EXTENSION\tName: one\tState: Ready\tEvents: [INVOKE, SHUTDOWN]") == 1
    assert lines.count("one started") == 2


def test_extensions_hear_of_the_restore(world):
    content = {"ZipFile": telemetry.keeper(awaited="platform.start")}
    layer = world.client.publish_layer_version(LayerName=world.name("layer"), Content=content)
    source = "def handler(event, context):\n    return told('platform.report' if event else 'platform.start')\n"
    name = world.deploy(
        telemetry.reading(source), runtime=RUNTIME, SnapStart=SNAP_START, Layers=[layer["LayerVersionArn"]]
    )
    version = f"{name}:" + world.client.publish_version(FunctionName=name)["Version"]
    wait_for(lambda: world.configuration(version)["State"] == "Active", "the version is active")
    world.invoke(version)
    events = world.invoke(version, {"second": True}).payload
    (started,), (done,), (report,) = (
        records(events, f"platform.restore{what}") for what in ("Start", "RuntimeDone", "Report")
    )
    assert (started["functionName"], started["functionVersion"]) == (name, "1")
    assert done == {"status": "success"} and report["status"] == "success"
    metrics = records(events, "platform.report")[0]["metrics"]
    assert metrics["restoreDurationMs"] == report["metrics"]["durationMs"]
    assert not records(events, "platform.initStart")


def test_a_snapshot_outlives_the_helper_that_made_it(make_server):
    world = World(make_server().start())
    version = publish(world, KEPT)
    first = world.invoke(version).payload
    os.kill(world.server.inventory()["helper"]["processId"], signal.SIGKILL)
    wait_for(lambda: not world.server.inventory()["environments"], "its environments are gone")
    second = world.invoke(version).payload
    assert second["born"] == first["born"] and second["drawn"] != first["drawn"]


FAILING = """
import os, time
import snapshot_restore_py as hooks

@hooks.register_{hook}
def fail():
    {body}

def handler(event, context):
    return 1
"""


@pytest.mark.parametrize(
    ("hook", "body", "error_type"),
    [
        ("before_snapshot", "raise ValueError('not now')", "Runtime.BeforeSnapshotError"),
        ("before_snapshot", "os._exit(3)", "Runtime.ExitError"),
    ],
    ids=["an error", "an exit"],
)
def test_a_hook_before_the_snapshot_fails(world, hook, body, error_type):
    version = publish(world, FAILING.format(hook=hook, body=body), state="Failed")
    lines = [line.partition(" ")[2] for line in logged(world, version)]
    report = r"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: "
    assert re.match(report + re.escape(error_type) + "$", lines[-1])
    assert not any("RESTORE" in line for line in lines)


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ("raise ValueError('not now')", 400, "SnapStartException", "\tStatus: error\tError Type: Runtime.ExitError"),
        ("os._exit(3)", 400, "SnapStartException", "\tStatus: error\tError Type: Runtime.ExitError"),
        ("time.sleep(60)", 408, "SnapStartTimeoutException", "\tStatus: timeout"),
    ],
    ids=["an error", "an exit", "too long"],
)
def test_a_hook_after_the_restore_fails(world, body, status, code, told):
    version = publish(world, FAILING.format(hook="after_restore", body=body))
    refused = refusal(world.client.invoke, FunctionName=version)
    assert (refused.status, refused.code) == (status, code)
    lines = restored(world, version)
    assert RESTORE_REPORT.match(lines[-1])[2] == told
    assert not any(line.startswith(("START", "END", "REPORT")) for line in lines)
    if "raise" in body:
        assert "[ERROR] ValueError: not now" in lines
