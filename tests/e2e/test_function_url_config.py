"""Function URLs, as boto3 sees them."""

import re

import pytest

from support import packages
from support.world import World, refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
CORS = {"AllowOrigins": ["https://example.com"], "AllowMethods": ["GET"], "MaxAge": 60}


@pytest.fixture
def hello(account):
    name = account.deploy(HELLO)
    account.client.publish_version(FunctionName=name)
    account.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


def test_a_url_comes_and_goes(account, hello):
    client = account.client
    created = client.create_function_url_config(FunctionName=hello, AuthType="NONE", Cors=CORS)
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert re.fullmatch(r"https://[a-z0-9]{32}\.lambda-url\.us-east-1\.on\.aws/", created["FunctionUrl"])
    assert "InvokeMode" not in created
    updated = client.update_function_url_config(FunctionName=hello, AuthType="AWS_IAM")
    assert (updated["FunctionUrl"], updated["Cors"]) == (created["FunctionUrl"], CORS)
    got = client.get_function_url_config(FunctionName=hello)
    assert (got["AuthType"], got["InvokeMode"]) == ("AWS_IAM", "BUFFERED")
    client.create_function_url_config(FunctionName=hello, Qualifier="live", AuthType="NONE")
    pages = client.get_paginator("list_function_url_configs").paginate(
        FunctionName=hello, PaginationConfig={"PageSize": 1}
    )
    listed = [config["FunctionArn"] for page in pages for config in page["FunctionUrlConfigs"]]
    assert listed == [got["FunctionArn"], got["FunctionArn"] + ":live"]
    deleted = client.delete_function_url_config(FunctionName=hello)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refusal(client.get_function_url_config, FunctionName=hello)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == "The resource you requested does not exist."


def test_a_second_url_is_refused(account, hello):
    client = account.client
    created = client.create_function_url_config(FunctionName=hello, AuthType="NONE")
    error = refusal(client.create_function_url_config, FunctionName=hello, AuthType="NONE")
    assert (error.status, error.code) == (409, "ResourceConflictException")
    assert error.message == (
        f"Failed to create function url config for [functionArn = {created['FunctionArn']}]. Error message:  "
        "FunctionUrlConfig exists for this Lambda function"
    )


QUALIFIER = "failed to satisfy constraint: Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)"


@pytest.mark.parametrize(
    ("settings", "status", "code", "message"),
    [
        ({"Qualifier": "1"}, 400, "ValidationException", f"1 validation error detected: Value '1' at 'qualifier' {QUALIFIER}"),
        ({"Qualifier": "$LATEST"}, 400, "ValidationException", f"1 validation error detected: Value '$LATEST' at 'qualifier' {QUALIFIER}"),
        ({"Qualifier": "none"}, 404, "ResourceNotFoundException", "Function does not exist"),
        ({"AuthType": "OPEN"}, 400, "ValidationException", "1 validation error detected: Value 'OPEN' at 'authType' failed to satisfy constraint: Member must satisfy enum value set: [AWS_IAM, NONE]"),
        ({"Cors": {"AllowMethods": ["GET"]}}, 400, "InvalidParameterValueException", "You can't leave AllowOrigins as empty when Cors is enabled."),
        ({"Cors": {"AllowOrigins": ["*"], "MaxAge": 86401}}, 400, "ValidationException", "1 validation error detected: Value '86401' at 'cors.maxAge' failed to satisfy constraint: Member must have value less than or equal to 86400"),
    ],
    ids=["version", "latest", "alias", "authentication", "origins", "age"],
)
def test_refusals(account, hello, settings, status, code, message):
    request = {"FunctionName": hello, "AuthType": "NONE"} | settings
    error = refusal(account.client.create_function_url_config, **request)
    assert (error.status, error.code, error.message) == (status, code, message)


def test_urls_survive_a_restart_and_stay_with_their_account(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(HELLO)
    created = world.client.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    server.kill()
    world = World(server.start())
    got = world.client.get_function_url_config(FunctionName=name)
    assert got["FunctionUrl"] == created["FunctionUrl"]
    other = World(server, "999999999999")
    assert refusal(other.client.get_function_url_config, FunctionName=name).status == 404
