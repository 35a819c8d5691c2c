"""Versions and aliases, as boto3 and the functions see them."""

import pytest

from support import packages
from support.world import World, refusal


def tell(text):
    """A function that tells which version of it was called by which name."""
    return packages.python(
        "import os\ndef handler(event, context):\n"
        "    return [os.environ['AWS_LAMBDA_FUNCTION_VERSION'], context.invoked_function_arn, " + repr(text) + "]\n"
    )


def publish(world, name, source):
    """Gives the function new code and publishes it; gives the number of the version."""
    world.client.update_function_code(FunctionName=name, ZipFile=source)
    world.await_updated(name)
    version = world.client.publish_version(FunctionName=name)["Version"]
    world.client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version)
    return version


@pytest.fixture
def published(account):
    """A function whose versions 1 and 2 tell so."""
    name = account.deploy(tell("zero"))
    assert [publish(account, name, tell(text)) for text in ("one", "two")] == ["1", "2"]
    return name


def test_versions_keep_their_code(account, published):
    account.client.update_function_code(FunctionName=published, ZipFile=tell("three"))
    account.await_updated(published)
    arn = account.configuration(published)["FunctionArn"]
    for qualifier, text in (("1", "one"), ("2", "two"), ("$LATEST", "three")):
        answer = account.invoke(published, Qualifier=qualifier)
        assert answer.payload == [qualifier, f"{arn}:{qualifier}", text]
        assert answer.version == qualifier
    assert account.invoke(published).payload == ["$LATEST", arn, "three"]


def test_an_alias_leads_to_its_version_and_moves(account, published):
    client = account.client
    created = client.create_alias(FunctionName=published, Name="live", FunctionVersion="1")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    answer = account.invoke(published, Qualifier="live")
    assert (answer.payload, answer.version) == (["1", created["AliasArn"], "one"], "1")
    assert account.invoke(created["AliasArn"]).payload[2] == "one"
    client.update_alias(FunctionName=published, Name="live", FunctionVersion="2")
    assert account.invoke(f"{published}:live").payload == ["2", created["AliasArn"], "two"]
    deleted = client.delete_alias(FunctionName=published, Name="live")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    error = refusal(client.invoke, FunctionName=published, Qualifier="live")
    assert (error.status, error.message) == (404, f"Function not found: {created['AliasArn']}")


def test_weights_share_out_the_invocations(account, published):
    client = account.client
    client.create_alias(
        FunctionName=published,
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    # One and the same version 64 times in a row has a chance of 1 in 2 to the 63rd.
    seen = {account.invoke(published, Qualifier="live").version for _ in range(64)}
    assert seen == {"1", "2"}
    client.update_alias(
        FunctionName=published, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}}
    )
    assert {account.invoke(published, Qualifier="live").version for _ in range(8)} == {"2"}


def test_an_alias_of_latest_follows_it(account, published):
    client = account.client
    client.create_alias(FunctionName=published, Name="newest", FunctionVersion="$LATEST")
    client.update_function_code(FunctionName=published, ZipFile=tell("newer"))
    account.await_updated(published)
    answer = account.invoke(published, Qualifier="newest")
    assert (answer.payload[2], answer.version) == ("newer", "$LATEST")


def test_versions_and_aliases_survive_a_restart(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(tell("zero"))
    publish(world, name, tell("one"))
    world.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="traffic")
    before = world.client.get_alias(FunctionName=name, Name="live")
    server.kill()
    world = World(server.start())
    after = world.client.get_alias(FunctionName=name, Name="live")
    for answer in (before, after):
        del answer["ResponseMetadata"]
    assert after == before
    assert world.invoke(name, Qualifier="live").payload[2] == "one"


def test_lists_follow_their_pages(account, published):
    client = account.client
    for number in range(5):
        client.create_alias(FunctionName=published, Name=f"alias{number}", FunctionVersion="1")
    pages = client.get_paginator("list_aliases").paginate(FunctionName=published, PaginationConfig={"PageSize": 2})
    assert [alias["Name"] for page in pages for alias in page["Aliases"]] == [f"alias{n}" for n in range(5)]
    pages = client.get_paginator("list_versions_by_function").paginate(
        FunctionName=published, PaginationConfig={"PageSize": 2}
    )
    assert [one["Version"] for page in pages for one in page["Versions"]] == ["$LATEST", "1", "2"]


@pytest.mark.parametrize(
    ("call", "arguments", "status", "code", "message"),
    [
        ("get_alias", {"Name": "x"}, 404, "ResourceNotFoundException", "Cannot find alias arn: {arn}:x"),
        ("update_alias", {"Name": "x"}, 404, "ResourceNotFoundException", "Alias not found: {arn}:x"),
        (
            "create_alias",
            {"Name": "x", "FunctionVersion": "10"},
            404,
            "ResourceNotFoundException",
            "Function not found: {arn}:10",
        ),
        (
            "create_alias",
            {
                "Name": "x",
                "FunctionVersion": "$LATEST",
                "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}},
            },
            400,
            "InvalidParameterValueException",
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        (
            "create_alias",
            {"Name": "7", "FunctionVersion": "1"},
            400,
            "ValidationException",
            "1 validation error detected: Value '7' at 'name' failed to satisfy constraint: Member must satisfy regular "
            "expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
        ),
        (
            "create_alias",
            {
                "Name": "x",
                "FunctionVersion": "1",
                "RoutingConfig": {"AdditionalVersionWeights": {"2": 2.0}},
            },
            400,
            "ValidationException",
            "1 validation error detected: Value '{{2=2.0}}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
            "constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member "
            "must have value greater than or equal to 0.0, Member must not be null]",
        ),
    ],
    ids=["get", "update", "missing version", "weights of latest", "number as name", "weight"],
)
def test_refusals(account, published, call, arguments, status, code, message):
    arn = account.configuration(published)["FunctionArn"]
    error = refusal(getattr(account.client, call), FunctionName=published, **arguments)
    assert (error.status, error.code, error.message) == (status, code, message.format(arn=arn))
    if "pointing to more" in message:
        assert "Type" not in error.body["Error"] and error.body.get("Type") is None


def test_aliases_of_one_account_are_unknown_to_others(account, published, server):
    account.client.create_alias(FunctionName=published, Name="live", FunctionVersion="1")
    other = World(server, "999999999999")
    assert refusal(other.client.get_alias, FunctionName=published, Name="live").status == 404
