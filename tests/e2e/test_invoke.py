"""Invocations that succeed, and requests that never reach a function."""

import base64
import json

import pytest

from support import packages, raw
from support.world import refusal

ECHO = packages.python("def handler(event, context):\n    return event\n")
COUNTER = packages.python(
    "calls = 0\ndef handler(event, context):\n    global calls\n    calls += 1\n    return calls\n"
)
CONTEXT = packages.python(
    """
def handler(event, context):
    return {
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "request": context.aws_request_id,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "client": context.client_context and {
            "custom": context.client_context.custom,
            "env": context.client_context.env,
            "title": context.client_context.client.app_title,
        },
    }
"""
)
LIMIT = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def echo(world):
    return world.deploy(ECHO, MemorySize=512)


@pytest.mark.parametrize(
    "payload",
    [{}, [], "text", 12, 1.5, True, None, {"käse": "🧀", "deep": [[[{"a": None}]]]}, "line\nbreak \u2028 end"],
    ids=str,
)
def test_payloads_go_through_unchanged(world, echo, payload):
    answer = world.invoke(echo, json.dumps(payload).encode())
    assert (answer.status, answer.error, answer.payload) == (200, None, payload)


def test_no_payload_is_an_empty_object(world, echo):
    assert world.invoke(echo, b"").payload == {}


def test_nothing_returned_is_null(world):
    name = world.deploy(packages.python("def handler(event, context):\n    pass\n"))
    assert world.invoke(name).body == b"null"


def test_six_megabytes_go_both_ways(world, echo):
    payload = json.dumps("x" * (LIMIT - 2)).encode()
    assert len(payload) == LIMIT
    answer = world.invoke(echo, payload)
    assert answer.error is None
    assert answer.body == payload


def test_large_payloads_take_bounded_memory(server, world, echo):
    payload = json.dumps("x" * (LIMIT - 2)).encode()
    world.invoke(echo, payload)
    before = server.memory("VmHWM")
    for _ in range(20):
        assert world.invoke(echo, payload).body == payload
    # Two payloads at a time, and what the allocator keeps of earlier ones.
    assert server.memory("VmHWM") - before < 8 * LIMIT // 1024


def test_more_than_six_megabytes_is_refused(world, echo):
    payload = json.dumps("x" * LIMIT).encode()
    error = refusal(world.client.invoke, FunctionName=echo, Payload=payload)
    assert (error.status, error.code) == (413, "RequestTooLargeException")
    assert world.invoke(echo, b"1").payload == 1


def test_the_answer_says_what_ran(server, world, echo):
    answer = raw.request(server, "POST", f"/2015-03-31/functions/{echo}/invocations", b"{}")
    assert answer.status == 200
    assert answer.headers["x-amz-executed-version"] == "$LATEST"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == "2"
    assert answer.headers["x-amzn-trace-id"].startswith("Root=1-")
    assert "x-amz-function-error" not in answer.headers
    assert "x-amz-log-result" not in answer.headers


def test_the_context_describes_the_invocation(world):
    name = world.deploy(CONTEXT, MemorySize=256, Timeout=9)
    sent = {"custom": {"a": "b"}, "env": {"locale": "de"}, "client": {"app_title": "tests"}}
    answer = world.invoke(name, ClientContext=base64.b64encode(json.dumps(sent).encode()).decode())
    seen = answer.payload
    assert 0 < seen.pop("remaining") <= 9000
    stream = seen.pop("stream")
    assert stream[4] == "/" and "[$LATEST]" in stream and len(stream.split("]")[1]) == 32
    assert seen == {
        "name": name,
        "version": "$LATEST",
        "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "memory": "256",
        "request": answer.request_id,
        "group": f"/aws/lambda/{name}",
        "client": {"custom": {"a": "b"}, "env": {"locale": "de"}, "title": "tests"},
    }


def test_the_arn_is_as_called(world):
    name = world.deploy(CONTEXT)
    assert world.invoke(name).payload["arn"].endswith(f":function:{name}")
    assert world.invoke(name, Qualifier="$LATEST").payload["arn"].endswith(f":function:{name}:$LATEST")
    assert world.invoke(name).payload["client"] is None


def test_a_dry_run_runs_nothing(world):
    name = world.deploy(COUNTER)
    dry = world.invoke(name, InvocationType="DryRun")
    assert (dry.status, dry.body, dry.version) == (204, b"", None)
    assert world.invoke(name).payload == 1


def test_an_environment_is_used_again(world):
    name = world.deploy(COUNTER)
    assert [world.invoke(name).payload for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("payload", [b"{", b"nonsense", b'{"a": }', b"\xff\xfe", b'{"a": 1} trailing'], ids=repr)
def test_what_is_not_json_is_refused(world, echo, payload):
    error = refusal(world.client.invoke, FunctionName=echo, Payload=payload)
    assert (error.status, error.code) == (400, "InvalidRequestContentException")
    assert error.message.startswith(
        "Could not parse request body into json: Could not parse payload into json: "
    )
    assert error.body["Type"] == "User"


def test_a_missing_function_is_named_with_its_version(world):
    error = refusal(world.client.invoke, FunctionName="missing")
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:missing:$LATEST"
    error = refusal(world.client.invoke, FunctionName="missing", Qualifier="7")
    assert error.message == "Function not found: arn:aws:lambda:us-east-1:000000000000:function:missing:7"


def test_qualifiers_must_agree(world, echo):
    error = refusal(world.client.invoke, FunctionName=f"{echo}:1", Qualifier="2")
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == "The derived qualifier from the function name does not match the specified qualifier."


def test_an_updated_function_does_not_run_in_an_old_environment(world):
    name = world.deploy(COUNTER)
    assert [world.invoke(name).payload for _ in range(2)] == [1, 2]
    world.client.update_function_configuration(FunctionName=name, MemorySize=256)
    world.await_updated(name)
    assert world.invoke(name).payload == 1


def test_node_handlers_of_every_kind(world):
    kinds = {
        "async": 'export const handler = async (event) => ({ kind: "async", event });\n',
        "promise": 'export const handler = (event) => Promise.resolve({ kind: "promise", event });\n',
        "callback": 'export const handler = (event, context, done) => done(null, { kind: "callback", event });\n',
    }
    for kind, source in kinds.items():
        name = world.deploy(packages.node(source), runtime="nodejs20.x")
        assert world.invoke(name, {"n": 1}).payload == {"kind": kind, "event": {"n": 1}}
    common = packages.package({"index.js": "exports.handler = async () => require('path').sep;\n"})
    assert world.invoke(world.deploy(common, runtime="nodejs20.x")).payload == "/"


def test_handlers_in_folders(world):
    source = "def main(event, context):\n    return __file__\n"
    name = world.deploy(packages.package({"src/inner/app.py": source}), Handler="src/inner/app.main")
    assert world.invoke(name).payload == "/var/task/src/inner/app.py"


def test_functions_of_other_accounts_stay_apart(account, world):
    name = account.deploy(COUNTER, name=world.name())
    assert refusal(world.client.invoke, FunctionName=name).status == 404
    assert account.invoke(name).payload == 1
    assert world.invoke(world.deploy(COUNTER, name=name)).payload == 1
