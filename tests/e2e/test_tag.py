"""Tags of functions."""

import pytest

from support import packages
from support.world import refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")
LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"


def tags(world, name):
    return world.client.list_tags(Resource=LAMBDA + name)["Tags"]


def test_tags_come_with_creation_and_go_one_by_one(world):
    name = world.deploy(HELLO, Tags={"team": "red", "cost": "1 + 1 = 2"})
    assert tags(world, name) == {"team": "red", "cost": "1 + 1 = 2"}
    world.client.tag_resource(Resource=LAMBDA + name, Tags={"team": "blue", "stage": ""})
    assert tags(world, name) == {"team": "blue", "cost": "1 + 1 = 2", "stage": ""}
    world.client.untag_resource(Resource=LAMBDA + name, TagKeys=["team", "unknown"])
    assert tags(world, name) == {"cost": "1 + 1 = 2", "stage": ""}
    assert world.client.get_function(FunctionName=name)["Tags"] == {"cost": "1 + 1 = 2", "stage": ""}


def test_a_function_without_tags_shows_none(world):
    name = world.deploy(HELLO)
    assert "Tags" not in world.client.get_function(FunctionName=name)
    assert tags(world, name) == {}


@pytest.mark.parametrize(
    ("resource", "given", "status", "code", "message"),
    [
        (
            LAMBDA + "missing",
            {"a": "b"},
            404,
            "ResourceNotFoundException",
            f"Function not found: {LAMBDA}missing",
        ),
        (
            "{arn}",
            {str(number): "x" for number in range(51)},
            400,
            "InvalidParameterValueException",
            "Number of tags exceeds resource tag limit.",
        ),
        (
            "{arn}:$LATEST",
            {"a": "b"},
            400,
            "InvalidParameterValueException",
            "Tags on function aliases and versions are not supported. Please specify a function ARN.",
        ),
        (
            "{arn}",
            {},
            400,
            "InvalidParameterValueException",
            "An error occurred and the request cannot be processed.",
        ),
    ],
    ids=["missing function", "51 tags", "a version", "no tags"],
)
def test_wrong_tags_are_refused(world, resource, given, status, code, message):
    name = world.deploy(HELLO)
    error = refusal(world.client.tag_resource, Resource=resource.format(arn=LAMBDA + name), Tags=given)
    assert (error.status, error.code, error.message) == (status, code, message)
    assert tags(world, name) == {}


def test_untagging_without_keys_is_refused(world):
    name = world.deploy(HELLO)
    error = refusal(world.client.untag_resource, Resource=LAMBDA + name, TagKeys=None)
    assert (error.status, error.code) == (400, "ValidationException")
    assert error.message == (
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"
    )
