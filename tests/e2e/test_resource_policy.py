"""Policies as whole documents, as boto3 sees them."""

import json

import pytest

from support import packages
from support.world import World, refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
STALE = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def hello(account):
    account.name = account.deploy(HELLO)
    account.arn = account.configuration(account.name)["FunctionArn"]
    return account


def document(arn, **members):
    statement = {
        "Sid": "no-s3",
        "Effect": "Deny",
        "Principal": {"Service": ["s3.amazonaws.com"]},
        "Action": "lambda:InvokeFunction",
        "Resource": [arn, f"{arn}:*"],
        "Condition": {"StringNotEquals": {"aws:SourceAccount": "123456789012"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | members]}, indent=2, ensure_ascii=False)


def test_a_document_comes_and_goes(hello):
    client, policy = hello.client, document(hello.arn)
    put = client.put_resource_policy(ResourceArn=hello.arn, Policy=policy)
    assert (put["ResponseMetadata"]["HTTPStatusCode"], put["Policy"]) == (200, policy)
    client.add_permission(
        FunctionName=hello.name, StatementId="sns", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com"
    )
    got = client.get_resource_policy(ResourceArn=hello.arn)
    assert [one["Sid"] for one in json.loads(got["Policy"])["Statement"]] == ["no-s3", "sns"]
    assert got["Policy"] == client.get_policy(FunctionName=hello.name)["Policy"]
    deleted = client.delete_resource_policy(ResourceArn=hello.arn, RevisionId=got["RevisionId"])
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refusal(client.get_resource_policy, ResourceArn=hello.arn)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == "The resource you requested does not exist."


ARN = "arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:(function:[a-zA-Z0-9-_]+(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_])+)?|runtime/[a-zA-Z0-9-_./]+)"


@pytest.mark.parametrize(
    ("settings", "status", "code", "message"),
    [
        ({"Policy": "none"}, 400, "InvalidParameterValueException", "Syntax errors in policy."),
        ({"Policy": document("*", Effect="Permit")}, 400, "InvalidParameterValueException", "Syntax errors in policy."),
        ({"Policy": document("*", Resource=[])}, 400, "InvalidParameterValueException", "Policy statement must contain resources."),
        ({"Policy": document("*", Principal="me")}, 400, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again."),
        ({"Policy": document("*", Sid="é" * 10_200)}, 400, "PolicyLengthExceededException", None),
        ({"RevisionId": STALE}, 412, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"),
        ({"ResourceArn": "hello"}, 400, "ValidationException", f"1 validation error detected: Value 'hello' at 'resourceArn' failed to satisfy constraint: Member must satisfy regular expression pattern: {ARN}"),
    ],
    ids=["JSON", "effect", "resources", "principal", "length", "revision", "ARN"],
)
def test_refusals(hello, settings, status, code, message):
    request = {"ResourceArn": hello.arn, "Policy": document(hello.arn)} | settings
    error = refusal(hello.client.put_resource_policy, **request)
    assert (error.status, error.code) == (status, code)
    assert message in (None, error.message)
    assert refusal(hello.client.get_resource_policy, ResourceArn=hello.arn).status == 404


def test_runtimes_of_customers_do_not_exist(hello):
    runtime = hello.arn.replace(f"function:{hello.name}", "runtime/mine/1")
    error = refusal(hello.client.get_resource_policy, ResourceArn=runtime)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")


def test_documents_survive_a_restart(make_server):
    server = make_server().start()
    world = World(server)
    arn = world.configuration(world.deploy(HELLO))["FunctionArn"]
    put = world.client.put_resource_policy(ResourceArn=arn, Policy=document(arn))
    server.kill()
    got = World(server.start()).client.get_resource_policy(ResourceArn=arn)
    assert (got["Policy"], got["RevisionId"]) == (put["Policy"], put["RevisionId"])
