"""Functions that cause invocations of themselves, and are stopped."""

import json
import re

import pytest

from support import packages, raw
from support.server import run_firelet
from support.waiting import wait_for

LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"
TRACE = packages.python("import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n")
# Prints what it gets, cut short: records of records grow.
PRINT = packages.python("import json\ndef handler(event, context):\n    print('GOT', json.dumps(event)[:2000])\n")
STOPPED = (
    "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources and "
    "stopped your function's invocation."
)
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793"


@pytest.fixture(scope="module")
def trace(world):
    return world.deploy(TRACE)


def call(server, name, trace_id, **headers):
    headers = {"X-Amzn-Trace-Id": trace_id} | headers
    return raw.request(server, "POST", f"/2015-03-31/functions/{name}/invocations", b"{}", headers)


def chain(server, name, calls):
    """Calls a function with the header that it was given before, as an SDK inside it does; gives the last answer."""
    trace_id = ROOT
    for _ in range(calls):
        answer = call(server, name, trace_id)
        trace_id = answer.headers.get("x-amzn-trace-id")
    return answer


def got(world, name):
    ended = run_firelet("logs", name, endpoint=world.server.endpoint)
    return re.findall(r"GOT (.*)", ended.stdout)


def test_a_function_is_given_the_lineage_of_its_chain(server, world, trace):
    first, second = call(server, trace, ROOT), chain(server, trace, 2)
    assert first.json == first.headers["x-amzn-trace-id"]
    mark = re.fullmatch(rf"{ROOT};Lineage=([0-9a-f]{{8}}):0", first.json).group(1)
    assert second.json == f"{ROOT};Lineage={mark}:1"
    other = call(server, world.deploy(TRACE), second.json).json
    assert re.fullmatch(rf"{ROOT};Lineage={mark}:1\|[0-9a-f]{{8}}:0", other)


def test_the_seventeenth_call_in_a_chain_is_refused(server, trace):
    assert chain(server, trace, 16).status == 200
    refused = chain(server, trace, 17)
    assert refused.status == 400
    assert refused.headers["x-amzn-errortype"] == "RecursiveInvocationException"
    assert refused.json == {"Type": "User", "Message": STOPPED}


def test_a_function_may_be_allowed_to_go_on(server, world):
    name = world.deploy(TRACE)
    world.client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    assert chain(server, name, 20).json.endswith(":19")
    world.client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Terminate")
    assert chain(server, name, 17).status == 400


def test_an_event_in_a_loop_goes_to_the_failure_destination(server, world):
    name, told = world.deploy(PRINT), world.deploy(PRINT)
    world.client.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": LAMBDA + told}}
    )
    mark = call(server, name, ROOT).headers["x-amzn-trace-id"].split("=")[-1].split(":")[0]
    before = len(got(world, name))
    answer = call(server, name, f"{ROOT};Lineage={mark}:15", **{"X-Amz-Invocation-Type": "Event"})
    assert answer.status == 202
    (record,) = wait_for(lambda: got(world, told), "the record arrives")
    context = json.loads(record)["requestContext"]
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RecursiveInvocation", 0)
    assert len(got(world, name)) == before


def test_a_loop_through_destinations_is_stopped(world):
    ping, pong = world.deploy(PRINT), world.deploy(PRINT)
    for name, other in ((ping, pong), (pong, ping)):
        world.client.put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": LAMBDA + other}}
        )
    world.client.invoke(FunctionName=ping, InvocationType="Event", Payload=b"{}")
    wait_for(lambda: "condition=\"RecursiveInvocation\"" in world.server.log(), "the loop is stopped")
    assert (len(got(world, ping)), len(got(world, pong))) == (16, 16)


def test_calls_that_belong_to_no_chain_are_never_stopped(world, trace):
    for _ in range(20):
        assert world.invoke(trace).status == 200
