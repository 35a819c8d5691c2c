"""The lines that an invocation leaves."""

import base64
import json
import os
import re
import threading

import pytest

from support import packages
from support.server import run_firelet
from support.traces import memory_of
from support.waiting import wait_for
from support.world import World

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
REPORT = re.compile(
    rf"REPORT RequestId: (?P<request>{UUID})\tDuration: (?P<duration>\d+\.\d\d) ms\t"
    r"Billed Duration: (?P<billed>\d+) ms\tMemory Size: (?P<size>\d+) MB\tMax Memory Used: (?P<used>\d+) MB\t"
    r"(?:Init Duration: (?P<init>\d+\.\d\d) ms\t)?(?P<rest>.*)\n"
)
NOISY = packages.python(
    "import sys\nprint('at import')\ndef handler(event, context):\n"
    "    print('printed')\n    print('to stderr', file=sys.stderr)\n    return 1\n"
)


def lines(answer):
    return answer.log.splitlines()


def test_the_tail_runs_from_start_to_report(world):
    name = world.deploy(NOISY)
    cold = world.invoke(name, tail=True)
    seen = lines(cold)
    request = cold.request_id
    assert seen[0] == f"START RequestId: {request} Version: $LATEST"
    assert sorted(seen[1:3]) == ["printed", "to stderr"]
    assert seen[3] == f"END RequestId: {request}"
    assert seen[4].startswith(f"REPORT RequestId: {request}\tDuration: ")
    assert len(seen) == 5
    assert cold.log.endswith("\t\n")

    warm = world.invoke(name, tail=True)
    assert [line.split()[0] for line in lines(warm)] == [line.split()[0] for line in seen]
    assert warm.request_id != request


def test_reports_measure(world):
    source = "x = []\ndef handler(event, context):\n    x.append(b'x' * (event['megabytes'] << 20))\n"
    name = world.deploy(packages.python(source), MemorySize=256)
    cold = REPORT.search(world.invoke(name, {"megabytes": 1}, tail=True).log)
    assert cold, "the cold call has a REPORT line as on AWS"
    assert cold["init"] and cold["rest"] == ""
    assert int(cold["billed"]) >= float(cold["duration"]) + float(cold["init"])
    warm = REPORT.search(world.invoke(name, {"megabytes": 100}, tail=True).log)
    assert warm["init"] is None
    assert 0 <= int(warm["billed"]) - float(warm["duration"]) < 1
    assert warm["size"] == "256"
    assert 100 < int(warm["used"]) < 256
    assert int(cold["used"]) < 100


@pytest.mark.parametrize(
    ("body", "timeout", "status"),
    [
        ("time.sleep(30)", 1, "Status: timeout"),
        ("os._exit(1)", 5, "Status: error\tError Type: Runtime.ExitError"),
        ("x = b'x' * (400 << 20)", 5, "Status: error\tError Type: Runtime.OutOfMemory"),
    ],
    ids=["timeout", "exit", "out of memory"],
)
def test_reports_say_how_it_failed(world, body, timeout, status):
    source = f"import os, time\ndef handler(event, context):\n    {body}\n"
    name = world.deploy(packages.python(source), Timeout=timeout)
    report = REPORT.search(world.invoke(name, tail=True).log)
    assert report["rest"] == status
    if status == "Status: timeout":
        assert 1000 <= float(report["duration"]) < 1100


# AWS's client flushes each write of sys.stdout and sys.stderr (class Unbuffered of its bootstrap.py).
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_text_without_a_line_end_is_not_lost_with_its_process(world, stream):
    source = f"import os, sys\ndef handler(event, context):\n    print('to here', end='', file=sys.{stream})\n    os._exit(1)\n"
    answer = world.invoke(world.deploy(packages.python(source)), tail=True)
    assert "\nto here" in answer.log


def test_a_traceback_is_a_record_of_its_own(world):
    source = """
import logging
def handler(event, context):
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception("oops")
    print("and on")
"""
    answer = world.invoke(world.deploy(packages.python(source)), tail=True)
    assert "\nZeroDivisionError: division by zero\nand on\n" in answer.log


def test_the_tail_has_four_kilobytes(world):
    source = "def handler(event, context):\n    for n in range(1000):\n        print(f'line {n:05}')\n"
    answer = world.invoke(world.deploy(packages.python(source)), tail=True)
    assert len(answer.log.encode()) <= 4096
    assert "line 00999\n" in answer.log and "line 00001\n" not in answer.log
    assert REPORT.search(answer.log)


def test_the_log_command_prints_what_was_logged(server, world):
    name = world.deploy(NOISY)
    requests = [world.invoke(name).request_id for _ in range(3)]
    printed = run_firelet("logs", name, endpoint=server.endpoint, check=True).stdout
    assert re.search(r"INIT_START Runtime Version: python:3\.11\.\S*\tRuntime Version ARN: arn:aws:lambda:", printed)
    starts = re.findall(rf"START RequestId: ({UUID}) Version: \$LATEST", printed)
    assert starts == requests
    assert printed.count("printed") == 3 and printed.count("at import") == 1


def test_the_log_command_ends_quietly_when_nobody_reads_it(server, world):
    name = world.deploy(NOISY)
    world.invoke(name)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        ended = run_firelet("logs", name, endpoint=server.endpoint, stdout=output)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_log_command_follows(server, world, follow_logs):
    name = world.deploy(NOISY)
    world.invoke(name)
    seen = follow_logs(name)
    wait_for(lambda: "END RequestId" in seen(), "the first invocation is shown")
    second = world.invoke(name).request_id
    wait_for(lambda: f"END RequestId: {second}" in seen(), "the second invocation is shown as it comes")


def test_a_long_invocation_is_logged_while_it_runs(world, follow_logs):
    source = (
        "import time\ndef handler(event, context):\n    if event:\n"
        "        print('begun')\n        time.sleep(3)\n    return 1\n"
    )
    name = world.deploy(packages.python(source))
    world.invoke(name)
    seen = follow_logs(name)
    wait_for(lambda: seen().count("END RequestId") == 1, "the short invocation is shown")
    caller = threading.Thread(target=world.invoke, args=(name, {"long": True}))
    caller.start()
    wait_for(lambda: "begun" in seen(), "the invocation's first line is shown")
    assert seen().count("END RequestId") == 1
    caller.join()


def test_what_is_printed_between_invocations_is_logged(server, world):
    source = (
        "import threading\ndef later():\n    print('later')\n"
        "def handler(event, context):\n    threading.Timer(0.3, later).start()\n    return 1\n"
    )
    name = world.deploy(packages.python(source))

    def printed():
        # A function that stands still meanwhile prints when it goes on.
        world.invoke(name)
        return run_firelet("logs", name, endpoint=server.endpoint, check=True).stdout

    wait_for(lambda: "later" in printed(), "the line of the function's thread is there")


def test_a_flood_of_logs_is_bounded_and_harmless(world):
    source = "def handler(event, context):\n    for n in range(40000):\n        print('x' * 500)\n    return 'done'\n"
    answer = world.invoke(world.deploy(packages.python(source)), tail=True)
    assert answer.payload == "done"
    assert len(answer.log.encode()) <= 4096


def test_logs_survive_a_restart(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(NOISY)
    first = world.invoke(name).request_id
    server.stop()
    world = World(server.start())
    second = world.invoke(name).request_id
    printed = run_firelet("logs", name, endpoint=server.endpoint, check=True).stdout
    assert re.findall(rf"START RequestId: ({UUID})", printed) == [first, second]


@pytest.mark.parametrize(
    "level, expected",
    [
        ("DEBUG", ["platform.start", None, "platform.runtimeDone", "platform.report"]),
        ("INFO", ["platform.start", None, "platform.report"]),
        ("WARN", [None]),
    ],
)
def test_lines_of_the_platform_are_json_where_functions_log_json(world, level, expected):
    code = packages.python("import logging\ndef handler(event, context): logging.getLogger().error('mine')")
    name = world.deploy(code, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": level})
    answer = world.invoke(name, tail=True)
    lines = [json.loads(line) for line in answer.log.splitlines()]
    assert [line.get("type") for line in lines] == expected
    for line in lines:
        if line.get("type") == "platform.report":
            assert line["record"]["requestId"] == answer.request_id
            assert line["record"]["status"] == "success"
            assert line["record"]["metrics"]["initDurationMs"] > 0


LEVELS = """
import datetime, json

def handler(event, context):
    time = datetime.datetime.now(datetime.timezone.utc).isoformat()
    for level in ("trace", "debug", "info", "warn", "error", "fatal"):
        print(json.dumps({"level": level, "timestamp": time}))
    print(json.dumps({"level": "error", "message": "at no time"}))
    print("plain")
"""


@pytest.mark.parametrize(
    "configured, expected",
    [
        ("TRACE", ["trace", "debug", "info", "warn", "error", "fatal", "error"]),
        ("INFO", ["info", "warn", "error", "fatal", "error"]),
        ("ERROR", ["error", "fatal"]),
    ],
)
def test_a_functions_own_json_is_left_out_below_the_level(world, configured, expected):
    settings = {"LogFormat": "JSON", "ApplicationLogLevel": configured, "SystemLogLevel": "WARN"}
    answer = world.invoke(world.deploy(packages.python(LEVELS), LoggingConfig=settings), tail=True)
    *lines, last = answer.log.splitlines()
    assert [json.loads(line)["level"] for line in lines] == expected
    assert last == "plain"
    plain = world.invoke(world.deploy(packages.python(LEVELS)), tail=True)
    assert plain.log.count('"level"') == 7


@pytest.mark.parametrize("size", [300_000, 30_000_000], ids=["one event", "many events"])
def test_a_line_without_end_is_cut_and_holds_up_nobody(server, world, size):
    source = (
        "import os\ndef handler(event, context):\n    left = event['size']\n"
        "    while left > 0:\n        left -= os.write(1, b'x' * min(left, 65536))\n    os.write(1, b'\\nlast\\n')\n"
    )
    name = world.deploy(packages.python(source))
    before = memory_of(server)
    answer = world.invoke(name, {"size": size}, tail=True)
    assert answer.error is None and "\nlast\nEND RequestId: " in answer.log
    assert memory_of(server) - before < 32 << 20


def test_any_bytes_are_logged(server, world):
    source = (
        "import os\ndef handler(event, context):\n"
        "    os.write(1, bytes(range(256)) * 40)\n    os.write(1, b'\\nlast\\n')\n"
    )
    name = world.deploy(packages.python(source))
    answer = world.client.invoke(FunctionName=name, LogType="Tail", Payload=b"{}")
    tail = base64.b64decode(answer["LogResult"])
    assert bytes(range(11, 256)) in tail and b"\nlast\nEND RequestId: " in tail
    printed = run_firelet("logs", name, endpoint=server.endpoint, check=True, errors="replace").stdout
    assert "last" in printed
