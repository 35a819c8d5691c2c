"""Requests that break no constraint: every member of every operation with every kind of value that the model allows.

What they are answered with depends on rules that other tests know. Here nothing is a fault of the server, and an error is one that
the model or `api/undeclared-errors.txt` declares, in its envelope.
"""

import itertools

import pytest

from support.caller import Caller
from support.operations import IMPLEMENTED, OPERATIONS
from support.packages import NAMED
from support.samples import SOUND, is_sound, sound
from support.server import ROOT
from support.template import Names

UNDECLARED = {
    line.split()[0] for line in (ROOT / "api/undeclared-errors.txt").read_text().splitlines() if not line.startswith("#")
}
SERVED = [operation for operation in OPERATIONS if operation.name in IMPLEMENTED and operation.input_shape]
HELLO = NAMED["hello"]()
VALUES = {
    "integer": (-5, 1, 2**31 - 1),
    "long": (-5, 1, 2**63 - 1),
    "double": (0.0, 0.5, 1.0),
    "boolean": (True, False),
    "timestamp": (-1, 0, 4_102_444_800),
    "blob": (b"", b"{}", HELLO),
}


# What samples lack to be accepted; `<new>` is a name that nothing has.
LACKING = {
    "CreateFunction": {"FunctionName": "<new>", "Runtime": "python3.11", "Handler": "app.handler", "Code": {"ZipFile": HELLO}},
    "CreateAlias": {"Name": "<new>"},
    "CreateEventSourceMapping": {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:<new>"},
    "AddPermission": {"StatementId": "<new>", "Principal": "s3.amazonaws.com"},
    "AddLayerVersionPermission": {"StatementId": "<new>"},
    "PublishLayerVersion": {"Content": {"ZipFile": HELLO}},
    "UpdateFunctionCode": {"ZipFile": HELLO},
}


@pytest.fixture
def caller(account):
    """An account in which samples name what is there."""
    caller = Caller(account)
    account.deploy(HELLO, name="x", Publish=True)
    account.client.create_alias(FunctionName="x", Name="x", FunctionVersion="1")
    account.client.publish_layer_version(LayerName="x", Content={"ZipFile": HELLO})
    return caller


def values(shape):
    """Values that the model allows: for each member of a structure, each of its values."""
    if shape.type_name == "structure":
        whole = sound(shape)
        yield whole
        for name, member in shape.members.items():
            yield from (whole | {name: value} for value in values(member))
    elif shape.type_name == "list":
        yield []
        yield from ([value] for value in values(shape.member))
    elif shape.type_name == "map":
        yield {}
        yield sound(shape)
    elif shape.type_name == "string":
        yield from (text for text in ("", *(shape.enum or SOUND)) if is_sound(shape, text))
    else:
        yield from (value for value in VALUES[shape.type_name] if is_sound(shape, value))


def requests(operation):
    """The smallest request, and that with each other value of each member."""
    numbers = itertools.count()
    base = sound(operation.input_shape) | LACKING.get(operation.name, {})
    for name, member in operation.input_shape.members.items():
        is_label = member.serialization.get("location") == "uri"
        for value in values(member):
            if not (is_label and value == ""):
                named = Names(new=f"n{next(numbers)}")
                yield name, named.fill(base | {name: value})


@pytest.mark.parametrize("operation", SERVED, ids=lambda operation: operation.name)
def test_sound_requests_are_no_faults_of_the_server(caller, operation):
    declared = UNDECLARED | {shape.name for shape in operation.error_shapes}
    faults = []
    for name, members in requests(operation):
        [answer] = caller.answers([{"call": operation.name, "with": members, "account": None}])
        error = answer.headers.get("x-amzn-errortype")
        is_sound = error in declared if answer.status >= 300 else error is None
        if not is_sound or answer.status == 500:
            faults.append(f"{name} {members[name]!r}: {answer.status} {error} {answer.body}")
    assert not faults, "\n".join(faults[:20])
