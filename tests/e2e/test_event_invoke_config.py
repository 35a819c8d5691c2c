"""Configurations of asynchronous invocations, as boto3 sees them."""

import datetime

import pytest

from support import packages
from support.world import refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
QUEUE = "arn:aws:sqs:us-east-1:000000000000:queue"


@pytest.fixture
def hello(account):
    return account.deploy(HELLO)


def test_a_configuration_reads_back(account, hello):
    client = account.client
    put = client.put_function_event_invoke_config(
        FunctionName=hello,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}}
    age = datetime.datetime.now(datetime.timezone.utc) - put["LastModified"]
    assert abs(age.total_seconds()) < 60
    client.update_function_event_invoke_config(FunctionName=hello, MaximumEventAgeInSeconds=60)
    got = client.get_function_event_invoke_config(FunctionName=hello)
    assert (got["MaximumRetryAttempts"], got["MaximumEventAgeInSeconds"]) == (1, 60)
    pages = client.get_paginator("list_function_event_invoke_configs").paginate(FunctionName=hello)
    listed = [config for page in pages for config in page["FunctionEventInvokeConfigs"]]
    assert [config["FunctionArn"] for config in listed] == [got["FunctionArn"]]
    deleted = client.delete_function_event_invoke_config(FunctionName=hello)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refusal(client.get_function_event_invoke_config, FunctionName=hello)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == f"The function {got['FunctionArn']} doesn't have an EventInvokeConfig"


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (
            {},
            "InvalidParameterValueException",
            "You must specify at least one of error handling or destination setting.",
        ),
        (
            {"MaximumEventAgeInSeconds": 59},
            "ValidationException",
            "1 validation error detected: Value '59' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member "
            "must have value greater than or equal to 60",
        ),
        (
            {"MaximumRetryAttempts": 3},
            "ValidationException",
            "1 validation error detected: Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: Member must "
            "have value less than or equal to 2",
        ),
    ],
    ids=["nothing", "age", "attempts"],
)
def test_refusals(account, hello, settings, code, message):
    error = refusal(account.client.put_function_event_invoke_config, FunctionName=hello, **settings)
    assert (error.status, error.code, error.message) == (400, code, message)
