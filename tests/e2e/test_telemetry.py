"""Telemetry and Logs APIs: what extensions hear of the environment that they are in."""

import re

import pytest

from support import raw, telemetry
from support.server import run_firelet
from support.telemetry import records
from support.traces import is_frozen, memory_of
from support.waiting import wait_for
from support.world import World

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
COLLECT = """
def handler(event, context):
    print("printed", event.get("n"))
    return collect(event.get("type", "platform.start"), event.get("count", 1))
"""


def types(events):
    return [event["type"] for event in events]


def test_the_life_of_an_environment_is_told_in_order(world):
    name = world.deploy(telemetry.listening(COLLECT))
    first = world.invoke(name)
    events = world.invoke(name, {"type": "platform.start", "count": 2}).payload[:10]
    assert types(events) == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        "platform.start",
        "function",
        "platform.runtimeDone",
        "platform.report",
        "platform.start",
    ]
    assert all(set(event) == {"time", "type", "record"} and TIME.fullmatch(event["time"]) for event in events)
    start, subscription, done, extension, report, started, line, runtime, invocation, _ = [
        event["record"] for event in events
    ]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", start.pop("instanceId"))
    assert start.pop("runtimeVersion").startswith("python:3.11.")
    assert start.pop("runtimeVersionArn").startswith("arn:aws:lambda:us-east-1::runtime:")
    init = {"initializationType": "on-demand", "phase": "init"}
    names = {"functionName": name, "functionVersion": "$LATEST", "instanceMaxMemory": 128 << 20}
    assert start == init | names
    assert subscription == {"name": "listener", "state": "Subscribed", "types": ["platform", "function"]}
    assert done == init | {"status": "success"}
    assert extension == {"name": "listener", "state": "Ready", "events": []}
    assert report.pop("metrics")["durationMs"] > 0
    assert report == init | {"status": "success"}
    assert started == {"requestId": first.request_id, "version": "$LATEST"}
    assert line == "printed None\n"
    metrics = runtime.pop("metrics")
    assert metrics["durationMs"] > 0 and metrics["producedBytes"] == len(first.body)
    spans = runtime.pop("spans")
    assert [span["name"] for span in spans] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert all(TIME.fullmatch(span["start"]) and span["durationMs"] >= 0 for span in spans)
    assert sum(span["durationMs"] for span in spans) <= metrics["durationMs"] + 0.01
    assert runtime == {"requestId": first.request_id, "status": "success"}
    metrics = invocation.pop("metrics")
    assert set(metrics) == {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"}
    assert invocation == {"requestId": first.request_id, "status": "success"}


def test_subscriptions_are_told_in_the_log(world):
    name = world.deploy(telemetry.listening(COLLECT, types=["function"]))
    world.invoke(name)
    log = run_firelet("logs", name, endpoint=world.server.endpoint, check=True).stdout
    assert "TELEMETRY\tName: listener\tState: Subscribed\tTypes: [Function]" in log


@pytest.mark.parametrize(
    ("version", "is_object"), [("2022-07-01", False), ("2022-12-13", True), ("2025-01-29", True)]
)
def test_logs_in_json_are_objects_to_newer_versions(world, version, is_object):
    source = (
        'def handler(event, context):\n    print(\'{"level": "INFO", "n": 1}\')\n    print("plain")\n'
        '    return records_of("function")\n'
        "def records_of(type):\n    collect(type, 2)\n    return [event['record'] for event in events(type)]\n"
    )
    name = world.deploy(
        telemetry.listening(source, schemaVersion=version), LoggingConfig={"LogFormat": "JSON"}
    )
    line = '{"level": "INFO", "n": 1}\n'
    expected = {"level": "INFO", "n": 1} if is_object else line
    assert world.invoke(name).payload == [expected, "plain\n"]


def test_the_logs_api_tells_in_its_own_way(world):
    source = (
        "identifier = register('listener')\n"
        "change = {'destination': to(listen(), '/logs') | {'method': 'PUT'}, 'schemaVersion': '2021-03-18'}\n"
        "answer = subscribe(identifier, '/2020-08-15/logs', **change)\n"
        "settle(identifier)\n"
        "def handler(event, context):\n"
        "    return [answer, requests, collect(event.get('type', 'platform.start'), event.get('count', 1))]\n"
    )
    name = world.deploy(telemetry.written(source))
    first = world.invoke(name)
    answer, requests, events = world.invoke(name, {"count": 2}).payload
    assert answer == [200, "OK"]
    assert requests[0][:3] == ["PUT", "/logs", "application/json"]
    assert re.fullmatch(r"sandbox\.localdomain:\d+", requests[0][3])
    assert types(events) == [
        "platform.logsSubscription",
        "platform.extension",
        "platform.start",
        "platform.runtimeDone",
        "platform.end",
        "platform.report",
        "platform.start",
    ]
    subscription, extension, start, done, end, report, _ = [event["record"] for event in events]
    assert subscription == {"name": "listener", "state": "Subscribed", "types": ["platform", "function"]}
    assert extension == {"name": "listener", "state": "Ready", "events": []}
    request = {"requestId": first.request_id}
    assert start == request | {"version": "$LATEST"}
    assert done == request | {"status": "success"}
    assert end == request
    assert set(report) == {"requestId", "metrics"} and report["metrics"]["initDurationMs"] > 0


def test_events_come_by_tcp(world):
    source = (
        "identifier = register('listener')\n"
        "answer = subscribe(identifier, destination=by_tcp(listen_by_tcp()))\n"
        "settle(identifier)\n"
        "def handler(event, context):\n    print('printed')\n    return collect('function', 2)\n"
    )
    name = world.deploy(telemetry.written(source))
    world.invoke(name)
    events = world.invoke(name).payload
    assert types(events)[:2] == ["platform.initStart", "platform.telemetrySubscription"]
    assert records(events, "function") == ["printed\n"] * 2


REFUSALS = [
    ("subscribe(None)", 403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
    ("subscribe('x')", 403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
    (
        "subscribe('11111111-2222-4333-8444-555555555555')",
        403,
        "Extension.UnknownExtensionIdentifier",
        "Unknown extension 11111111-2222-4333-8444-555555555555",
    ),
    (
        "subscribe(one, destination={'protocol': 'HTTP', 'URI': 'http://sandbox.localdomain'}, types=[])",
        400,
        "ValidationError",
        "URI port is not provided; types should not be empty",
    ),
    (
        "subscribe(one, '/2020-08-15/logs', schemaVersion='2020-08-15', destination=to(1), types=[])",
        400,
        "Logs.ValidationError",
        "types should not be empty",
    ),
    (
        "subscribe(one, destination={'protocol': 'HTTP', 'URI': 'http://169.254.169.254:80'})",
        400,
        "ValidationError",
        "destination.URI host must be sandbox.localdomain",
    ),
    ("subscribe(one, body='x' * 100_000)", 400, "ValidationError", "Failed to read request body: http: request body too large"),
    (
        "subscribe(two, '/2020-08-15/logs', schemaVersion=None, destination=to(1))",
        400,
        "Logs.ValidationError",
        "the extension has subscribed by the Telemetry API already",
    ),
]


def test_what_is_no_subscription_is_refused(world):
    calls = "".join(f"    {call},\n" for call, *_ in REFUSALS)
    source = (
        "one, two = register('one'), register('two')\n"
        "first = [subscribe(two, destination=to(1)), subscribe(two, destination=to(2))]\n"
        f"answers = [\n{calls}]\nsettle(one)\nsettle(two)\n"
        "def handler(event, context):\n"
        "    late = [subscribe(one, destination=to(1)),\n"
        "        subscribe(one, '/2020-08-15/logs', schemaVersion=None, destination=to(1))]\n"
        "    return first, answers, late\n"
    )
    first, answers, late = world.invoke(world.deploy(telemetry.written(source))).payload
    assert first == [[200, "OK"], [200, "OK"]]
    expected = [[status, {"errorType": kind, "errorMessage": message}] for _, status, kind, message in REFUSALS]
    assert answers == expected
    closed = {"errorMessage": "Telemetry API subscription is closed already", "errorType": "Telemetry.SubscriptionClosed"}
    closed_logs = {"errorMessage": "Logs API subscription is closed already", "errorType": "Logs.SubscriptionClosed"}
    assert late == [[403, closed], [403, closed_logs]]


def test_batches_are_cut_by_the_number_of_events(world):
    source = (
        "def handler(event, context):\n    for n in range(1500):\n        print(n)\n"
        "    collect('function', 1500)\n    return [len(batch) for batch in batches]\n"
    )
    buffering = {"maxItems": 1000, "timeoutMs": 200}
    name = world.deploy(telemetry.listening(source, types=["function"], buffering=buffering))
    sizes = world.invoke(name).payload
    assert sum(sizes) == 1500 and max(sizes) == 1000


def test_batches_are_cut_by_their_bytes(world):
    source = (
        "def handler(event, context):\n    for n in range(50):\n        print('x' * 9_900)\n"
        "    collect('function', 50)\n    return [request[4] for request in requests]\n"
    )
    name = world.deploy(telemetry.listening(source, types=["function"], buffering={"timeoutMs": 200}))
    sizes = world.invoke(name).payload
    assert sum(sizes) > 495_000 and 250_000 < max(sizes) <= 262_144 + 2


def test_a_batch_that_is_refused_comes_again(world):
    source = (
        "failures = [500, 500]\n"
        "def answer_with():\n    return failures.pop() if failures else 200\n"
        "def handler(event, context):\n    collect('platform.start', 1)\n    return len(requests), types()\n"
        "def types():\n    return [event['type'] for event in events()]\n"
    )
    name = world.deploy(telemetry.listening(source))
    count, seen = world.invoke(name).payload
    assert count >= 3
    assert seen[:2] == ["platform.initStart", "platform.telemetrySubscription"]
    assert len(seen) == len(set(seen))


# A listener that takes connections and says nothing.
SILENT = """
import socket
silent = socket.create_server(("127.0.0.1", 0))
def listen():
    return silent.getsockname()[1]
"""


def test_a_listener_that_never_answers_holds_up_nobody(world):
    source = "def handler(event, context):\n    for n in range(event['lines']):\n        print('x' * 100)\n    return 1\n"
    name = world.deploy(telemetry.listening(source, before=SILENT))
    world.invoke(name, {"lines": 1})
    answers = [world.invoke(name, {"lines": 20_000}, tail=True) for _ in range(3)]
    durations = [float(re.search(r"\tDuration: ([\d.]+) ms", answer.log)[1]) for answer in answers]
    assert max(durations) < 2_000, durations


def test_a_slow_listener_is_told_what_it_has_lost(world):
    source = """
import os
slow = threading.Event()
def answer_with():
    if requests[-1][4] > 100_000:
        slow.wait(10)
    return 200

def handler(event, context):
    block = b"line\\n" * 10_000
    for _ in range(event["blocks"]):
        os.write(1, block)
    slow.set()
    collect("platform.logsDropped", 1)
    dropped = sum(event["record"]["droppedRecords"] for event in events("platform.logsDropped"))
    return len(events("function")), dropped, [event["record"]["reason"] for event in events("platform.logsDropped")]
"""
    name = world.deploy(telemetry.listening(source), MemorySize=512)
    got, dropped, reasons = world.invoke(name, {"blocks": 100}).payload
    assert got + dropped == 1_000_000
    assert got >= 1_000
    assert set(reasons) == {
        "Some logs were dropped because the downstream consumer is slower than the logs production rate"
    }


def test_binary_output_and_lines_without_end_are_told(world):
    source = """
import os
def handler(event, context):
    os.write(1, b"\\xff\\x00\\n")
    os.write(1, b"y" * 600_000 + b"\\n")
    os.write(1, b"last\\n")
    collect("function", 5)
    return [[event["record"][:4], len(event["record"])] for event in events("function")]
"""
    name = world.deploy(telemetry.listening(source, buffering={"maxBytes": 1 << 20, "timeoutMs": 25}))
    seen = world.invoke(name).payload
    assert seen[0] == ["\ufffd\u0000\n", 3] and seen[-1] == ["last", 5]
    long = [length for start, length in seen if start.startswith("y")]
    assert sum(long) == 600_001 and max(long) < 300_000


def test_telemetry_comes_with_the_network_of_the_host_too(make_server):
    world = World(make_server("--network", "host").start())
    events = world.invoke(world.deploy(telemetry.listening(COLLECT))).payload
    assert types(events)[:2] == ["platform.initStart", "platform.telemetrySubscription"]


def test_a_traced_invocation_is_told_with_its_trace(world):
    name = world.deploy(telemetry.listening(COLLECT))
    root = "Root=1-62e900b2-710d76f009d6e7785905449a"
    path = f"/2015-03-31/functions/{name}/invocations"
    raw.request(world.server, "POST", path, b"{}", {"X-Amzn-Trace-Id": f"{root};Sampled=1"})
    events = world.invoke(name, {"count": 2}).payload
    for kind in ("platform.start", "platform.runtimeDone", "platform.report"):
        tracing = records(events, kind)[0]["tracing"]
        assert tracing["type"] == "X-Amzn-Trace-Id"
        assert tracing["value"].startswith(root) and "Sampled=1" in tracing["value"]


def test_an_extension_may_wait_for_the_end_of_the_runtime_before_it_goes_on(world):
    source = """
listener = register("listener")
subscribe(listener, destination=to(listen()))
settle(listener)
waiting = register("waiting", "INVOKE")

def wait():
    done = 0
    while next_event(waiting)[0] == 200:
        done += 1
        collect("platform.runtimeDone", done)

threading.Thread(target=wait, daemon=True).start()

def handler(event, context):
    collect("platform.report", event.get("reports", 0))
    return [event["record"] for event in events("platform.report")]
"""
    name = world.deploy(telemetry.written(source))
    world.invoke(name)
    report = world.invoke(name, {"reports": 1}).payload[0]
    assert [span["name"] for span in report["spans"]] == ["extensionOverhead"]
    assert report["status"] == "success" and report["metrics"]["durationMs"] < 5_000


# Listeners that do harm, or try to: `serve` gets each connection.
HOSTILE = """
import socket

def listen():
    listener = socket.create_server(("127.0.0.1", 0))
    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]

def pour(connection, head, piece):
    try:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
    except OSError:
        connection.close()

SERVERS = {
    "says nothing": lambda connection: time.sleep(3600),
    "closes at once": lambda connection: connection.close(),
    "has an endless head": lambda connection: pour(connection, b"HTTP/1.1 200 OK\\r\\n", b"a: b\\r\\n" * 1000),
    "has an endless body": lambda connection: pour(
        connection, b"HTTP/1.1 200 OK\\r\\ncontent-length: 999999999999\\r\\n\\r\\n", b"x" * 65536),
    "speaks no HTTP": lambda connection: pour(connection, b"", b"\\xff" * 65536),
    "reads a byte at a time": lambda connection: [time.sleep(0.1) for _ in iter(lambda: connection.recv(1), b"")],
}
extensions = [register(f"extension-{n}") for n in range(10)]
for n, extension in enumerate(extensions):
    protocol = by_tcp if OPTIONS["by_tcp"] else to
    answer = subscribe(extension, destination=protocol(listen()), buffering={"maxBytes": 1 << 20, "timeoutMs": 25})
    assert answer == [200, "OK"], answer
    settle(extension)

def handler(event, context):
    block = b"x" * 99 + b"\\n"
    for _ in range(event.get("blocks", 0)):
        os.write(1, block * 600)
    return "done"
"""


@pytest.mark.parametrize(
    ("behaviour", "by_tcp"),
    [
        ("says nothing", False),
        ("says nothing", True),
        ("closes at once", False),
        ("closes at once", True),
        ("has an endless head", False),
        ("has an endless body", False),
        ("speaks no HTTP", False),
        ("reads a byte at a time", False),
        ("reads a byte at a time", True),
    ],
)
def test_hostile_listeners_hold_up_nobody_and_grow_nothing(server, world, behaviour, by_tcp):
    source = f"OPTIONS = {{'by_tcp': {by_tcp}}}\ndef serve(connection):\n    SERVERS[{behaviour!r}](connection)\n"
    name = world.deploy(telemetry.written(source + HOSTILE), MemorySize=512)
    assert world.invoke(name).payload == "done"
    before = memory_of(server)
    for _ in range(3):
        answer = world.invoke(name, {"blocks": 60}, tail=True)
        assert answer.payload == "done"
        assert float(re.search(r"\tDuration: ([\d.]+) ms", answer.log)[1]) < 10_000
    assert memory_of(server) - before < 64 << 20
    world.client.delete_function(FunctionName=name)


def test_what_waits_in_a_frozen_environment_comes_with_the_next_invocation(world):
    # It stands still long before the time of the batch is over.
    name = world.deploy(telemetry.listening(COLLECT, buffering={"timeoutMs": 1_000}))
    first = world.invoke(name)
    wait_for(lambda: is_frozen(name), "the environment stands still")
    events = world.invoke(name, {"type": "platform.report"}).payload
    assert records(events, "platform.report")[0]["requestId"] == first.request_id
