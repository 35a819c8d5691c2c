"""Extensions: programs beside the function, or threads inside of it, that hear of its invocations."""

import json
import re

import pytest

from support import extensions
from support.server import run_firelet
from support.waiting import wait_for

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# An extension inside of the function's process, which notes the events that it gets.
WATCHER = """
import threading
seen = []
identifier = register("watcher", "INVOKE")

def watch():
    while True:
        status, headers, event = next_event(identifier)
        seen.append((status, headers, event))

threading.Thread(target=watch, daemon=True).start()
"""


def log_of(world, name):
    return run_firelet("logs", name, endpoint=world.server.endpoint, check=True).stdout


def test_an_internal_extension_registers_and_hears_of_invocations(world):
    source = """
def handler(event, context):
    return {"request": context.aws_request_id, "arn": context.invoked_function_arn, "seen": seen}
"""
    name = world.deploy(extensions.internal(WATCHER + source))
    first = world.invoke(name)
    answer = world.invoke(name).payload
    status, headers, event = answer["seen"][0]
    assert status == 200
    assert UUID.fullmatch(headers["lambda-extension-event-identifier"])
    trace = event.pop("tracing")
    assert (trace["type"], trace["value"].startswith("Root=1-")) == ("X-Amzn-Trace-Id", True)
    assert isinstance(event.pop("deadlineMs"), int)
    assert event == {
        "eventType": "INVOKE",
        "requestId": first.request_id,
        "invokedFunctionArn": answer["arn"],
    }


def test_registration_tells_of_the_function(world):
    source = """
answers = [
    call("POST", "register", '{"events": ["INVOKE"]}', Name="plain"),
    call("POST", "register", "{}", Name="curious", Accept_Feature="other, accountId"),
]
for answer in answers:
    threading.Thread(target=next_event, args=(answer[1]["lambda-extension-identifier"],), daemon=True).start()

def handler(event, context):
    return answers
"""
    name = world.deploy(extensions.internal("import threading\n" + source))
    plain, curious = world.invoke(name).payload
    told = {"functionName": name, "functionVersion": "$LATEST", "handler": "app.handler"}
    assert (plain[0], plain[2]) == (200, told)
    assert UUID.fullmatch(plain[1]["lambda-extension-identifier"])
    assert (curious[0], curious[2]) == (200, told | {"accountId": "000000000000"})


REFUSALS = [
    ('call("POST", "register", "{}")', "Extension.InvalidExtensionName", "Empty extension name"),
    ('call("POST", "register", "{}", Name="watcher")', "Extension.InvalidExtensionState", "Extension with this name already registered"),
    (
        'call("POST", "register", \'{"events": ["SHUTDOWN"]}\', Name="a")',
        "Extension.InvalidEventType",
        "SHUTDOWN: ErrorInvalidEventType",
    ),
    ('call("POST", "register", "", Name="a")', "InvalidRequestFormat", "unexpected end of JSON input"),
    (
        'call("POST", "register", "[]", Name="a")',
        "InvalidRequestFormat",
        "invalid type: sequence, expected a map at line 1 column 0",
    ),
    (
        'call("POST", "register", \'{"configurationKeys": ["A"]}\', Name="a")',
        "InvalidRequestFormat",
        "configurationKeys are deprecated; use environment variables instead",
    ),
    ('call("POST", "register", "x" * (1 << 20), Name="a")', "InvalidRequestFormat", "http: request body too large"),
    ('call("POST", "register", "{}", Name="n" * 60000)', "Extension.InvalidExtensionName", "Invalid extension name"),
    ('call("GET", "event/next")', "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
    (
        'call("GET", "event/next", Identifier="me")',
        "Extension.InvalidExtensionIdentifier",
        "Invalid Lambda-Extension-Identifier",
    ),
    (
        'call("GET", "event/next", Identifier=STRANGER)',
        "Extension.UnknownExtensionIdentifier",
        "Unknown extension 11111111-2222-4333-8444-555555555555",
    ),
    (
        'call("POST", "init/error", Identifier=identifier)',
        "Extension.MissingHeader",
        "Lambda-Extension-Function-Error-Type not found",
    ),
    (
        'call("POST", "exit/error", Identifier=STRANGER, Function_Error_Type="Extension.No")',
        "Extension.UnknownExtensionIdentifier",
        "Unknown Lambda-Extension-Identifier",
    ),
]


def test_refusals_are_worded_as_on_aws(world):
    calls = ",\n".join(call for call, _, _ in REFUSALS)
    source = f"""
STRANGER = "11111111-2222-4333-8444-555555555555"
answers = [{calls}]

def handler(event, context):
    answers.append(call("POST", "register", "{{}}", Name="late"))
    return [(status, answer) for status, _, answer in answers]
"""
    late = (None, "Extension.RegistrationClosed", "Extension registration closed already")
    answers = world.invoke(world.deploy(extensions.internal(WATCHER + source))).payload
    assert answers == [
        [403, {"errorMessage": message, "errorType": error_type}]
        for _, error_type, message in [*REFUSALS, late]
    ]


def test_a_call_out_of_turn_is_refused(world):
    source = """
early = register("early")
threading.Thread(target=next_event, args=(early,), daemon=True).start()

def handler(event, context):
    return call("POST", "init/error", Identifier=early, Function_Error_Type="Extension.No"), early
"""
    name = world.deploy(extensions.internal("import threading" + source))
    (status, _, answer), identifier = world.invoke(name).payload
    assert (status, answer) == (
        403,
        {
            "errorMessage": f"State transition from Ready to InitError failed for extension {identifier}. "
            "Error: State transition is not allowed",
            "errorType": "Extension.InvalidExtensionState",
        },
    )


def test_there_are_ten_extensions_at_most(world):
    source = """
import threading
answers = []
for number in range(1000):
    answers.append(call("POST", "register", "{}", Name=f"extension-{number}"))
    if number < 10:
        identifier = answers[-1][1]["lambda-extension-identifier"]
        threading.Thread(target=next_event, args=(identifier,), daemon=True).start()

def handler(event, context):
    return [answer[0] for answer in answers].count(200), answers[-1][2]
"""
    name = world.deploy(extensions.internal(source))
    count, last = world.invoke(name).payload
    assert count == 10
    assert last == {"errorType": "Extension.TooManyExtensions", "errorMessage": "Extension limit (10) reached"}


def test_init_ends_when_all_extensions_have_asked_for_an_event(world):
    source = """
import threading, time
identifier = register("slow", "INVOKE")

def watch():
    time.sleep(1)
    while True:
        next_event(identifier)

threading.Thread(target=watch, daemon=True).start()

def handler(event, context):
    return 1
"""
    name = world.deploy(extensions.internal(source))
    log = world.invoke(name, tail=True).log
    assert float(re.search(r"Init Duration: ([0-9.]+) ms", log).group(1)) >= 1_000


# An extension that is busy after an invocation until the next event of the function is due.
BUSY = """
import pathlib, threading, time
identifier = register("busy", "INVOKE")

def work():
    while True:
        next_event(identifier)
        time.sleep(SECONDS)
        pathlib.Path("/tmp/worked").touch()

threading.Thread(target=work, daemon=True).start()

def handler(event, context):
    return {"worked": pathlib.Path("/tmp/worked").exists(), "environment": context.log_stream_name}
"""


def test_the_answer_does_not_wait_for_extensions_but_the_environment_does(world):
    name = world.deploy(extensions.internal(BUSY.replace("SECONDS", "1")))
    first = world.invoke(name).payload
    assert not first["worked"], "the answer came before the extension was done"
    # The one environment is busy, so that another is made.
    second = world.invoke(name).payload
    assert second["environment"] != first["environment"]
    # The first is free after a second, and the one that is used for the next invocation, or the second is.
    third = wait_for(
        lambda: next((answer for answer in [world.invoke(name).payload] if answer["worked"]), None),
        "an environment is used again",
    )
    assert third["worked"]


def test_the_log_tells_of_extensions(world):
    name = world.deploy(extensions.internal(WATCHER + "\ndef handler(event, context):\n    return 1\n"))
    world.invoke(name)
    line = "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE]\n"
    log = wait_for(lambda: "REPORT" in log_of(world, name) and log_of(world, name), "the log is written")
    assert line in log
    assert log.index("INIT_START") < log.index(line) < log.index("START RequestId")


REPORT = re.compile(r"REPORT RequestId: (\S+)\tDuration: ([0-9.]+) ms\tBilled Duration: (\d+) ms.*")


def reported(world, name, request):
    """REPORT of a request, once it is in the log."""
    found = lambda: [line[0] for line in REPORT.finditer(log_of(world, name)) if line[1] == request]
    return wait_for(found, "the invocation is reported")[0]


def test_an_invocation_lasts_until_its_extensions_are_done(world):
    name = world.deploy(extensions.internal(BUSY.replace("SECONDS", "0.5")))
    line = reported(world, name, world.invoke(name).request_id)
    assert 500 <= float(REPORT.match(line)[2]) < 5_000
    assert int(REPORT.match(line)[3]) >= 500


def test_the_time_of_extensions_is_told_in_json(world):
    name = world.deploy(extensions.internal(BUSY.replace("SECONDS", "0.5")), LoggingConfig={"LogFormat": "JSON"})
    world.invoke(name)
    reports = lambda: [line for line in records(world, name) if line["type"] == "platform.report"]
    report = wait_for(reports, "the invocation is reported")[0]["record"]
    (span,) = report["spans"]
    assert span["name"] == "extensionOverhead"
    assert 400 <= span["durationMs"] <= report["metrics"]["durationMs"]
    extension = next(line for line in records(world, name) if line["type"] == "platform.extension")
    assert extension["record"] == {"name": "busy", "state": "Ready", "events": ["INVOKE"]}


def records(world, name):
    """The lines of a log in JSON that are the platform's."""
    lines = [line[line.index("{") :] for line in log_of(world, name).splitlines() if "{" in line]
    return [line for line in map(json.loads, lines) if "record" in line]


def test_extensions_have_the_time_of_the_function(world):
    name = world.deploy(extensions.internal(BUSY.replace("SECONDS", "600")), Timeout=1)
    answer = world.invoke(name)
    assert answer.error is None, "the answer had come before"
    line = reported(world, name, answer.request_id)
    assert line.endswith("\tStatus: timeout")
    assert 1_000 <= float(REPORT.match(line)[2]) <= 1_001


# What an extension inside of the function's process says before the process ends, when it ends, and the error's type.
ERRORS = [
    ("init/error", "init", "Extension.InitError"),
    ("exit/error", "init", "Extension.ExitError"),
    ("exit/error", "invoke", "Extension.ExitError"),
]


@pytest.mark.parametrize(("said", "phase", "error_type"), ERRORS, ids=[f"{row[0]} in {row[1]}" for row in ERRORS])
def test_an_error_of_an_extension_is_why_its_process_ended(world, said, phase, error_type):
    end = f'call("POST", "{said}", Identifier=identifier, Function_Error_Type="Extension.Broken"); os._exit(1)'
    source = f'identifier = register("broken")\n{end}' if phase == "init" else WATCHER
    name = world.deploy(extensions.internal(f"{source}\ndef handler(event, context):\n    {end}\n"))
    answer = world.invoke(name, tail=True)
    assert answer.error == "Unhandled"
    assert answer.payload == {
        "errorType": error_type,
        "errorMessage": f"RequestId: {answer.request_id} Error: Runtime exited with error: exit status 1",
    }
    assert f"Status: error\tError Type: {error_type}\n" in answer.log
    if phase == "init":
        state = error_type.removeprefix("Extension.")
        log = log_of(world, name)
        assert f"EXTENSION\tName: broken\tState: {state}\tEvents: []\tError Type: Extension.Broken\n" in log
        assert f"Phase: init\tStatus: error\tError Type: {error_type}\n" in log
        assert f"Phase: invoke\tStatus: error\tError Type: {error_type}\n" in log
