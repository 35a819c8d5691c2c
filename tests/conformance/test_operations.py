"""Every operation of Lambda, as the AWS SDK spells it: served, or refused with its name."""

import boto3
import pytest

from support.operations import IMPLEMENTED
from support.world import refusal

MODEL = boto3.client("lambda", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b").meta
OPERATIONS = [MODEL.service_model.operation_model(name) for name in MODEL.service_model.operation_names]
METHODS = {operation: method for method, operation in MODEL.method_to_api_mapping.items()}


def sample(shape):
    """The smallest value of `shape`, with the members that it must have."""
    if shape.type_name == "structure":
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sample(shape.member)] * shape.metadata.get("min", 0)
    if shape.type_name == "map":
        return {}
    if shape.type_name in ("integer", "long"):
        return shape.metadata.get("min", 1)
    if shape.type_name == "boolean":
        return False
    if shape.type_name == "timestamp":
        return 0
    if shape.type_name == "blob":
        return b"{}"
    return shape.enum[0] if shape.enum else "x" * max(1, shape.metadata.get("min", 1))


def test_what_is_said_to_be_served_exists():
    assert IMPLEMENTED
    assert IMPLEMENTED <= {operation.name for operation in OPERATIONS}


@pytest.mark.parametrize(
    "operation", [one for one in OPERATIONS if one.name not in IMPLEMENTED], ids=lambda operation: operation.name
)
def test_operations_that_are_not_there_yet_say_so(world, operation):
    arguments = sample(operation.input_shape) if operation.input_shape else {}
    error = refusal(getattr(world.client, METHODS[operation.name]), **arguments)
    assert (error.status, error.code) == (501, "NotImplemented")
    assert operation.name in error.message
