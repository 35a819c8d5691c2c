"""Extensions that are programs of their own: started before the function, told of its end, and given time for theirs."""

import json
import re

import pytest

from support import extensions, packages
from support.server import run_firelet
from support.traces import processes_of
from support.waiting import wait_for
from support.world import World

HELLO = packages.python("def handler(event, context):\n    return 'hello'\n")
# Shows what extensions have kept, and comes to the end that the event names.
SHOW = extensions.internal(
    """
import pathlib, time

def handler(event, context):
    kept = {path.name: path.read_text() for path in pathlib.Path("/tmp").iterdir()}
    if event.get("end") == "exit":
        os._exit(1)
    if event.get("end") == "sleep":
        time.sleep(600)
    return {"kept": kept, "stream": context.log_stream_name}
"""
)
RECORDER = extensions.recorder("INVOKE", "SHUTDOWN")


def deploy(world, programs, code=HELLO, executable=True, **settings):
    """A function with a layer of extensions; gives its name."""
    content = extensions.layer(programs, executable)
    layer = world.client.publish_layer_version(LayerName=world.name("layer"), Content={"ZipFile": content})
    return world.deploy(code, Layers=[layer["LayerVersionArn"]], **settings)


def log_of(world, name):
    return run_firelet("logs", name, endpoint=world.server.endpoint, check=True).stdout


def await_log(world, name, pattern):
    return wait_for(lambda: re.search(pattern, log_of(world, name)), f"the log has {pattern!r}")


def end(world, name):
    """Has the idle environments of a function ended, as nobody wants them any more."""
    world.client.update_function_configuration(FunctionName=name, Description="another")


def test_extensions_are_started_before_the_function_and_hear_of_it(world):
    name = deploy(world, {"one": RECORDER, "two": RECORDER}, SHOW)
    first = world.invoke(name)
    assert first.error is None, first.body
    second = world.invoke(name).payload
    for extension in ("one", "two"):
        event = json.loads(second["kept"][extension].splitlines()[0])
        assert (event["eventType"], event["requestId"]) == ("INVOKE", first.request_id)
    log = log_of(world, name)
    for extension in ("one", "two"):
        line = f"EXTENSION\tName: {extension}\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"
        assert log.index(f"{extension} started\n") < log.index(line) < log.index("START RequestId")


def test_the_function_starts_when_all_extensions_have_registered(world):
    slow = "import time\ntime.sleep(1)\nopen('/tmp/registered', 'w').close()\n" + RECORDER
    code = packages.python(
        "import os\nfound = os.path.exists('/tmp/registered')\ndef handler(event, context):\n    return found\n"
    )
    assert world.invoke(deploy(world, {"quick": RECORDER, "slow": slow}, code)).payload is True


def test_extensions_do_not_see_what_is_the_runtimes(world):
    show = "open('/tmp/variables', 'w').write(json.dumps(dict(os.environ)))\n" + RECORDER
    code = packages.python(
        "import os\ndef handler(event, context):\n    return open('/tmp/variables').read(), dict(os.environ)\n"
    )
    name = deploy(world, {"shows": show}, code, Environment={"Variables": {"MINE": "yes"}})
    text, of_runtime = world.invoke(name).payload
    seen = json.loads(text)
    assert (seen["MINE"], seen["AWS_LAMBDA_FUNCTION_NAME"]) == ("yes", name)
    missing = {key for key in of_runtime if key not in seen}
    hidden = {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
    assert hidden <= missing
    assert not [key for key in seen if key.startswith("_") and key != "_"]


# Files of /opt/extensions, whether they are executable, and what is said.
UNLAUNCHED = [
    ("not executable", {"one": RECORDER}, False, "fork/exec /opt/extensions/one: permission denied"),
    ("too many", {f"extension-{number:02}": RECORDER for number in range(11)}, True, "ErrTooManyExtensions"),
]


@pytest.mark.parametrize(("programs", "executable", "message"), [row[1:] for row in UNLAUNCHED], ids=[row[0] for row in UNLAUNCHED])
def test_extensions_that_cannot_be_started(world, programs, executable, message):
    name = deploy(world, programs, executable=executable)
    answer = world.invoke(name, tail=True)
    assert answer.payload == {
        "errorType": "Extension.LaunchError",
        "errorMessage": f"RequestId: {answer.request_id} Error: {message}",
    }
    assert "Status: error\tError Type: Extension.LaunchError\n" in answer.log
    if "permission" in message:
        line = "EXTENSION\tName: one\tState: LaunchError\tEvents: []\tError Type: PermissionDenied\n"
        assert line in log_of(world, name)


# What a program does, and the error.
CRASHES = [
    ("exits unregistered", "sys.exit(0)", "Extension.Crash", "exit code 0"),
    ("exits registered", "register('one')\nsys.exit(3)", "Extension.Crash", "exit status 3"),
    ("is killed", "import signal\nos.kill(os.getpid(), signal.SIGKILL)", "Extension.Crash", "signal: killed"),
    (
        "says that it cannot start",
        "call('POST', 'init/error', Identifier=register('one'), Function_Error_Type='Extension.No')\nsys.exit(1)",
        "Extension.InitError",
        "exit status 1",
    ),
    (
        "ends while the function works",
        "identifier = register('one', 'INVOKE')\nnext_event(identifier)\n"
        "call('POST', 'exit/error', Identifier=identifier, Function_Error_Type='Extension.No')\nsys.exit(2)",
        "Extension.ExitError",
        "exit status 2",
    ),
]


@pytest.mark.parametrize(("source", "error_type", "message"), [row[1:] for row in CRASHES], ids=[row[0] for row in CRASHES])
def test_extensions_that_end_are_why_the_invocation_fails(world, source, error_type, message):
    code = packages.python("import time\ndef handler(event, context):\n    time.sleep(600)\n")
    name = deploy(world, {"one": "import sys\n" + source}, code)
    answer = world.invoke(name, tail=True)
    assert answer.error == "Unhandled"
    assert answer.payload == {
        "errorType": error_type,
        "errorMessage": f"RequestId: {answer.request_id} Error: {message}",
    }
    assert f"Status: error\tError Type: {error_type}\n" in answer.log
    wait_for(lambda: not processes_of(name), "all processes are gone")


def test_extensions_hear_of_the_end_of_an_idle_environment(world):
    name = deploy(world, {"one": RECORDER})
    world.invoke(name)
    wait_for(lambda: world.invoke(name).error is None, "it is used again")
    end(world, name)
    left = int(await_log(world, name, r"one shutdown spindown left (\d+)")[1])
    # The runtime goes first, which takes it little of its 300 ms where nobody handles the signal.
    assert 1_000 <= left <= 2_000
    wait_for(lambda: not processes_of(name), "all processes are gone")


@pytest.mark.parametrize(("how", "reason"), [("sleep", "timeout"), ("exit", "failure")])
def test_extensions_hear_of_a_failure_and_the_environment_starts_anew(world, how, reason):
    name = deploy(world, {"one": RECORDER}, SHOW, Timeout=3)
    before = world.invoke(name).payload
    failed = world.invoke(name, {"end": how})
    assert failed.error == "Unhandled"
    await_log(world, name, f"one shutdown {reason}")
    # Another may be made while the first is being shut down.
    after = wait_for(
        lambda: next((a for a in [world.invoke(name).payload] if a["stream"] == before["stream"]), None),
        "the environment is used again",
    )
    events = [json.loads(line)["eventType"] for line in after["kept"]["one"].splitlines()]
    assert events[:3] == ["INVOKE", "INVOKE", "SHUTDOWN"]
    assert log_of(world, name).count("one started\n") >= 2


def test_the_runtime_is_asked_to_end_before_extensions_are(world):
    code = packages.python(
        "import signal, sys\ndef end(*_):\n    print('runtime asked', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\ndef handler(event, context):\n    return 1\n"
    )
    name = deploy(world, {"one": RECORDER}, code)
    world.invoke(name)
    end(world, name)
    await_log(world, name, r"(?s)runtime asked\n.*one shutdown spindown")


def test_a_runtime_with_an_internal_extension_is_asked_to_end(world):
    code = extensions.internal(
        "import signal, sys, threading\ndef end(*_):\n    print('runtime asked', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nidentifier = register('inner', 'INVOKE')\n"
        "def watch():\n    while True:\n        next_event(identifier)\n"
        "threading.Thread(target=watch, daemon=True).start()\ndef handler(event, context):\n    return 1\n"
    )
    name = world.deploy(code)
    world.invoke(name)
    end(world, name)
    await_log(world, name, "runtime asked")


def test_a_runtime_without_extensions_is_killed(world):
    code = packages.python(
        "import signal, time\ndef end(*_):\n    print('runtime asked', flush=True)\n    time.sleep(600)\n"
        "signal.signal(signal.SIGTERM, end)\ndef handler(event, context):\n    return 1\n"
    )
    name = world.deploy(code)
    world.invoke(name)
    end(world, name)
    wait_for(lambda: not processes_of(name), "the runtime is gone")
    assert "runtime asked" not in log_of(world, name)


def test_who_does_not_end_is_killed(world):
    stubborn = packages.python(
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef handler(event, context):\n    return 1\n"
    )
    stays = "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n" + extensions.recorder(
        "SHUTDOWN", then="time.sleep(1000)"
    )
    name = deploy(world, {"stays": stays, "deaf": extensions.recorder("INVOKE")}, stubborn)
    world.invoke(name)
    end(world, name)
    left = int(await_log(world, name, r"stays shutdown spindown left (\d+)")[1])
    assert 1_000 <= left <= 1_750, "the runtime took its 300 ms"
    wait_for(lambda: not processes_of(name), "all processes are gone", patience=5)


def test_an_extension_that_wants_no_shutdown_event_is_not_waited_for(world):
    name = deploy(world, {"deaf": extensions.recorder("INVOKE"), "last": RECORDER})
    world.invoke(name)
    end(world, name)
    await_log(world, name, "last shutdown spindown")
    wait_for(lambda: not processes_of(name), "all processes are gone")
    assert "deaf shutdown" not in log_of(world, name)


def test_an_extension_that_never_asks_is_ended_with_the_invocation(world):
    silent = "import time\nregister('silent', 'INVOKE')\ntime.sleep(1000)\n"
    name = deploy(world, {"silent": silent}, Timeout=1)
    answer = world.invoke(name, tail=True)
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    log = log_of(world, name)
    assert re.search(r"INIT_REPORT Init Duration: (9999|10\d\d\d)\.\d\d ms\tPhase: init\tStatus: timeout\n", log)
    assert re.search(r"INIT_REPORT Init Duration: 1\d\d\d\.\d\d ms\tPhase: invoke\tStatus: timeout\n", log)
    assert "EXTENSION\tName: silent\tState: Registered\tEvents: [INVOKE]\n" in log
    wait_for(lambda: not processes_of(name), "all processes are gone", patience=5)


def test_extensions_hear_of_the_end_of_the_server(make_server):
    server = make_server().start()
    world = World(server)
    name = deploy(world, {"one": RECORDER})
    world.invoke(name)
    assert server.stop() == 0
    log = "".join(path.read_text() for path in (server.data_directory / "logs").rglob("*") if path.is_file())
    assert "one shutdown spindown" in log
    assert not processes_of(name)
