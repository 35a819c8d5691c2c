"""Functions that fail, and what their callers read."""

import json
import re

import pytest

from support import packages

PYTHON = "python3.11"
NODE = "nodejs20.x"
CUSTOM = "provided.al2023"
EXIT = "RequestId: {request} Error: Runtime exited "


def handler(body):
    return packages.python(f"import ctypes, os, signal, sys, time\ndef handler(event, context):\n    {body}\n")


def bootstrap(text):
    return packages.package({"bootstrap": text})


# name, runtime, package, settings, error type, error message
FAILURES = [
    ("exception", PYTHON, handler("raise ValueError('no good')"), {}, "ValueError", "no good"),
    (
        "timeout",
        PYTHON,
        handler("time.sleep(30)"),
        {"Timeout": 1},
        "Sandbox.Timedout",
        "RequestId: {request} Error: Task timed out after 1.00 seconds",
    ),
    ("exit 0", PYTHON, handler("os._exit(0)"), {}, "Runtime.ExitError", EXIT + "without providing a reason"),
    ("exit 1", PYTHON, handler("os._exit(1)"), {}, "Runtime.ExitError", EXIT + "with error: exit status 1"),
    (
        "killed",
        PYTHON,
        handler("os.kill(os.getpid(), signal.SIGKILL); time.sleep(9)"),
        {},
        "Runtime.ExitError",
        EXIT + "with error: signal: killed",
    ),
    (
        "segmentation fault",
        PYTHON,
        handler("ctypes.string_at(0)"),
        {},
        "Runtime.ExitError",
        EXIT + "with error: signal: segmentation fault",
    ),
    (
        "out of memory",
        PYTHON,
        handler("x = b'x' * (400 << 20); return len(x)"),
        {"MemorySize": 128},
        "Runtime.OutOfMemory",
        EXIT + "with error: signal: killed",
    ),
    (
        "no such handler",
        PYTHON,
        handler("pass"),
        {"Handler": "app.absent"},
        "Runtime.HandlerNotFound",
        "Handler 'absent' missing on module 'app'",
    ),
    (
        "handler without a dot",
        PYTHON,
        handler("pass"),
        {"Handler": "app"},
        "Runtime.MalformedHandlerName",
        "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
    ),
    (
        "no such module",
        PYTHON,
        handler("pass"),
        {"Handler": "absent.handler"},
        "Runtime.ImportModuleError",
        "Unable to import module 'absent': No module named 'absent'",
    ),
    (
        "import error",
        PYTHON,
        packages.python("import no_such_package\n"),
        {},
        "Runtime.ImportModuleError",
        "Unable to import module 'app': No module named 'no_such_package'",
    ),
    (
        "syntax error",
        PYTHON,
        packages.python("def handler(:\n"),
        {},
        "Runtime.UserCodeSyntaxError",
        "Syntax error in module 'app': invalid syntax (app.py, line 1)",
    ),
    ("exception at import", PYTHON, packages.python("raise KeyError('early')\n"), {}, "KeyError", "'early'"),
    (
        "exit at import",
        PYTHON,
        packages.python("import os\nos._exit(3)\n"),
        {},
        "Runtime.ExitError",
        EXIT + "with error: exit status 3",
    ),
    (
        "oversized answer",
        PYTHON,
        handler("return 'x' * (6 << 20) + 'x' * 99"),
        {"MemorySize": 512},
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    ),
    (
        "answer that is not JSON",
        PYTHON,
        handler("return {1, 2}"),
        {},
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type set is not JSON serializable",
    ),
    (
        "Node exception",
        NODE,
        packages.node("export const handler = async () => { throw new RangeError('no good'); };\n"),
        {},
        "RangeError",
        "no good",
    ),
    (
        "Node callback error",
        NODE,
        packages.node("export const handler = (e, c, done) => done(new TypeError('called back'));\n"),
        {},
        "TypeError",
        "called back",
    ),
    (
        "Node exit",
        NODE,
        packages.node("export const handler = async () => process.exit(4);\n"),
        {},
        "Runtime.ExitError",
        EXIT + "with error: exit status 4",
    ),
    (
        "Node without that handler",
        NODE,
        packages.node("export const other = 1;\n"),
        {},
        "Runtime.HandlerNotFound",
        "index.handler is undefined or not exported",
    ),
    (
        "Node syntax error",
        NODE,
        packages.node("export const handler = async () => {\n"),
        {},
        "Runtime.UserCodeSyntaxError",
        "SyntaxError: Unexpected end of input",
    ),
    (
        "Node without that module",
        NODE,
        packages.node("export const handler = 1;\n"),
        {"Handler": "absent.handler"},
        "Runtime.ImportModuleError",
        "Error: Cannot find module 'absent'",
    ),
    (
        "no bootstrap",
        CUSTOM,
        packages.package({"readme": "nothing"}),
        {},
        "Runtime.InvalidEntrypoint",
        "RequestId: {request} Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    ),
    (
        "bootstrap that exits",
        CUSTOM,
        bootstrap("#!/bin/sh\nexit 5\n"),
        {},
        "Runtime.ExitError",
        EXIT + "with error: exit status 5",
    ),
]


@pytest.mark.parametrize(
    ("runtime", "zip_bytes", "settings", "error_type", "message"),
    [row[1:] for row in FAILURES],
    ids=[row[0] for row in FAILURES],
)
def test_failures_are_described(world, runtime, zip_bytes, settings, error_type, message):
    name = world.deploy(zip_bytes, runtime=runtime, **settings)
    answer = world.invoke(name, tail=True)
    assert (answer.status, answer.error, answer.version) == (200, "Unhandled", "$LATEST")
    payload = answer.payload
    expected = message.replace("{request}", answer.request_id)
    assert (payload["errorType"], payload["errorMessage"].split("\n")[0]) == (error_type, expected)
    assert re.search(r"^REPORT RequestId: ", answer.log, re.MULTILINE)


def test_python_errors_carry_a_stack_trace(world):
    source = "def inner():\n    raise ValueError('deep')\n\ndef handler(event, context):\n    inner()\n"
    answer = world.invoke(world.deploy(packages.python(source)))
    assert answer.payload == {
        "errorMessage": "deep",
        "errorType": "ValueError",
        "requestId": answer.request_id,
        "stackTrace": [
            '  File "/var/task/app.py", line 5, in handler\n    inner()\n',
            '  File "/var/task/app.py", line 2, in inner\n    raise ValueError(\'deep\')\n',
        ],
    }


def test_node_errors_carry_a_stack_trace(world):
    source = "const inner = () => {\n  throw new Error('deep');\n};\nexport const handler = async () => inner();\n"
    payload = world.invoke(world.deploy(packages.node(source), runtime=NODE)).payload
    assert list(payload) == ["errorType", "errorMessage", "trace"]
    assert payload["trace"][0] == "Error: deep"
    assert payload["trace"][1] == "    at inner (file:///var/task/index.mjs:2:9)"


def test_import_errors_have_no_request(world):
    payload = world.invoke(world.deploy(packages.python("raise KeyError('early')\n"))).payload
    assert payload["requestId"] == ""


def test_a_failed_init_shows_its_log_only_when_asked(world):
    name = world.deploy(packages.python("raise ValueError('no')"))
    assert world.invoke(name).log is None
    assert "REPORT RequestId" in world.invoke(name, tail=True).log


@pytest.mark.parametrize(
    ("body", "timeout"),
    [("os._exit(1)", 30), ("time.sleep(30)", 1), ("x = b'x' * (400 << 20)", 30)],
    ids=["exit", "timeout", "out of memory"],
)
def test_a_failed_environment_starts_anew(world, body, timeout):
    source = f"""
import os, time
calls = 0
def handler(event, context):
    global calls
    calls += 1
    if event.get("fail"):
        {body}
    return calls
"""
    name = world.deploy(packages.python(source), Timeout=timeout)
    assert [world.invoke(name).payload for _ in range(2)] == [1, 2]
    assert world.invoke(name, {"fail": True}).error == "Unhandled"
    assert world.invoke(name).payload == 1


def test_an_exception_keeps_the_environment(world):
    source = """
calls = 0
def handler(event, context):
    global calls
    calls += 1
    if event.get("fail"):
        raise ValueError
    return calls
"""
    name = world.deploy(packages.python(source))
    assert world.invoke(name).payload == 1
    assert world.invoke(name, {"fail": True}).error == "Unhandled"
    assert world.invoke(name).payload == 3


NEXT = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
next() {
  curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip'
}
"""


def test_a_custom_runtime_is_told_what_it_did_wrong(world):
    script = NEXT + """
while true; do
  id=$(next)
  wrong=$(curl -sS -w '%{http_code}' -d '{}' "$api/invocation/00000000-0000-4000-8000-000000000000/response" | tail -c 3)
  error=$(curl -sS -d '{}' "$api/invocation/00000000-0000-4000-8000-000000000000/response")
  missing=$(curl -sS -o /dev/null -w '%{http_code}' "$api/absent")
  curl -sS -o /dev/null -d "[$wrong, $error, $missing]" "$api/invocation/$id/response"
done
"""
    name = world.deploy(bootstrap(script), runtime=CUSTOM)
    wrong, error, missing = world.invoke(name).payload
    assert (wrong, error["errorType"], missing) == (400, "InvalidRequestID", 404)


def test_a_payload_is_whatever_a_custom_runtime_posts(world):
    script = NEXT + """
while true; do
  curl -sS -o /dev/null -d '{"errorType":"Mine","errorMessage":"posted"}' "$api/invocation/$(next)/error"
done
"""
    name = world.deploy(bootstrap(script), runtime=CUSTOM)
    answer = world.invoke(name)
    assert answer.error == "Unhandled"
    assert json.loads(answer.body) == {"errorType": "Mine", "errorMessage": "posted"}


LARGE = {
    "python3.11": packages.python(
        "count = 0\ndef handler(event, context):\n    global count\n    count += 1\n"
        "    return 'x' * (7 << 20) if event else count\n"
    ),
    "nodejs20.x": packages.node(
        "let count = 0;\nexport const handler = async (event) => {\n  count += 1;\n"
        "  return event.large ? 'x'.repeat(7 << 20) : count;\n};\n"
    ),
}


@pytest.mark.parametrize("runtime", LARGE)
def test_an_environment_survives_an_oversized_answer(world, runtime):
    name = world.deploy(LARGE[runtime], runtime=runtime)
    assert world.invoke(name).payload == 1
    assert world.invoke(name, {"large": True}).payload["errorType"] == "Function.ResponseSizeTooLarge"
    # The runtime still sends when the caller has its answer.
    world.await_idle(name)
    assert world.invoke(name).payload == 3
