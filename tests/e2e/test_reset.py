"""What is left of an execution environment when an invocation failed: its `/tmp`, and nothing that ran."""

import pytest

from support import packages
from support.server import run_firelet
from support.traces import PROC, processes_of
from support.waiting import wait_for

# Counts what it is asked in a variable and in a file, and comes to the end that the event names.
COUNTS = packages.python(
    """
import os, pathlib, subprocess, time
path = pathlib.Path("/tmp/count")
counted = 0

def handler(event, context):
    global counted
    counted += 1
    in_file = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(in_file))
    end = event.get("end")
    if end == "exit":
        os._exit(1)
    if end == "sleep":
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        time.sleep(600)
    if end == "memory":
        return len(b"x" * (400 << 20))
    return {"counted": counted, "in file": in_file, "stream": context.log_stream_name}
"""
)


def log_of(world, name):
    return run_firelet("logs", name, endpoint=world.server.endpoint, check=True).stdout


def invoke_in(world, name, stream):
    """Invokes a function until that environment answers: another is made while it is being reset."""
    tries = lambda: [answer for answer in [world.invoke(name, tail=True)] if answer.payload["stream"] == stream]
    return wait_for(tries, "the environment is used again")[0]


@pytest.mark.parametrize(
    ("how", "error_type"),
    [("exit", "Runtime.ExitError"), ("sleep", "Sandbox.Timedout"), ("memory", "Runtime.OutOfMemory")],
)
def test_what_is_in_tmp_survives_a_failure(world, how, error_type):
    name = world.deploy(COUNTS, Timeout=1 if how == "sleep" else 30)
    before = world.invoke(name).payload
    assert (before["counted"], before["in file"]) == (1, 1)
    assert world.invoke(name, {"end": how}).payload["errorType"] == error_type
    answer = invoke_in(world, name, before["stream"])
    assert answer.payload == {"counted": 1, "in file": 3, "stream": before["stream"]}
    assert "Init Duration" not in answer.log, "Init was a part of the invocation"
    assert invoke_in(world, name, before["stream"]).payload["counted"] == 2
    left = [pid for pid in processes_of(name) if b"sleep" in (PROC / pid / "cmdline").read_bytes()]
    assert not left, "what the function had started is gone"


def test_a_reset_environment_is_told_in_the_log(world):
    name = world.deploy(COUNTS)
    stream = world.invoke(name).payload["stream"]
    world.invoke(name, {"end": "exit"})
    answer = invoke_in(world, name, stream)
    log = log_of(world, name)
    failed = log.index("Status: error\tError Type: Runtime.ExitError")
    assert failed < log.index("INIT_START", failed) < log.index(f"START RequestId: {answer.request_id}")


def test_a_failing_init_is_repeated_in_the_same_environment(world):
    code = packages.python(
        """
import pathlib
path = pathlib.Path("/tmp/tries")
path.write_text(path.read_text() + "x" if path.exists() else "x")
if len(path.read_text()) < 5:
    raise ValueError(f"try {len(path.read_text())}")

def handler(event, context):
    return path.read_text()
"""
    )
    name = world.deploy(code)
    # The first invocation of an environment tries twice, each later one once more.
    assert world.invoke(name).payload["errorMessage"] == "try 2"
    wait_for(lambda: world.invoke(name).payload == "xxxxx", "the fifth try of an environment")
    log = log_of(world, name)
    assert log.count("Phase: init\tStatus: error") >= 1
    assert log.count("Phase: invoke\tStatus: error") >= 3


def test_a_repeated_init_takes_from_the_time_of_the_invocation(world):
    code = packages.python(
        """
import os, time
time.sleep(1)

def handler(event, context):
    if event.get("end"):
        os._exit(1)
    return {"left": context.get_remaining_time_in_millis(), "stream": context.log_stream_name}
"""
    )
    name = world.deploy(code, Timeout=10)
    before = world.invoke(name).payload
    assert before["left"] > 9_000
    world.invoke(name, {"end": True})
    again = invoke_in(world, name, before["stream"]).payload
    assert 0 < again["left"] <= 9_000


def test_environments_that_failed_end_with_their_function(world):
    name = world.deploy(COUNTS)
    world.invoke(name, {"end": "exit"})
    wait_for(lambda: not processes_of(name), "nothing runs after a failure")
    world.client.update_function_configuration(FunctionName=name, Description="another")
    world.await_updated(name)
    assert world.invoke(name).payload["in file"] == 1, "another configuration gets another environment"
