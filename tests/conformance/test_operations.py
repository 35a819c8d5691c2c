"""Every operation of Lambda, as the AWS SDK spells it: served, or refused with its name."""

import pytest

from support.operations import IMPLEMENTED, METHODS, OPERATIONS, sample
from support.world import refusal

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
