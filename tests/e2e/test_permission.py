"""Permissions, as boto3 sees them."""

import json

import pytest

from support import packages
from support.world import World, refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")


@pytest.fixture
def hello(account):
    return account.deploy(HELLO)


def permit(world, name, statement="s3", **settings):
    request = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", "StatementId": statement}
    return world.client.add_permission(FunctionName=name, **request | settings)


def test_a_permission_comes_and_goes(account, hello):
    added = permit(account, hello, SourceAccount="123456789012")
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = json.loads(added["Statement"])
    assert statement["Resource"] == account.configuration(hello)["FunctionArn"]
    policy = account.client.get_policy(FunctionName=hello)
    assert json.loads(policy["Policy"])["Statement"] == [statement]
    assert policy["RevisionId"] == account.configuration(hello)["RevisionId"]
    removed = account.client.remove_permission(
        FunctionName=hello, StatementId="s3", RevisionId=policy["RevisionId"]
    )
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refusal(account.client.get_policy, FunctionName=hello)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == "The resource you requested does not exist."


@pytest.mark.parametrize(
    ("settings", "status", "code", "message"),
    [
        ({}, 409, "ResourceConflictException", "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement."),
        ({"statement": "x", "Qualifier": "$LATEST"}, 400, "InvalidParameterValueException", "We currently do not support adding policies for $LATEST."),
        ({"statement": "x", "Principal": "invalid"}, 400, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again."),
        ({"statement": "x", "FunctionUrlAuthType": "NONE"}, 400, "InvalidParameterValueException", "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"),
        ({"statement": "x", "RevisionId": "late"}, 412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"),
        ({"statement": "no good"}, 400, "ValidationException", "1 validation error detected: Value 'no good' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"),
    ],
    ids=["again", "latest", "principal", "URL authentication", "revision", "statement id"],
)
def test_refusals(account, hello, settings, status, code, message):
    permit(account, hello)
    error = refusal(permit, account, hello, **settings)
    assert (error.status, error.code, error.message) == (status, code, message)


def test_policies_survive_a_restart_and_stay_with_their_account(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(HELLO)
    permit(world, name)
    server.kill()
    world = World(server.start())
    assert json.loads(world.client.get_policy(FunctionName=name)["Policy"])["Statement"][0]["Sid"] == "s3"
    other = World(server, "999999999999")
    assert refusal(other.client.get_policy, FunctionName=name).status == 404
