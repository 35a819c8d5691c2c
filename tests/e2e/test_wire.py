"""Requests as bytes: paths, signatures, bodies and the answers' envelopes."""

import json
import re
import socket

import pytest

from support import packages, raw
from support.operations import IMPLEMENTED
from support.world import ROLE

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
FUNCTIONS = "/2015-03-31/functions"
SCOPE = "20260101/us-east-1/lambda/aws4_request"
SIGNED = f"AWS4-HMAC-SHA256 Credential=000000000000/{SCOPE}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"


@pytest.fixture(scope="module")
def hello(world):
    return world.deploy(HELLO)


def test_health_answers(server):
    answer = raw.request(server, "GET", "/_firelet/health")
    assert answer.status == 200


def test_unsigned_requests_are_served(server, hello):
    answer = raw.request(server, "GET", f"{FUNCTIONS}/{hello}")
    assert answer.status == 200
    assert answer.json["Configuration"]["FunctionName"] == hello
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-amzn-requestid"])


@pytest.mark.parametrize(
    ("headers", "is_served"),
    [
        ({"Host": "localhost:4566"}, True),
        ({"Host": "127.0.0.1"}, True),
        ({"Origin": "http://localhost:3000"}, True),
        ({"Host": "pages.example"}, False),
        ({"Origin": "https://pages.example"}, False),
        ({"Origin": "null"}, False),
    ],
    ids=str,
)
def test_pages_of_strangers_cannot_call(server, hello, headers, is_served):
    path = f"{FUNCTIONS}/{hello}/invocations"
    answer = raw.request(server, "POST", path, b"{}", headers={"Content-Type": "text/plain", **headers})
    assert (answer.status == 200) is is_served, answer
    assert is_served or answer.status == 403


def test_errors_have_an_envelope(server):
    answer = raw.request(server, "GET", f"{FUNCTIONS}/missing")
    assert answer.status == 404
    assert answer.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "Type": "User",
        "Message": "Function not found: arn:aws:lambda:us-east-1:000000000000:function:missing",
    }


@pytest.mark.parametrize(
    "path",
    [
        "{name}/",
        "{name}/configuration/",
        "{name}?Qualifier=$LATEST",
        "{name}?Qualifier=%24LATEST",
        "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3A{name}",
        "arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "arn%3aaws%3alambda%3aus-east-1%3a000000000000%3afunction%3a{name}%3a%24LATEST",
    ],
)
def test_paths_may_be_written_otherwise(server, hello, path):
    answer = raw.request(server, "GET", f"{FUNCTIONS}/{path.format(name=hello)}")
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("suffix", ["", "/"])
def test_lists_have_a_path_with_and_without_a_slash(server, suffix):
    assert "Functions" in raw.request(server, "GET", FUNCTIONS + suffix).json


ROUTES = [
    ("POST", "/2015-03-31/event-source-mappings", "CreateEventSourceMapping"),
    ("POST", f"{FUNCTIONS}/x/aliases", "CreateAlias"),
    ("GET", "/2018-10-31/layers", "ListLayers"),
    ("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "GetLayerVersionByArn"),
    ("GET", "/2021-10-31/functions/x/url", "GetFunctionUrlConfig"),
    ("GET", "/2019-09-30/functions/x/provisioned-concurrency?List=ALL", "ListProvisionedConcurrencyConfigs"),
    ("GET", "/2019-09-30/functions/x/provisioned-concurrency", "GetProvisionedConcurrencyConfig"),
    ("POST", "/2021-11-15/functions/x/response-streaming-invocations", "InvokeWithResponseStream"),
]


@pytest.mark.parametrize(("method", "path", "operation"), [one for one in ROUTES if one[2] not in IMPLEMENTED])
def test_what_is_not_there_yet_says_so(server, method, path, operation):
    body = "{}" if method == "POST" else None
    answer = raw.request(server, method, path, body)
    assert answer.status == 501, answer.body
    assert operation in answer.body.decode()
    assert answer.headers["x-amzn-errortype"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/2015-03-31"), ("GET", "/2015-03-31/nothing"), ("PATCH", FUNCTIONS), ("GET", "/%zz/%")],
)
def test_unknown_paths_are_not_found(server, method, path):
    answer = raw.request(server, method, path)
    assert answer.status in (403, 404, 405), answer.body
    assert answer.headers["x-amzn-errortype"]


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 nonsense",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
        f"AWS4-HMAC-SHA256 Credential=a/{SCOPE}, SignedHeaders=host",
        SIGNED.replace("us-east-1", "US EAST"),
        SIGNED.replace("0" * 64, "z" * 64),
    ],
)
def test_malformed_signatures_are_refused(server, hello, authorization):
    headers = {"Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}
    answer = raw.request(server, "GET", f"{FUNCTIONS}/{hello}", headers=headers)
    assert 400 <= answer.status < 404, answer.body
    assert answer.headers["x-amzn-errortype"]


def test_a_well_formed_signature_names_account_and_region(server):
    signed = SIGNED.replace("000000000000", "123456789012").replace("us-east-1", "eu-central-1")
    headers = {"Authorization": signed, "X-Amz-Date": "20260101T000000Z"}
    answer = raw.request(server, "GET", f"{FUNCTIONS}/missing", headers=headers)
    assert answer.json["Message"].endswith("arn:aws:lambda:eu-central-1:123456789012:function:missing")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"FunctionName": 1}', b"[" * 100_000, b'{"a":' * 100_000],
    ids=lambda body: repr(body[:20]),
)
def test_bodies_that_are_not_requests_are_refused(server, body):
    answer = raw.request(server, "POST", FUNCTIONS, body)
    assert answer.status == 400, answer.body
    assert answer.headers["x-amzn-errortype"] in (
        "SerializationException",
        "ValidationException",
        "InvalidParameterValueException",
        "InvalidRequestContentException",
    )
    assert raw.request(server, "GET", "/_firelet/health").status == 200


def test_an_oversized_creation_is_refused(server):
    answer = raw.request(server, "POST", FUNCTIONS, b'{"FunctionName":"' + b"x" * 70_167_211 + b'"}')
    assert answer.status == 413
    assert answer.headers["x-amzn-errortype"] == "RequestEntityTooLargeException"
    assert answer.json == {"message": "Request must be smaller than 70167211 bytes for the CreateFunction operation"}


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /2015-03-31/functions HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /2015-03-31/functions HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /2015-03-31/functions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nshort",
        b"GET /" + b"x" * (2 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["garbage", "version", "two framings", "negative length", "cut short", "endless line"],
)
def test_broken_http_harms_nobody(server, bytes_sent):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(bytes_sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)
        except OSError:
            answer = b""
    assert b" 200 " not in answer.split(b"\r\n")[0]
    assert raw.request(server, "GET", "/_firelet/health").status == 200


def test_creation_needs_what_the_model_requires(server):
    answer = raw.request(server, "POST", FUNCTIONS, json.dumps({"FunctionName": "bad name!", "Role": ROLE}))
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert list(answer.json) == ["message"]
    assert answer.json["message"].startswith("2 validation errors detected: ")
    assert "Value null at 'code' failed to satisfy constraint: Member must not be null" in answer.json["message"]
    assert "Value 'bad name!' at 'functionName' failed to satisfy constraint: " in answer.json["message"]
