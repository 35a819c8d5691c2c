"""What create, update, get and delete refuse, in AWS's words."""

import pytest

from support import packages
from support.world import refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
INVALID = "InvalidParameterValueException"
VALIDATION = "ValidationException"
LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"
ONE = "1 validation error detected: "

CREATE = [
    (
        "a name of 65",
        {"FunctionName": "a" * 65},
        INVALID,
        ONE + f"Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64",
    ),
    (
        "a timeout of 0",
        {"Timeout": 0},
        VALIDATION,
        ONE + "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1",
    ),
    (
        "a timeout too long",
        {"Timeout": 901},
        None,
        None,
    ),
    (
        "memory of 127 MB",
        {"MemorySize": 127},
        VALIDATION,
        ONE + "Value '127' at 'memorySize' failed to satisfy constraint: "
        "Member must have value greater than or equal to 128",
    ),
    (
        "a long description",
        {"Description": "x" * 257},
        VALIDATION,
        ONE + f"Value '{'x' * 257}' at 'description' failed to satisfy constraint: "
        "Member must have length less than or equal to 256",
    ),
    (
        "a deprecated runtime",
        {"Runtime": "nodejs14.x"},
        INVALID,
        "The runtime parameter of nodejs14.x is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions.",
    ),
    (
        "variables above 4 KB",
        {"Environment": {"Variables": {"AB": "x" * 4096}}},
        INVALID,
        "Lambda was unable to configure your environment variables because the environment variables you have "
        'provided exceeded the 4KB limit. String measured: {"AB":"' + "x" * 4096 + '"}',
    ),
    ("a reserved variable", {"Environment": {"Variables": {"AWS_REGION": "x"}}}, INVALID, None),
    ("no handler", {"Handler": None}, INVALID, None),
    ("two architectures", {"Architectures": ["x86_64", "arm64"]}, None, None),
    ("no code", {"Code": {}}, INVALID, None),
    ("51 tags", {"Tags": {str(number): "x" for number in range(51)}}, INVALID, None),
]


@pytest.mark.parametrize(("settings", "code", "message"), [row[1:] for row in CREATE], ids=[row[0] for row in CREATE])
def test_creation_is_refused(account, settings, code, message):
    error = refusal(account.create, HELLO, **settings)
    assert error.status == 400
    assert error.code in ([code] if code else [INVALID, VALIDATION])
    assert message in (None, error.message)
    assert account.client.list_functions()["Functions"] == []


def test_an_unknown_runtime_is_refused_with_the_known_ones(account):
    error = refusal(account.create, HELLO, Runtime="non-existent-runtime")
    assert (error.status, error.code) == (400, INVALID)
    before, known = error.message.split("enum value set: [")
    assert before == "Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy "
    known, after = known.split("]")
    assert after == " or be a valid ARN"
    assert {"python3.11", "nodejs20.x", "provided.al2023"} <= set(known.split(", "))


def test_a_name_is_taken_once(world):
    name = world.deploy(HELLO)
    error = refusal(world.create, HELLO, name=name)
    assert (error.status, error.code) == (409, "ResourceConflictException")
    assert error.message == f"Function already exist: {name}"
    assert error.body["Type"] == "User"


GET = [
    ("missing", {}, 404, "ResourceNotFoundException", f"Function not found: {LAMBDA}missing"),
    ("missing", {"Qualifier": "3"}, 404, "ResourceNotFoundException", f"Function not found: {LAMBDA}missing:3"),
    ("a" * 65, {}, 404, "ResourceNotFoundException", f"Function not found: {LAMBDA}{'a' * 65}"),
    (
        "missing:1",
        {"Qualifier": "2"},
        400,
        INVALID,
        "The derived qualifier from the function name does not match the specified qualifier.",
    ),
    (
        "arn:aws:lambda:ap-southeast-1:000000000000:function:x",
        {},
        404,
        "ResourceNotFoundException",
        "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')",
    ),
    ("arn:aws:lambda:us-east-1:999999999999:function:x", {}, 403, "AccessDeniedException", None),
]


@pytest.mark.parametrize(("name", "settings", "status", "code", "message"), GET)
@pytest.mark.parametrize("call", ["get_function", "get_function_configuration", "delete_function"])
def test_functions_that_are_not_there(world, call, name, settings, status, code, message):
    error = refusal(getattr(world.client, call), FunctionName=name, **settings)
    assert (error.status, error.code) == (status, code)
    assert message in (None, error.message)


def test_names_are_checked_by_the_pattern_of_the_operation(world):
    error = refusal(world.client.get_function, FunctionName="bad name")
    assert (error.status, error.code) == (400, VALIDATION)
    assert error.message.startswith(
        ONE + "Value 'bad name' at 'functionName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: "
    )
    assert "Type" not in error.body


def test_an_unknown_version_of_a_function(world):
    name = world.deploy(HELLO)
    error = refusal(world.client.get_function, FunctionName=name, Qualifier="10")
    assert (error.status, error.message) == (404, f"Function not found: {LAMBDA}{name}:10")
    error = refusal(world.client.get_function, FunctionName=name, Qualifier="$latest")
    assert (error.status, error.message) == (404, f"Function not found: {LAMBDA}{name}:$latest")


def test_latest_cannot_be_deleted_alone(world):
    name = world.deploy(HELLO)
    error = refusal(world.client.delete_function, FunctionName=name, Qualifier="$LATEST")
    assert (error.status, error.code) == (400, INVALID)
    assert error.message == "$LATEST version cannot be deleted without deleting the function."
    world.client.delete_function(FunctionName=name, Qualifier="10")
    assert world.invoke(name).payload == "one"


def test_a_zip_function_takes_no_image(world):
    name = world.deploy(HELLO)
    error = refusal(world.client.update_function_code, FunctionName=name, ImageUri="1.dkr.ecr.a.amazonaws.com/b:c")
    assert (error.status, error.code) == (400, INVALID)
    assert error.message == "Please don't provide ImageUri when updating a function with packageType Zip."
