"""Durable functions are kept and shown; they do not run yet."""

import pytest

from support import packages
from support.world import refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")


def test_a_durable_function_reads_back_as_it_was_made(world):
    answer = world.create(HELLO, DurableConfig={"ExecutionTimeout": 3600}, Timeout=None)
    name = answer["FunctionName"]
    world.await_active(name)
    for shown in (answer, world.configuration(name)):
        assert shown["DurableConfig"] == {"ExecutionTimeout": 3600, "RetentionPeriodInDays": 14}
        assert shown["Timeout"] == 900
        assert shown["LoggingConfig"]["LogFormat"] == "JSON"
    world.client.update_function_configuration(FunctionName=name, DurableConfig={"RetentionPeriodInDays": 90})
    world.await_updated(name)
    expected = {"ExecutionTimeout": 3600, "RetentionPeriodInDays": 90}
    assert world.configuration(name)["DurableConfig"] == expected
    assert world.client.publish_version(FunctionName=name)["DurableConfig"] == expected


def test_settings_out_of_bounds_are_refused(world):
    error = refusal(world.create, HELLO, DurableConfig={"ExecutionTimeout": 31_622_401})
    assert (error.status, error.code) == (400, "ValidationException")
    error = refusal(world.create, HELLO, DurableConfig={})
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == "You cannot create a function with a durable configuration without an executionTimeout"


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "DryRun", "Event"])
def test_a_durable_function_is_invoked_by_a_version(world, invocation_type):
    name = world.deploy(HELLO, DurableConfig={"ExecutionTimeout": 60})
    error = refusal(world.client.invoke, FunctionName=name, InvocationType=invocation_type)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == "You cannot invoke a durable function using an unqualified ARN."
    error = refusal(world.client.invoke, FunctionName=name, Qualifier="$LATEST", InvocationType=invocation_type)
    assert (error.status, error.code) == (501, "NotImplemented")
    assert error.message == "firelet does not run durable functions yet."
