"""How fast functions may grow: new execution environments that are refused."""

import concurrent.futures
import json
import re

import pytest

from support import packages
from support.server import run_firelet
from support.waiting import wait_for
from support.world import World, refusal

# Of each function in ten seconds, which brings another one back after five.
LIMIT = 2
SLOW = packages.python(
    """
import json, time, uuid
me = str(uuid.uuid4())
def handler(event, context):
    print("GOT", json.dumps({"me": me, "request": context.aws_request_id}))
    time.sleep(event.get("seconds", 0))
    return me
"""
)
# The old model of an account, with a burst of two and no more after it.
OLD = ("--quota", "function-scaling=unlimited,account-scaling-burst=2,account-scaling-minute=0")


@pytest.fixture(scope="module")
def server_options():
    return ("--quota", f"function-scaling={LIMIT}")


@pytest.fixture
def crowd():
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        yield threads


def call_at_once(world, crowd, name, count, seconds=2):
    """Invokes a function `count` times together: what came of each, as it answered or was refused."""

    def call(_):
        try:
            return world.invoke(name, {"seconds": seconds}).payload
        except world.client.exceptions.TooManyRequestsException as error:
            return error.response

    return list(crowd.map(call, range(count)))


def served(answers):
    return {answer for answer in answers if isinstance(answer, str)}


def reasons(answers):
    """The reason of each refusal, which is told as all throttling is."""
    refused = [answer for answer in answers if not isinstance(answer, str)]
    for answer in refused:
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
        assert (answer["message"], answer["Type"]) == ("Rate Exceeded.", "User")
    return [answer["Reason"] for answer in refused]


def test_a_function_grows_no_faster_and_keeps_what_it_has(world, crowd):
    name, other = world.deploy(SLOW), world.deploy(SLOW)
    answers = call_at_once(world, crowd, name, 4)
    assert len(served(answers)) == LIMIT
    assert reasons(answers) == ["FunctionInvocationRateLimitExceeded"] * 2
    assert world.invoke(other).error is None, "each function has its own rate"
    for _ in range(20):
        assert world.invoke(name).payload in served(answers), "what is there is used without counting"

    def grown():
        return len(served(call_at_once(world, crowd, name, LIMIT + 1, seconds=1))) == LIMIT + 1

    wait_for(grown, "the function has grown by one more")


def test_reserved_concurrency_has_a_reason_of_its_own(world, crowd):
    name = world.deploy(SLOW)
    world.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    answers = call_at_once(world, crowd, name, 4)
    assert len(served(answers)) == LIMIT
    assert reasons(answers) == ["ReservedFunctionInvocationRateLimitExceeded"] * 2


def test_what_is_provisioned_does_not_count(world, crowd):
    name = world.deploy(SLOW)
    version = world.client.publish_version(FunctionName=name)["Version"]
    world.await_active(f"{name}:{version}")
    world.client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=LIMIT + 1
    )

    def status():
        settings = {"FunctionName": name, "Qualifier": version}
        return world.client.get_provisioned_concurrency_config(**settings)["Status"]

    wait_for(lambda: status() == "READY", "the environments are provisioned")
    answers = call_at_once(world, crowd, f"{name}:{version}", 2 * LIMIT + 2)
    assert len(served(answers)) == 2 * LIMIT + 1
    assert reasons(answers) == ["FunctionInvocationRateLimitExceeded"]


def test_the_functions_of_an_account_share_a_burst(make_server):
    server = make_server(*OLD).start()
    world = World(server)
    first, second, third = (world.deploy(SLOW) for _ in range(3))
    assert world.invoke(first).error is None
    assert world.invoke(second).error is None
    error = refusal(world.client.invoke, FunctionName=third)
    assert (error.status, error.code) == (429, "TooManyRequestsException")
    assert error.body["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert refusal(world.stream, third).body["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert world.invoke(first).error is None, "what is there is used without counting"
    other = World(server, "200000000001")
    assert other.invoke(other.deploy(SLOW)).error is None, "each account has its own burst"


def test_an_environment_that_is_started_anew_does_not_count(make_server):
    world = World(make_server(*OLD).start())
    name = world.deploy(packages.python("import os\ndef handler(event, context):\n    os._exit(1)\n"))
    errors = [world.invoke(name).payload["errorType"] for _ in range(5)]
    assert errors == ["Runtime.ExitError"] * 5


def test_events_wait_until_there_is_an_environment(make_server):
    world = World(make_server(*OLD).start())
    name = world.deploy(SLOW)
    # Nothing is tried again that has run.
    world.client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    for _ in range(6):
        world.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"seconds": 1}')

    def got():
        ended = run_firelet("logs", name, endpoint=world.server.endpoint)
        return [json.loads(line) for line in re.findall(r"GOT (.*)", ended.stdout)]

    ran = wait_for(lambda: (seen := got()) and len(seen) >= 6 and seen, "every event has run")
    assert len({one["request"] for one in ran}) == len(ran) == 6
    assert len({one["me"] for one in ran}) <= 2
