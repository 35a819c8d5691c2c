"""Concurrency that is reserved for functions."""

import concurrent.futures

import pytest

from support import packages
from support.world import World, refusal

LIMIT = 104
LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"
HELLO = packages.python("def handler(event, context):\n    return 1\n")
SLOW = packages.python(
    """
import time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return 1
"""
)
QUALIFIED = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
    "Please specify either a function name or an unqualified function ARN."
)
BELOW_MINIMUM = (
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
    "minimum value of [100]."
)


@pytest.fixture(scope="module")
def server_options():
    return ("--quota", f"concurrent-executions={LIMIT}")


@pytest.fixture
def crowd():
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        yield threads


def reserve(world, name, executions):
    return world.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=executions)


def reserved(world, name):
    answer = world.client.get_function_concurrency(FunctionName=name)
    return answer.get("ReservedConcurrentExecutions")


def unreserved(world):
    return world.client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]


def test_a_reservation_is_set_shown_and_removed(account):
    name = account.deploy(HELLO)
    assert reserved(account, name) is None
    assert "Concurrency" not in account.client.get_function(FunctionName=name)
    answer = reserve(account, name, 4)
    assert answer["ReservedConcurrentExecutions"] == 4
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert reserved(account, name) == 4
    assert unreserved(account) == LIMIT - 4
    shown = account.client.get_function(FunctionName=name)["Concurrency"]
    assert shown == {"ReservedConcurrentExecutions": 4}
    for _ in range(2):
        answer = account.client.delete_function_concurrency(FunctionName=name)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert reserved(account, name) is None
    assert unreserved(account) == LIMIT


def test_a_hundred_executions_stay_unreserved(account):
    first, second = account.deploy(HELLO), account.deploy(HELLO)
    reserve(account, first, 3)
    error = refusal(reserve, account, second, 2)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == BELOW_MINIMUM
    assert error.body.get("Type") is None
    assert reserved(account, second) is None
    reserve(account, second, 1)
    assert unreserved(account) == 100
    account.client.delete_function(FunctionName=first)
    assert unreserved(account) == 103


@pytest.mark.parametrize("call", ["put", "get", "delete"])
def test_only_whole_functions_that_exist_have_reservations(world, call):
    operation = getattr(world.client, f"{call}_function_concurrency")
    settings = {"ReservedConcurrentExecutions": 1} if call == "put" else {}
    name = world.deploy(HELLO, Publish=True)
    for qualified in (f"{name}:1", f"{LAMBDA}{name}:1", f"{name}:$LATEST"):
        error = refusal(operation, FunctionName=qualified, **settings)
        assert (error.status, error.code) == (400, "InvalidParameterValueException")
        assert error.message == QUALIFIED
    error = refusal(operation, FunctionName="missing", **settings)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == f"Function not found: {LAMBDA}missing:$LATEST"


def test_a_negative_reservation_is_refused(world):
    error = refusal(reserve, world, world.deploy(HELLO), -1)
    assert (error.status, error.code) == (400, "ValidationException")
    assert error.message == (
        "1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to satisfy constraint: "
        "Member must have value greater than or equal to 0"
    )


def test_accounts_and_regions_reserve_apart(server, account):
    name = account.deploy(HELLO)
    other = World(server, str(int(account.account) + 500_000_000_000))
    elsewhere = World(server, account.account)
    elsewhere.client = server.client(account.account, "eu-west-1")
    for world in (other, elsewhere):
        world.deploy(HELLO, name=name)
    reserve(account, name, 4)
    for world in (other, elsewhere):
        assert reserved(world, name) is None
        assert unreserved(world) == LIMIT
        reserve(world, name, 2)
    assert reserved(account, name) == 4


def test_a_reservation_of_none_throttles_every_invocation(account):
    name = account.deploy(HELLO)
    assert account.invoke(name).payload == 1
    reserve(account, name, 0)
    error = refusal(account.client.invoke, FunctionName=name)
    assert (error.status, error.code) == (429, "TooManyRequestsException")
    assert error.body["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert error.body["message"] == "Rate Exceeded."
    assert error.body["Type"] == "User"
    assert error.body["ResponseMetadata"]["HTTPHeaders"]["retry-after"]
    account.client.delete_function_concurrency(FunctionName=name)
    assert account.invoke(name).payload == 1


def test_a_function_has_its_reservation_and_no_more(account, crowd):
    name, other = account.deploy(SLOW), account.deploy(HELLO)
    reserve(account, name, 2)

    def call(_):
        try:
            return account.client.invoke(FunctionName=name, Payload=b'{"seconds": 3}')
        except account.client.exceptions.TooManyRequestsException as error:
            return error.response

    answers = list(crowd.map(call, range(5)))
    statuses = sorted(answer["ResponseMetadata"]["HTTPStatusCode"] for answer in answers)
    assert statuses == [200] * 2 + [429] * 3
    reasons = {answer["Reason"] for answer in answers if "Reason" in answer}
    assert reasons == {"ReservedFunctionConcurrentInvocationLimitExceeded"}
    assert account.invoke(other).payload == 1
    assert account.invoke(name).payload == 1


def test_what_is_reserved_is_taken_from_the_others(make_server, crowd):
    """With a limit of 3 on a data directory where 2 are reserved, the others share 1."""
    world = World(make_server("--quota", "concurrent-executions=102").start())
    kept, other = world.deploy(SLOW), world.deploy(SLOW)
    reserve(world, kept, 2)
    world.server.stop()
    world = World(make_server("--quota", "concurrent-executions=3").start())
    assert reserved(world, kept) == 2
    assert unreserved(world) == 1

    def call(name):
        try:
            return world.client.invoke(FunctionName=name, Payload=b'{"seconds": 3}')
        except world.client.exceptions.TooManyRequestsException as error:
            return error.response

    answers = list(crowd.map(call, [other] * 3 + [kept] * 3))
    for seen, room, reason in (
        (answers[:3], 1, "ConcurrentInvocationLimitExceeded"),
        (answers[3:], 2, "ReservedFunctionConcurrentInvocationLimitExceeded"),
    ):
        throttled = [answer for answer in seen if "Reason" in answer]
        assert len(throttled) == 3 - room
        assert {answer["Reason"] for answer in throttled} == {reason}


def test_a_change_holds_for_the_next_invocation(account, crowd):
    name = account.deploy(SLOW)
    for executions in (1, 3, 2):
        reserve(account, name, executions)
        answers = list(crowd.map(lambda _: invoke_status(account, name), range(4)))
        assert answers.count(200) == executions


def invoke_status(world, name):
    try:
        return world.client.invoke(FunctionName=name, Payload=b'{"seconds": 2}')["StatusCode"]
    except world.client.exceptions.TooManyRequestsException:
        return 429
