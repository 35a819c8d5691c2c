"""Answers that reach the caller while the function still writes them: InvokeWithResponseStream, and the Runtime API's
streaming mode."""

import base64
import http.client
import json
import re

import pytest
import urllib3

from support import packages, raw, streams
from support.server import ACCOUNT, REGION
from support.streams import begin, deploy, read, run
from support.waiting import wait_for
from support.world import World, refusal

ECHO = packages.python("def handler(event, context):\n    return event\n")
FAILING = packages.python("def handler(event, context):\n    raise ValueError('no good')\n")
LIMIT = 6 * 1024 * 1024
STREAM_LIMIT = 200 * 1024 * 1024
MOST_MEMORY = 64 * 1024  # KB that the server may grow by, whatever streams through it


@pytest.fixture(scope="module")
def server_options():
    """Functions reach the test, so that they can wait for what it does."""
    return "--network", "host"


@pytest.fixture(scope="module")
def told(world):
    return deploy(world)


def url(name):
    return f"/2021-11-15/functions/{name}/response-streaming-invocations"


def log(server, name):
    return raw.request(server, "GET", f"/_firelet/logs?function={name}").body.decode()


def await_answer(server, name, status, error_type, message):
    """Waits until the Runtime API has refused an answer."""
    text = f'answered {status} {{"errorMessage":"{message}","errorType":"{error_type}"}}'
    wait_for(lambda: text in log(server, name), "the runtime is told")


def decoded(end):
    return base64.b64decode(end["LogResult"]).decode()


def content_type(answer):
    """The type of the function's answer; Content-Type itself is that of the event stream, as on AWS."""
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    return answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"]


def test_the_first_piece_comes_while_the_function_writes(world, told):
    with streams.gate() as (address, opened, asked):
        answer = begin(world, told, ["write", "first"], ["ask", address], ["write", "second"])
        events = iter(answer["EventStream"])
        assert next(events) == {"PayloadChunk": {"Payload": b"first"}}
        wait_for(asked.is_set, "the function waits")
        opened.set()
        assert list(events) == [{"PayloadChunk": {"Payload": b"second"}}, {"InvokeComplete": {}}]


def test_the_head_comes_before_the_first_piece(server, world, told):
    with streams.gate() as (address, opened, _):
        answer = begin(world, told, payload={"type": "text/event-stream", "steps": [["ask", address]]})
        assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
        assert content_type(answer) == "text/event-stream"
        opened.set()
        assert read(answer) == streams.Streamed([], {})


def test_headers_and_frames_are_as_on_the_wire(server, world, told):
    event = json.dumps({"type": "text/html", "steps": [["write", "<p>"]]})
    answer = raw.request(server, "POST", url(told), event)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["x-amzn-remapped-content-type"] == "text/html"
    assert answer.headers["x-amz-executed-version"] == "$LATEST"
    assert answer.headers["x-amzn-trace-id"].startswith("Root=1-")
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-amzn-requestid"])
    assert "content-length" not in answer.headers
    first = int.from_bytes(answer.body[:4])
    assert b":event-type\x07\x00\x0cPayloadChunk" in answer.body[:first]
    assert b":content-type\x07\x00\x18application/octet-stream" in answer.body[:first]
    assert answer.body[first - 7 : first - 4] == b"<p>"
    last = answer.body[first:]
    assert int.from_bytes(last[:4]) == len(last)
    assert b":content-type\x07\x00\x10application/json" in last and last[-6:-4] == b"{}"


def test_the_log_comes_with_the_end_if_it_is_wanted(world, told):
    steps = ["print", "a line"], ["write", "x"]
    streamed = run(world, told, *steps, LogType="Tail")
    lines = decoded(streamed.end).splitlines()
    assert lines[0].startswith("START RequestId: ") and lines[1] == "a line"
    assert lines[-1].startswith("REPORT RequestId: ") and "Status" not in lines[-1]
    assert run(world, told, *steps).end == {}


def test_an_error_in_mid_stream_ends_it(world, told):
    streamed = run(world, told, ["write", "some"], ["fail", "Function.Broken"])
    assert streamed.body == b"some"
    assert streamed.end["ErrorCode"] == "Function.Broken"
    error = {"errorType": "Function.Broken", "errorMessage": "in mid-stream"}
    assert json.loads(streamed.end["ErrorDetails"]) == error
    answer = world.invoke(told, {"steps": [["write", "some"], ["fail", "Function.Broken"]]})
    assert (answer.status, answer.error, answer.payload) == (200, "Unhandled", error)


def test_a_long_description_of_an_error_arrives(world, told):
    error = {"errorType": "Function.Long", "errorMessage": "x" * 50_000}
    streamed = run(world, told, ["fail", "Function.Long", error])
    assert json.loads(streamed.end["ErrorDetails"]) == error


@pytest.mark.parametrize("step", [["break"], ["exit", 3]], ids=lambda step: step[0])
def test_an_answer_that_breaks_off_is_told_from_a_whole_one(world, told, step):
    streamed = run(world, told, ["write", "some"], step, LogType="Tail")
    assert streamed.body == b"some"
    assert streamed.end.pop("ErrorCode") == "Runtime.TruncatedResponse"
    assert decoded(streamed.end).endswith("\tStatus: error\tError Type: Runtime.TruncatedResponse\n")
    assert list(streamed.end) == ["LogResult"]
    assert run(world, told, ["write", "again"]).body == b"again"


def test_time_runs_out_in_mid_stream(world):
    name = deploy(world, Timeout=1)
    streamed = run(world, name, ["write", "some"], ["sleep", 60], LogType="Tail")
    assert streamed.body == b"some"
    assert streamed.end["ErrorCode"] == "Sandbox.Timedout"
    details = json.loads(streamed.end["ErrorDetails"])
    assert details["errorType"] == "Sandbox.Timedout"
    assert details["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert decoded(streamed.end).endswith("\tStatus: timeout\n")
    assert run(world, name, ["write", "again"]).body == b"again"


def test_whole_answers_come_as_events(world, told):
    name = world.deploy(ECHO, MemorySize=512)
    answer = world.stream(name, {"a": 1})
    assert content_type(answer) == "application/json"
    assert read(answer) == streams.Streamed([b'{"a": 1}'], {})
    large = json.dumps("x" * (LIMIT - 2)).encode()
    assert read(world.stream(name, large)).body == large
    answer = world.stream(told, {})
    assert content_type(answer) == "text/special"
    assert read(answer) == streams.Streamed([b'"whole"'], {})


@pytest.mark.parametrize(
    ("package", "settings", "error_type"),
    [
        (FAILING, {}, "ValueError"),
        (packages.python("raise KeyError('early')\n"), {}, "KeyError"),
        (packages.python("import os\ndef handler(event, context):\n    os._exit(1)\n"), {}, "Runtime.ExitError"),
        (packages.python("import time\ndef handler(event, context):\n    time.sleep(60)\n"), {"Timeout": 1}, "Sandbox.Timedout"),
    ],
    ids=["exception", "init", "exit", "timeout"],
)
def test_errors_before_the_first_piece_come_with_the_end(world, package, settings, error_type):
    name = world.deploy(package, **settings)
    streamed = run(world, name, LogType="Tail", payload={})
    assert (streamed.pieces, streamed.end["ErrorCode"]) == ([], "Unhandled")
    assert json.loads(streamed.end["ErrorDetails"])["errorType"] == error_type
    assert "START RequestId" in decoded(streamed.end)


def test_others_get_a_stream_as_a_whole(server, world):
    told = deploy(world)
    answer = world.invoke(told, {"steps": [["write", '"so'], ["write", 'me"']]}, tail=True)
    assert (answer.error, answer.payload) == (None, "some")
    assert "REPORT" in answer.log
    answer = world.invoke(told, {"steps": [["fill", LIMIT + (1 << 16)]]})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Function.ResponseSizeTooLarge"
    await_answer(server, told, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).")


def test_there_is_one_mode_only(server, world):
    told = deploy(world)
    event = {"mode": "sideways", "steps": [["write", "x"]]}
    end = run(world, told, payload=event).end
    assert end == {"ErrorCode": "Unhandled"}
    answer = world.invoke(told, event)
    assert (answer.error, answer.body) == ("Unhandled", b"")
    await_answer(server, told, 400, "InvalidFunctionResponseMode", "Invalid function response mode")


def test_a_stream_has_a_length_limit_and_the_server_bounded_memory(server, world):
    name = deploy(world, Timeout=120)
    run(world, name, ["fill", 16 << 20])
    before, most, size = server.memory(), 0, 0
    for event in begin(world, name, ["fill", STREAM_LIMIT + (1 << 20)])["EventStream"]:
        size += len(event.get("PayloadChunk", {}).get("Payload", b""))
        most = max(most, server.memory()) if size % (8 << 20) < (1 << 16) else most
    assert (size, event) == (STREAM_LIMIT, {"InvokeComplete": {"ErrorCode": "Function.ResponseSizeTooLarge"}})
    assert most - before < MOST_MEMORY
    message = f"Exceeded maximum allowed payload size ({STREAM_LIMIT} bytes)."
    await_answer(server, name, 413, "RequestEntityTooLarge", message)


class Caller:
    """A caller that reads no more than it is told to."""

    def __init__(self, server, name, *steps):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.request("POST", url(name), json.dumps({"steps": steps}))
        self.response = self.connection.getresponse()

    def close(self):
        self.response.close()
        self.connection.close()


def test_a_caller_that_does_not_read_holds_nothing_up_for_longer_than_the_timeout(server, world):
    name = deploy(world, Timeout=2)
    run(world, name, ["write", "x"])
    before = server.memory()
    callers = [Caller(server, name, ["fill", 64 << 20]) for _ in range(4)]
    wait_for(lambda: log(server, name).count("\tStatus: timeout") == 4, "the functions' time is over")
    assert server.memory() - before < MOST_MEMORY
    assert run(world, name, ["write", "again"]).body == b"again"
    rest = callers[0].response.read()
    assert len(rest) < 64 << 20 and b"Sandbox.Timedout" in rest[-1024:]
    for caller in callers:
        caller.close()


def test_a_caller_that_goes_away_does_not_end_its_invocation(server, world):
    name = deploy(world)
    with streams.gate() as (address, opened, asked):
        caller = Caller(server, name, ["write", "first"], ["ask", address], ["fill", 8 << 20], ["print", "went on"])
        assert b"first" in caller.response.read1()
        wait_for(asked.is_set, "the function waits")
        caller.close()
        opened.set()
        wait_for(lambda: 'answered 202 {"status":"OK"}' in log(server, name), "the function has come to its end")
    wait_for(lambda: "REPORT" in log(server, name), "the invocation has ended")
    assert "went on" in log(server, name) and "Status" not in log(server, name)


def test_a_stream_counts_as_one_execution_until_it_ends(make_server):
    server = make_server("--network", "host", "--quota", "concurrent-executions=1").start()
    world = World(server)
    name = deploy(world)
    with streams.gate() as (address, opened, _):
        answer = begin(world, name, ["write", "first"], ["ask", address])
        events = iter(answer["EventStream"])
        next(events)
        for call in (world.client.invoke, world.client.invoke_with_response_stream):
            error = refusal(call, FunctionName=name)
            assert (error.status, error.code, error.message) == (429, "TooManyRequestsException", "Rate Exceeded.")
        opened.set()
        assert list(events) == [{"InvokeComplete": {}}]
    wait_for(lambda: world.invoke(name).payload, "the place is free")


def test_a_stream_that_a_stopping_server_cuts_off_does_not_look_whole(make_server):
    server = make_server("--network", "host").start()
    world = World(server)
    name = deploy(world)
    with streams.gate() as (address, _, asked):
        events = iter(begin(world, name, ["write", "first"], ["ask", address])["EventStream"])
        assert next(events) == {"PayloadChunk": {"Payload": b"first"}}
        wait_for(asked.is_set, "the function waits")
        assert server.stop() == 0
        with pytest.raises(urllib3.exceptions.ProtocolError):
            next(events)


def node(world, body, **settings):
    """A function whose streaming handler does `body` with `event`, `stream` and `context`."""
    source = f"export const handler = awslambda.streamifyResponse(async (event, stream, context) => {{ {body} }});\n"
    return world.deploy(packages.node("import { pipeline } from 'node:stream/promises';\n" + source), runtime="nodejs20.x", **settings)


def test_node_writes_reach_the_caller_one_by_one(world):
    body = "stream.setContentType('text/plain'); stream.write('first'); await fetch(event.address); stream.end('second');"
    name = node(world, body, MemorySize=256)
    for _ in range(2):
        with streams.gate() as (address, opened, asked):
            answer = world.stream(name, {"address": address})
            assert content_type(answer) == "text/plain"
            events = iter(answer["EventStream"])
            assert next(events) == {"PayloadChunk": {"Payload": b"first"}}
            wait_for(asked.is_set, "the function waits")
            opened.set()
            assert list(events) == [{"PayloadChunk": {"Payload": b"second"}}, {"InvokeComplete": {}}]


def test_node_answers_with_an_http_prelude(world):
    name = node(
        world,
        "const metadata = { statusCode: 418, headers: { 'x-a': 'b' }, cookies: ['c=d'] };"
        "const http = awslambda.HttpResponseStream.from(stream, metadata); http.write('tea'); http.end();",
    )
    answer = world.stream(name)
    assert content_type(answer) == "application/vnd.awslambda.http-integration-response"
    prelude, _, body = read(answer).body.partition(bytes(8))
    assert json.loads(prelude) == {"statusCode": 418, "headers": {"x-a": "b"}, "cookies": ["c=d"]}
    assert body == b"tea"


def test_node_errors_after_the_first_byte_end_the_stream(world):
    name = node(world, "stream.write('some'); throw new RangeError('too far');")
    streamed = run(world, name, payload={})
    assert (streamed.body, streamed.end["ErrorCode"]) == (b"some", "RangeError")
    assert json.loads(streamed.end["ErrorDetails"])["errorMessage"] == "too far"
    answer = world.invoke(name)
    assert (answer.error, answer.payload["errorType"]) == ("Unhandled", "RangeError")


def test_node_pipelines_wait_for_the_caller(server, world):
    body = "await pipeline(async function* () { for (let i = 0; i < 512; i += 1) { console.log('piece', i); yield Buffer.alloc(65536, 'x'); } }, stream);"
    name = node(world, body, MemorySize=256)
    caller = Caller(server, name)
    caller.response.read1(1)
    # What fits between function and caller is written, and no more.
    written = lambda: log(server, name).count("piece")
    wait_for(lambda: written() > 1, "the function writes")
    held = settled(written)
    assert held < 512, "the function waits"
    rest = caller.response.read()
    assert rest.count(b"x") >= 512 * 65536 - 1 and rest[-6:-4] == b"{}"
    assert len(re.findall(r"piece \d+", log(server, name))) == 512
    caller.close()


def test_rust_functions_stream_with_the_crate_they_use(world):
    name = world.deploy(packages.example("rust-stream"), runtime="provided.al2023")
    answer = world.stream(name, {"words": ["one", "two"]})
    assert content_type(answer) == "application/vnd.awslambda.http-integration-response"
    prelude, _, words = read(answer).body.partition(bytes(8))
    assert (json.loads(prelude)["statusCode"], words) == (200, b"onetwo")
    assert world.invoke(name, {"words": ["one"]}).body.endswith(b"one")


def settled(value):
    """What `value` gives once it gives the same for a while."""
    seen = []

    def is_settled():
        seen.append(value())
        return len(seen) > 30 and len(set(seen[-30:])) == 1

    wait_for(is_settled, "it stays the same")
    return seen[-1]


def test_what_is_refused_is_refused_before_any_event(world, told):
    call = world.client.invoke_with_response_stream
    error = refusal(call, FunctionName="missing")
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == f"Function not found: arn:aws:lambda:{REGION}:{ACCOUNT}:function:missing:$LATEST"
    error = refusal(call, FunctionName=told, Payload=b"{")
    assert (error.status, error.code) == (400, "InvalidRequestContentException")
    error = refusal(call, FunctionName=told, Payload=json.dumps("x" * LIMIT).encode())
    assert (error.status, error.code) == (413, "RequestTooLargeException")
    error = refusal(call, FunctionName=f"{told}:1", Qualifier="2")
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    error = refusal(call, FunctionName=told, TenantId="blue")
    assert (error.status, error.code) == (400, "InvalidParameterValueException")


def test_a_dry_run_runs_nothing(server, world):
    name = deploy(world)
    answer = raw.request(server, "POST", url(name), "{}", {"X-Amz-Invocation-Type": "DryRun"})
    assert (answer.status, answer.body) == (204, b"")
    run(world, name, ["write", "x"])
    assert log(server, name).count("START RequestId") == 1


def test_there_are_no_events_to_queue(server, told):
    answer = raw.request(server, "POST", url(told), "{}", {"X-Amz-Invocation-Type": "Event"})
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
