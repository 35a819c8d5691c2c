"""Settings beside a function's configuration: recursion, and updates of the runtime."""

import pytest

from support import packages
from support.server import ACCOUNT
from support.world import World, refusal

LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
HELLO = packages.python("def handler(event, context):\n    return 1\n")


def test_recursion_is_set_and_shown(world):
    name = world.deploy(HELLO)
    assert world.client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    answer = world.client.put_function_recursion_config(FunctionName=LAMBDA + name, RecursiveLoop="Allow")
    assert answer["RecursiveLoop"] == "Allow"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert world.client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    assert world.invoke(name).payload == 1


def test_wrong_recursion_settings_are_refused(world):
    name = world.deploy(HELLO)
    put = world.client.put_function_recursion_config
    error = refusal(put, FunctionName=name, RecursiveLoop="Sometimes")
    assert (error.status, error.code) == (400, "ValidationException")
    assert error.message == (
        "1 validation error detected: Value 'Sometimes' at 'recursiveLoop' failed to satisfy constraint: Member must "
        "satisfy enum value set: [Terminate, Allow]"
    )
    assert refusal(put, FunctionName=f"{name}:1", RecursiveLoop="Allow").code == "ValidationException"
    for error in (
        refusal(put, FunctionName="missing", RecursiveLoop="Allow"),
        refusal(world.client.get_function_recursion_config, FunctionName="missing"),
    ):
        assert (error.status, error.code) == (404, "ResourceNotFoundException")
        assert error.message == f"Function not found: {LAMBDA}missing"


def test_runtime_management_is_set_and_shown(world):
    get, put = world.client.get_runtime_management_config, world.client.put_runtime_management_config
    name = world.deploy(HELLO, Publish=True)
    answer = get(FunctionName=name)
    assert (answer["UpdateRuntimeOn"], answer["FunctionArn"]) == ("Auto", LAMBDA + name)
    assert "RuntimeVersionArn" not in answer
    version = world.configuration(name)["RuntimeVersionConfig"]["RuntimeVersionArn"]
    for answer in (
        put(FunctionName=name, Qualifier="1", UpdateRuntimeOn="Manual", RuntimeVersionArn=version),
        get(FunctionName=name, Qualifier="1"),
    ):
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert (answer["UpdateRuntimeOn"], answer["FunctionArn"]) == ("Manual", f"{LAMBDA}{name}:1")
        assert answer["RuntimeVersionArn"] == version
    assert put(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")["UpdateRuntimeOn"] == "FunctionUpdate"
    assert get(FunctionName=name)["UpdateRuntimeOn"] == "FunctionUpdate"
    assert get(FunctionName=name, Qualifier="1")["UpdateRuntimeOn"] == "Manual"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {},
            "1 validation error detected: Value null at 'runtimeVersionArn' failed to satisfy constraint: Member must "
            "not be null.",
        ),
        (
            {"RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:0000"},
            "Runtime version arn:aws:lambda:us-east-1::runtime:0000 does not exist.",
        ),
    ],
    ids=["no version", "unknown version"],
)
def test_a_runtime_stays_only_at_a_version_that_there_is(world, settings, message):
    put = world.client.put_runtime_management_config
    error = refusal(put, FunctionName=world.deploy(HELLO), UpdateRuntimeOn="Manual", **settings)
    assert (error.status, error.code, error.message) == (400, "InvalidParameterValueException", message)


def test_what_is_missing_has_no_runtime_management(world):
    get, put = world.client.get_runtime_management_config, world.client.put_runtime_management_config
    name = world.deploy(HELLO)
    for missing in ("missing", f"{name}:7"):
        for error in (
            refusal(get, FunctionName=missing),
            refusal(put, FunctionName=missing, UpdateRuntimeOn="Auto"),
        ):
            assert (error.status, error.code) == (404, "ResourceNotFoundException")
            assert error.message == f"Function not found: {LAMBDA}{missing}"


def test_accounts_and_regions_have_settings_of_their_own(server, account, world):
    name = account.deploy(HELLO)
    elsewhere = World(server, account.account)
    elsewhere.client = server.client(account.account, "eu-west-1")
    for other in (world, elsewhere):
        other.deploy(HELLO, name=name)
    account.client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    account.client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    for other in (world, elsewhere):
        assert other.client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
        assert other.client.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "Auto"


def test_a_restart_keeps_settings(make_server):
    world = World(make_server().start())
    name = world.deploy(HELLO)
    world.client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    world.client.put_runtime_management_config(FunctionName=name, UpdateRuntimeOn="FunctionUpdate")
    world.server.kill()
    world = World(make_server().start())
    assert world.client.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
    assert world.client.get_runtime_management_config(FunctionName=name)["UpdateRuntimeOn"] == "FunctionUpdate"
