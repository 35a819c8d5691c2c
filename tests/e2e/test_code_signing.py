"""Code signing configurations and the functions under them."""

import pytest

from support import packages
from support.server import ACCOUNT
from support.world import World, refusal

LAMBDA = "arn:aws:lambda:us-east-1:{}:function:"
PROFILE = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/profile/0123456789"
MISSING = "arn:aws:lambda:us-east-1:{}:code-signing-config:csc-00000000000000000"
ONE = packages.python("def handler(event, context):\n    return 1\n")
TWO = packages.python("def handler(event, context):\n    return 2\n")


def make(world, policy=None, **settings):
    if policy:
        settings["CodeSigningPolicies"] = {"UntrustedArtifactOnDeployment": policy}
    publishers = {"SigningProfileVersionArns": [PROFILE]}
    return world.client.create_code_signing_config(AllowedPublishers=publishers, **settings)


def make_arn(world, policy=None):
    return make(world, policy)["CodeSigningConfig"]["CodeSigningConfigArn"]


def untrusted(subject):
    return (
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is "
        f"not configured to accept. Check the provided signature for {subject}."
    )


def test_a_configuration_is_made_read_changed_and_deleted(world):
    client = world.client
    answer = make(world, Description="ours")
    config = answer["CodeSigningConfig"]
    arn = config["CodeSigningConfigArn"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert arn == f"arn:aws:lambda:us-east-1:{ACCOUNT}:code-signing-config:{config['CodeSigningConfigId']}"
    assert config["Description"] == "ours"
    assert config["AllowedPublishers"] == {"SigningProfileVersionArns": [PROFILE]}
    assert config["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}
    assert config["LastModified"].endswith("+0000")
    answer = client.get_code_signing_config(CodeSigningConfigArn=arn)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["CodeSigningConfig"] == config
    answer = client.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"}
    )
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    updated = answer["CodeSigningConfig"]
    assert updated["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Enforce"}
    assert updated["Description"] == "ours"
    assert client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == updated
    answer = client.delete_code_signing_config(CodeSigningConfigArn=arn)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(client.get_code_signing_config, CodeSigningConfigArn=arn).status == 404


@pytest.mark.parametrize(
    "call",
    [
        "get_code_signing_config",
        "update_code_signing_config",
        "delete_code_signing_config",
        "list_functions_by_code_signing_config",
    ],
)
def test_a_missing_configuration_is_named(world, call):
    arn = MISSING.format(ACCOUNT)
    error = refusal(getattr(world.client, call), CodeSigningConfigArn=arn)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == f"The Lambda code signing configuration {arn} can not be found."
    assert error.body.get("Type") is None


def test_a_function_is_put_under_a_configuration_and_removed(world):
    client = world.client
    name, arn = world.deploy(ONE), make_arn(world)
    answer = client.get_function_code_signing_config(FunctionName=name)
    assert "CodeSigningConfigArn" not in answer and "FunctionName" not in answer
    answer = client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    assert (answer["CodeSigningConfigArn"], answer["FunctionName"]) == (arn, name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    answer = client.get_function_code_signing_config(FunctionName=name)
    assert (answer["CodeSigningConfigArn"], answer["FunctionName"]) == (arn, name)
    listed = client.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)
    assert listed["FunctionArns"] == [LAMBDA.format(ACCOUNT) + name]
    error = refusal(client.delete_code_signing_config, CodeSigningConfigArn=arn)
    assert (error.status, error.code) == (409, "ResourceConflictException")
    assert error.message == (
        f"Unable to delete code signing configuration because the following functions reference it: [{name}]"
    )
    answer = client.delete_function_code_signing_config(FunctionName=name)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    client.delete_code_signing_config(CodeSigningConfigArn=arn)


def test_what_is_missing_is_named_when_a_function_is_put_under_it(world):
    client = world.client
    name, missing = world.deploy(ONE), MISSING.format(ACCOUNT)
    message = (
        "The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
        f"{missing}."
    )
    for error in (
        refusal(client.put_function_code_signing_config, FunctionName=name, CodeSigningConfigArn=missing),
        refusal(world.create, ONE, CodeSigningConfigArn=missing),
    ):
        assert (error.status, error.code) == (404, "CodeSigningConfigNotFoundException")
        assert error.message == message
    arn = make_arn(world)
    for error in (
        refusal(client.put_function_code_signing_config, FunctionName="missing", CodeSigningConfigArn=arn),
        refusal(client.get_function_code_signing_config, FunctionName="missing"),
        refusal(client.delete_function_code_signing_config, FunctionName="missing"),
    ):
        assert (error.status, error.code) == (404, "ResourceNotFoundException")
        assert error.message == f"Function not found: {LAMBDA.format(ACCOUNT)}missing"


def test_unsigned_code_never_runs_where_only_signed_code_may(world):
    client = world.client
    arn, name = make_arn(world, "Enforce"), world.name()
    error = refusal(world.create, ONE, name=name, CodeSigningConfigArn=arn)
    assert (error.status, error.code) == (400, "CodeVerificationFailedException")
    assert error.message == untrusted(name)
    assert refusal(client.get_function, FunctionName=name).status == 404
    world.deploy(ONE, name=name)
    client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    error = refusal(client.update_function_code, FunctionName=name, ZipFile=TWO)
    assert (error.status, error.code) == (400, "CodeVerificationFailedException")
    assert error.message == untrusted(name)
    assert world.invoke(name).payload == 1, "what was deployed before goes on"


def test_a_warning_lets_unsigned_code_run(world):
    arn = make_arn(world, "Warn")
    name = world.deploy(ONE, CodeSigningConfigArn=arn)
    answer = world.client.get_function_code_signing_config(FunctionName=name)
    assert answer["CodeSigningConfigArn"] == arn
    world.client.update_function_code(FunctionName=name, ZipFile=TWO)
    world.await_updated(name)
    assert world.invoke(name).payload == 2


def test_wrong_configurations_are_refused(world):
    create = world.client.create_code_signing_config
    error = refusal(create, AllowedPublishers={"SigningProfileVersionArns": []})
    assert (error.status, error.code) == (400, "ValidationException")
    error = refusal(
        create,
        AllowedPublishers={"SigningProfileVersionArns": [PROFILE]},
        CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Ignore"},
    )
    assert (error.status, error.code) == (400, "ValidationException")
    assert "at 'codeSigningPolicies.untrustedArtifactOnDeployment'" in error.message


def test_pages_hold_everything_once(account):
    client = account.client
    arns = {make_arn(account) for _ in range(5)}
    pages = list(client.get_paginator("list_code_signing_configs").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["CodeSigningConfigs"]) for page in pages] == [2, 2, 1]
    listed = [config["CodeSigningConfigArn"] for page in pages for config in page["CodeSigningConfigs"]]
    assert sorted(listed) == sorted(arns)
    arn = listed[0]
    names = {account.create(ONE, CodeSigningConfigArn=arn)["FunctionArn"] for _ in range(3)}
    paginator = client.get_paginator("list_functions_by_code_signing_config")
    pages = list(paginator.paginate(CodeSigningConfigArn=arn, PaginationConfig={"PageSize": 2}))
    assert [len(page["FunctionArns"]) for page in pages] == [2, 1]
    assert {name for page in pages for name in page["FunctionArns"]} == names
    error = refusal(client.list_code_signing_configs, Marker="not a marker")
    assert (error.status, error.code) == (400, "InvalidParameterValueException")


def test_accounts_and_regions_have_configurations_of_their_own(server, account, world):
    arn = make_arn(account)
    elsewhere = World(server, account.account)
    elsewhere.client = server.client(account.account, "eu-west-1")
    for other in (world, elsewhere):
        assert refusal(other.client.get_code_signing_config, CodeSigningConfigArn=arn).status == 404
        listed = other.client.list_code_signing_configs()["CodeSigningConfigs"]
        assert arn not in [config["CodeSigningConfigArn"] for config in listed]
    assert len(account.client.list_code_signing_configs()["CodeSigningConfigs"]) == 1


def test_configurations_have_tags(world):
    client = world.client
    arn = make(world, Tags={"team": "red"})["CodeSigningConfig"]["CodeSigningConfigArn"]
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "red"}
    client.tag_resource(Resource=arn, Tags={"team": "blue", "stage": "1"})
    client.untag_resource(Resource=arn, TagKeys=["stage", "unknown"])
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "blue"}
    missing = MISSING.format(ACCOUNT)
    error = refusal(client.list_tags, Resource=missing)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == f"The Lambda code signing configuration {missing} can not be found."


def test_a_restart_keeps_configurations_and_functions_under_them(make_server):
    world = World(make_server().start())
    config = make(world, "Enforce", Tags={"a": "b"})["CodeSigningConfig"]
    name, arn = world.deploy(ONE), config["CodeSigningConfigArn"]
    world.client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    world.server.kill()
    world = World(make_server().start())
    assert world.client.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"] == config
    assert world.client.list_tags(Resource=arn)["Tags"] == {"a": "b"}
    assert world.client.get_function_code_signing_config(FunctionName=name)["CodeSigningConfigArn"] == arn
    assert refusal(world.client.update_function_code, FunctionName=name, ZipFile=TWO).status == 400
