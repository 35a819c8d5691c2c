"""Requests that no client library sends: wrong types, no JSON, too much of it, odd headers and queries.

The texts about wrong types are Lambda's for numbers (https://github.com/aarondfrancis/sidecar/issues/28) and those of services that
read their requests as it does (https://github.com/floci-io/floci/pull/2686); what is said about text that is no JSON is not known.
Nothing a client sends is answered with 500.
"""

import json
import urllib.parse

import pytest

from support import raw
from support.grammar import message
from support.operations import IMPLEMENTED, OPERATIONS
from support.samples import sound

SERVED = [operation for operation in OPERATIONS if operation.name in IMPLEMENTED]
# Bytes that a request without code may have.
BODY_LIMIT = 1 << 20
TYPES = {
    "string": "a String",
    "blob": "a Blob",
    "integer": "an Integer",
    "long": "a Long",
    "double": "a Double",
    "boolean": "a Boolean",
    "timestamp": "milliseconds since epoch",
}
COLLECTIONS = {"list": "Expected list or null", "map": "Expected map or null", "structure": "Expected null"}
# Values of other JSON types than a shape has.
WRONG = {
    "string": (1, 1.5, True, [], {}),
    "blob": (1, True, [], {}),
    "integer": ("1", 1.5, True, [], {}, 2**31, -(2**31) - 1, 2**63, 2**64),
    "long": ("1", 1.5, True, [], {}, 2**63, 2**64),
    "double": ("1", True, [], {}),
    "boolean": ("true", 1, [], {}),
    "timestamp": (True, [], {}),
    "list": ("x", 1, True, {}),
    "map": ("x", 1, True, []),
    "structure": ("x", 1, True, []),
}
NO_JSON = (b"{", b"}", b"[]", b'"text"', b"1", b"nul", b"{} {}", b"\xff\xfe", b'{"a": NaN}', b"[" * 50_000, b'{"a":' * 50_000)
ODD_TEXTS = ("", "\0", "%", "%zz", "%ff", "%00", "+", "é", "'; --", "../..", "x" * 10_000, "1e9", "-1", "9" * 40, "0x10", " 1", "null")
ODD_HEADERS = (
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": ""},
    {"Content-Encoding": "gzip"},
    {"Accept": "nothing/at-all"},
    {"Expect": "the unexpected"},
    {"X-Amz-Client-Context": "not base64!"},
    {"X-Amz-Log-Type": "Head"},
    {"X-Amz-Invocation-Type": "Sometimes"},
    {"X-Amzn-Trace-Id": "Root=;=;" + "x" * 5_000},
    {"X-Amz-Content-Sha256": "0"},
    {"X-Amz-Date": "yesterday"},
    {"X-Amz-Security-Token": "\xff"},
    {"X-Odd": "x" * 60_000},
)


def located(operation, *places):
    shape = operation.input_shape
    return {
        name: member
        for name, member in (shape.members.items() if shape else ())
        if member.serialization.get("location", "body") in places and name != shape.serialization.get("payload")
    }


def target(operation, query=()):
    """A path of the operation, and its query with `query` behind."""
    path, _, fixed = operation.http["requestUri"].partition("?")
    for name, member in located(operation, "uri").items():
        label = urllib.parse.quote(str(sound(member)), safe="")
        path = path.replace("{%s}" % member.serialization.get("name", name), label)
    return "?".join(part for part in (path, "&".join([*filter(None, [fixed]), *query])) if part)


def send(server, operation, body=None, query=(), headers=None):
    return raw.request(server, operation.http["method"], target(operation, query), body, headers)


def body_of(operation):
    members = located(operation, "body")
    required = {name: sound(member) for name, member in members.items() if name in operation.input_shape.required_members}
    return {name: value if not isinstance(value, bytes) else "e30=" for name, value in required.items()}


def mistyped(shape):
    """Values of `shape` in JSON that hold a wrong type somewhere, and what is said about each."""
    yield from ((value, complaint(shape, value)) for value in WRONG[shape.type_name])
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from (({name: value}, text) for value, text in mistyped(member))
    if shape.type_name == "list":
        yield from (([value], text) for value, text in mistyped(shape.member))
    if shape.type_name == "map":
        yield from (({"key": value}, text) for value, text in mistyped(shape.value))


def complaint(shape, value):
    if isinstance(value, list):
        return "Start of list found where not expected"
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if shape.type_name in COLLECTIONS:
        return COLLECTIONS[shape.type_name]
    token = "TRUE" if value is True else "STRING" if isinstance(value, str) else "NUMBER"
    return f"{token}_VALUE can not be converted to {TYPES[shape.type_name]}"


WITH_BODY = [operation for operation in SERVED if located(operation, "body")]
# Their limit is larger; `rows/code.yaml` has it.
WITH_CODE = ("CreateFunction", "UpdateFunctionCode", "PublishLayerVersion")
WITHOUT_CODE = [operation for operation in WITH_BODY if operation.name not in WITH_CODE]
WITH_QUERY = [operation for operation in SERVED if located(operation, "querystring")]


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_wrong_types_are_refused(server, operation):
    faults = []
    for name, member in located(operation, "body").items():
        for value, text in mistyped(member):
            answer = send(server, operation, json.dumps(body_of(operation) | {name: value}))
            envelope = (answer.status, answer.headers.get("x-amzn-errortype"), answer.json)
            if envelope != (400, "SerializationException", {"Message": text}):
                faults.append(f"{name}: {value!r} is answered with {answer.status} {answer.body}, not {text}")
    assert not faults, "\n".join(faults[:20])


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_bodies_that_are_no_objects_are_refused(server, operation):
    for body in NO_JSON:
        answer = send(server, operation, body)
        envelope = (answer.status, answer.headers.get("x-amzn-errortype"), [*answer.json])
        assert envelope == (400, "SerializationException", ["Message"]), (body[:20], answer)


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_nulls_and_empty_bodies_are_missing_members(server, operation):
    sent = body_of(operation)
    bodies = [{}, {"Unknown": {"Known": [1]}}] + [sent | {name: None} for name in sent]
    for text in [b"", *(json.dumps(body) for body in bodies)]:
        members = {} if text == b"" else json.loads(text)
        labels = {name: sound(member) for name, member in located(operation, "uri").items()}
        expected = message(operation.input_shape, labels | members)
        answer = send(server, operation, text)
        assert answer.status < 500, (text, answer)
        if expected:
            envelope = (answer.status, answer.headers["x-amzn-errortype"], answer.json)
            assert envelope == (400, "ValidationException", {"message": expected}), text
        else:
            assert answer.headers.get("x-amzn-errortype") != "ValidationException", (text, answer)


@pytest.mark.parametrize("operation", WITHOUT_CODE, ids=lambda operation: operation.name)
def test_bodies_that_are_too_large_are_refused(server, operation):
    answer = send(server, operation, b" " * (BODY_LIMIT + 1))
    assert answer.status == 413
    assert answer.headers["x-amzn-errortype"] == "RequestEntityTooLargeException"
    text = f"Request must be smaller than {BODY_LIMIT} bytes for the {operation.name} operation"
    assert answer.json == {"message": text}


@pytest.mark.parametrize("text", ["!", "e30==", "é", "e 30="])
def test_blobs_that_are_no_base64_are_refused(server, text):
    request = {"LayerName": "x", "Content": {"ZipFile": text}}
    answer = raw.request(server, "POST", "/2018-10-31/layers/x/versions", json.dumps(request))
    envelope = (answer.status, answer.headers.get("x-amzn-errortype"), [*answer.json])
    assert envelope == (400, "SerializationException", ["Message"]), answer


@pytest.mark.parametrize("operation", WITH_QUERY, ids=lambda operation: operation.name)
def test_odd_queries_are_no_faults_of_the_server(server, operation):
    body = json.dumps(body_of(operation)) if located(operation, "body") else None
    for name, member in located(operation, "querystring").items():
        parameter = member.serialization.get("name", name)
        for text in ODD_TEXTS:
            written = urllib.parse.quote(text, safe="%+'/.")
            for query in ([f"{parameter}={written}"], [f"{parameter}={written}"] * 2, [f"{parameter}"], [written]):
                answer = send(server, operation, body, query)
                assert answer.status < 500, (query, answer)


@pytest.mark.parametrize("operation", SERVED, ids=lambda operation: operation.name)
def test_odd_headers_are_no_faults_of_the_server(server, operation):
    body = json.dumps(body_of(operation)) if located(operation, "body") else None
    for headers in ODD_HEADERS:
        answer = send(server, operation, body, headers=headers)
        assert answer.status < 500, (headers, answer)
