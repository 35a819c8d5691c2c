"""Every constraint of the model that AWS publishes, broken: alone, and with one or two others in the same request.

Not expressed, because a client cannot send it:

- a label of the path that is missing or empty: the path would be another operation's;
- a header with a line break;
- a payload that is missing: that is an empty one;
- a list in the query that is empty: that is a list that is missing;
- text of more than 100,000 characters, which the limit of the body refuses first, and lengths of blobs.

Not here, because another rule answers: the enum of `Runtime` of a function (`rows/function.yaml`), and bounds of numbers that are
those of the type.
"""

import pytest

from support.caller import Caller
from support.grammar import comparable, message
from support.operations import IMPLEMENTED, OPERATIONS
from support.samples import broken, sound
from support.world import World

SERVED = [operation for operation in OPERATIONS if operation.name in IMPLEMENTED and operation.input_shape]


@pytest.fixture(scope="module")
def caller(server):
    return Caller(World(server))


def location(operation, name):
    return operation.input_shape.members[name].serialization.get("location", "body")


def can_be_sent(operation, members):
    """Whether a client can express the request."""
    for name in operation.input_shape.members:
        place, value = location(operation, name), members.get(name)
        if place == "uri" and value in (None, ""):
            return False
        if name == operation.input_shape.serialization.get("payload") and value is None:
            return False
        if place in ("header", "headers") and isinstance(value, str) and "\n" in value:
            return False
    return True


def as_received(operation, members):
    """The members that arrive: an empty list in the query is none."""
    return {
        name: value
        for name, value in members.items()
        if value != [] or location(operation, name) != "querystring"
    }


def check(caller, operation, words, members):
    """What is wrong with the answer to a request, or nothing."""
    expected = message(operation.input_shape, as_received(operation, members))
    assert expected, f"{words} breaks nothing"
    [answer] = caller.answers([{"call": operation.name, "with": members, "account": None}])
    envelope = (answer.status, answer.headers.get("x-amzn-errortype"), list(answer.body))
    if envelope != (400, "ValidationException", ["message"]):
        return f"{words}: {answer.status} {answer.body}\n    not {expected}"
    if comparable(answer.body["message"]) != comparable(expected):
        return f"{words}: {answer.body['message']}\n    not {expected}"
    return None


@pytest.mark.parametrize("operation", SERVED, ids=lambda operation: operation.name)
def test_broken_constraints_are_told(caller, operation):
    cases = [case for case in broken(operation.input_shape) if can_be_sent(operation, case[1])]
    faults = [fault for words, members in cases if (fault := check(caller, operation, words, members))]
    assert not faults, "\n".join(faults[:20])
