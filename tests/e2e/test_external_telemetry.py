"""What extensions with processes of their own hear, also of what their function does not survive."""

import concurrent.futures

import pytest

from support import telemetry
from support.server import run_firelet
from support.telemetry import records
from support.waiting import wait_for

ALL = ["platform", "function", "extension"]


@pytest.fixture(scope="module")
def layer(world):
    """Publishes a layer; gives its ARN."""

    def publish(**options):
        content = {"ZipFile": telemetry.keeper(**options)}
        return world.client.publish_layer_version(LayerName=world.name("layer"), Content=content)["LayerVersionArn"]

    return publish


def log_of(world, name):
    return run_firelet("logs", name, endpoint=world.server.endpoint, check=True).stdout


def told_of(events, request):
    """Whether the report of `request` is among the events."""
    return any(request.items() <= report.items() for report in records(events, "platform.report"))


def test_output_of_an_extension_is_its_own(world, layer):
    source = "def handler(event, context):\n    print('function speaks')\n    return told('function')\n"
    name = world.deploy(telemetry.reading(source), Layers=[layer(types=ALL)])
    events = world.invoke(name).payload
    assert records(events, "extension") == ["extension speaks\n"]
    assert records(events, "function") == ["function speaks\n"]
    subscription = {"name": "keeper", "state": "Subscribed", "types": ALL}
    assert records(events, "platform.telemetrySubscription") == [subscription]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("time.sleep(30)", {"status": "timeout"}),
        ("os._exit(1)", {"status": "error", "errorType": "Runtime.ExitError"}),
    ],
    ids=["timeout", "exit"],
)
def test_an_extension_hears_how_its_function_failed_and_of_the_next_start(world, layer, fault, outcome):
    source = f"def handler(event, context):\n    if event:\n        {fault}\n    time.sleep(0.3)\n    return told()\n"
    extension = layer(awaited="platform.runtimeDone")
    name = world.deploy(telemetry.reading(source), Layers=[extension], Timeout=3)
    failed = world.invoke(name, {"fail": True})
    assert failed.error
    request = {"requestId": failed.request_id}

    # Another environment may have been made while the first was being shut down: two at once have both.
    with concurrent.futures.ThreadPoolExecutor(2) as callers:

        def both():
            answers = callers.map(lambda _: world.invoke(name).payload, range(2))
            return next((events for events in list(answers) if told_of(events, request)), None)

        events = wait_for(both, "the environment is used again, and its extension has heard of the end")
    done, report = records(events, "platform.runtimeDone")[0], records(events, "platform.report")[0]
    for record in (done, report):
        assert (request | outcome).items() <= record.items()
    assert done["metrics"]["producedBytes"] == 0 and "spans" not in done
    assert [start["phase"] for start in records(events, "platform.initStart")] == ["init", "invoke"]
    states = [record["state"] for record in records(events, "platform.telemetrySubscription")]
    assert states == ["Subscribed", "Already subscribed"]
    last = next(line for line in log_of(world, name).splitlines() if "told at last of" in line)
    assert "platform.runtimeDone" in last


def test_what_is_buffered_comes_with_the_end_of_the_environment(world, layer):
    name = world.deploy(
        telemetry.reading("def handler(event, context):\n    return 1\n"),
        Layers=[layer(buffering={"timeoutMs": 30_000})],
    )
    world.invoke(name)
    world.client.update_function_configuration(FunctionName=name, Description="another")
    wait_for(lambda: "told at last of" in log_of(world, name), "the extension has ended")
    line = next(line for line in log_of(world, name).splitlines() if "told at last of" in line)
    assert "platform.initStart" in line and "platform.report" in line


def test_an_extension_hears_why_init_failed(world, layer):
    name = world.deploy(
        telemetry.reading("raise ValueError('no')\n"),
        Layers=[layer(awaited="platform.initReport", buffering={"timeoutMs": 30_000})],
    )
    assert world.invoke(name).error
    wait_for(lambda: "told at last of" in log_of(world, name), "the extension has ended")
    line = next(line for line in log_of(world, name).splitlines() if "told at last of" in line)
    assert "platform.initRuntimeDone" in line and "platform.initReport" in line
