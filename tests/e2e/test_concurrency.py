"""Invocations at the same time."""

import concurrent.futures
import json

import pytest

from support import packages
from support.waiting import wait_for
from support.world import refusal

LIMIT = 4
# Answers with the identity of its environment, after as long as the event says.
SLOW = packages.python(
    """
import time, uuid
me = str(uuid.uuid4())
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return me
"""
)


@pytest.fixture(scope="module")
def server_options():
    return ("--quota", f"concurrent-executions={LIMIT}")


@pytest.fixture
def crowd():
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        yield threads


def test_parallel_invocations_have_environments_of_their_own(world, crowd):
    name = world.deploy(SLOW)
    running = [crowd.submit(world.invoke, name, {"seconds": 2}) for _ in range(LIMIT)]
    seen = {one.result().payload for one in running}
    assert len(seen) == LIMIT

    def used_again():
        again = {world.invoke(name).payload for _ in range(LIMIT)}
        assert again <= seen, "idle environments are used before new ones are made"
        return len(again) == 1

    # An environment is idle only a moment after its answer.
    wait_for(used_again, "the environment used last is used first")


def test_above_the_account_limit_is_throttled(world, crowd):
    name = world.deploy(SLOW)
    client = world.client

    def call(_):
        try:
            return client.invoke(FunctionName=name, Payload=b'{"seconds": 3}')
        except client.exceptions.TooManyRequestsException as error:
            return error.response

    answers = list(crowd.map(call, range(LIMIT + 3)))
    statuses = sorted(answer["ResponseMetadata"]["HTTPStatusCode"] for answer in answers)
    assert statuses == [200] * LIMIT + [429] * 3
    for response in answers:
        if response["ResponseMetadata"]["HTTPStatusCode"] == 429:
            assert response["Reason"] == "ConcurrentInvocationLimitExceeded"
            assert response["message"] == "Rate Exceeded."
            assert response["Type"] == "User"
            assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
    assert world.invoke(name).status == 200, "what has ended frees its place"


def test_a_dry_run_takes_no_place(world, crowd):
    name = world.deploy(SLOW)
    running = [crowd.submit(world.invoke, name, {"seconds": 2}) for _ in range(LIMIT)]
    assert world.invoke(name, InvocationType="DryRun").status == 204
    assert all(one.result().error is None for one in running)


def test_the_limit_is_the_accounts_and_is_told(world, account, crowd):
    name = world.deploy(SLOW)
    other = account.deploy(SLOW)
    running = [crowd.submit(world.invoke, name, {"seconds": 2}) for _ in range(LIMIT)]
    assert account.invoke(other).error is None
    assert all(one.result().error is None for one in running)
    assert world.client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == LIMIT


def test_many_answers_reach_their_own_callers(world, crowd):
    name = world.deploy(packages.python("def handler(event, context):\n    return event\n"))

    def call(number):
        try:
            return world.invoke(name, json.dumps({"number": number}).encode()).payload["number"]
        except world.client.exceptions.TooManyRequestsException:
            return "throttled"

    answers = list(crowd.map(call, range(300)))
    assert all(answer in (number, "throttled") for number, answer in enumerate(answers))
    assert sum(answer != "throttled" for answer in answers) >= LIMIT


def test_missing_functions_are_missing_even_when_full(world, crowd):
    name = world.deploy(SLOW)
    running = [crowd.submit(world.invoke, name, {"seconds": 1}) for _ in range(LIMIT)]
    assert refusal(world.client.invoke, FunctionName="missing").status == 404
    assert all(one.result().error is None for one in running)
