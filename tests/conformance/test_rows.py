"""Requests and what they are answered with, as data: `rows/*.yaml`. tests/README.md tells how a row is written."""

import base64
import concurrent.futures
import hashlib
import json
import threading

import pytest
from botocore.exceptions import ClientError

from support.objects import object_store
from support.packages import NAMED
from support.rows import CASES
from support.template import KINDS, Names
from support.waiting import wait_for
from support.world import ROLE

OTHER_ACCOUNT = "999999999999"
# How often a request is sent at the same time as those beside it.
AT_ONCE = 8
REPEATED = {"until", "before", "beside"}
REQUEST = ("call", "with", "account")
EXPECTATIONS = {"status", "error", "headers", "body"}


@pytest.fixture(scope="module")
def server_options():
    with object_store({"bucket/hello.zip": NAMED["hello"]()}) as endpoint:
        yield ("--s3-endpoint", endpoint)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(account, case):
    check(account, case.steps)


def check(world, steps):
    """Sends the requests one after the other and compares each answer, whole, with what is expected of it."""
    caller = Caller(world)
    names = NamesAndPackages(
        {
            "account": world.account,
            "other-account": OTHER_ACCOUNT,
            "lambda": f"arn:aws:lambda:us-east-1:{world.account}",
            "role": ROLE,
        }
    )
    for number, step in enumerate(steps, 1):
        differences = perform(caller, names, step)
        assert not differences, "\n".join([f"step {number}, {step['call']}:", *differences])


def perform(caller, names, step):
    """Sends the request of a step, again while it waits for another answer; gives what is not as expected."""
    differences = []

    def is_met():
        for earlier in step.get("before", []):
            differences[:] = perform(caller, names, earlier)
            if differences:
                return False
        requests = [step] * (AT_ONCE if "beside" in step else 1) + step.get("beside", [])
        answers = caller.answers([names.fill({key: one.get(key) for key in REQUEST}) for one in requests])
        own = (answer for one, answer in zip(requests, answers) if one is step)
        differences[:] = min((unmet(step, answer, names) for answer in own), key=len)
        return not differences

    if not REPEATED & step.keys():
        is_met()
        return differences
    try:
        wait_for(is_met, "the answer is the expected one")
    except AssertionError:
        assert differences
    return differences


def unmet(step, answer, names):
    """What is not as the step expects, a line each."""
    if not {"until", *EXPECTATIONS} & step.keys():
        return [] if answer.status < 300 else [f"was refused with {answer.status}: {answer.body}"]
    found = [
        line
        for name, value in step.get("until", {}).items()
        for line in names.differences(value, answer.member(name), f"body.{name}")
    ]
    if found or not EXPECTATIONS & step.keys():
        return found
    found = names.differences(step["status"], answer.status, "status")
    found += names.differences("<uuid>", answer.headers.get("x-amzn-requestid"), "x-amzn-RequestId")
    found += names.differences(step.get("error"), answer.headers.get("x-amzn-errortype"), "x-amzn-ErrorType")
    for name, value in step.get("headers", {}).items():
        found += names.differences(value, answer.headers.get(name), name)
    return found + names.differences(step.get("body", ""), answer.body)


class NamesAndPackages(Names):
    """Names, and what is known of packages: `<package:hello>`, `<sha256:hello>`, `<size:hello>`."""

    def __contains__(self, name):
        return super().__contains__(name) or name.partition(":")[0] in PACKAGES

    def __missing__(self, name):
        what, _, package = name.partition(":")
        if what not in PACKAGES:
            raise KeyError(f"<{name}> stands for nothing; there are {', '.join([*self, *PACKAGES, *KINDS])}")
        return PACKAGES[what](NAMED[package]())


PACKAGES = {
    "package": lambda content: content,
    "size": len,
    "sha256": lambda content: base64.b64encode(hashlib.sha256(content).digest()).decode(),
}


class Answer:
    """An answer as it came over the wire: JSON is read, no body is an empty text."""

    def __init__(self, kept, payload):
        self.status = kept["status_code"]
        self.headers = {name.lower(): value for name, value in kept["headers"].items()}
        text = (kept["body"] if payload is None else payload).decode()
        try:
            self.body = json.loads(text)
        except ValueError:
            self.body = text

    def member(self, path):
        """The member of the body that a dotted path leads to."""
        found = self.body
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found


class Caller:
    """Calls operations through boto3, which signs and spells them, and gives the answers that boto3 read."""

    def __init__(self, world):
        self.world = world
        self.clients = {}
        self.kept = threading.local()

    def answers(self, requests):
        """The answers to requests; several are sent at the same time."""
        clients = [self._client(request["account"] or self.world.account) for request in requests]
        if len(requests) == 1:
            return [self._answer(clients[0], requests[0])]
        with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
            return list(pool.map(self._answer, clients, requests))

    def _client(self, account):
        if account not in self.clients:
            client = self.clients[account] = self.world.server.client(account)
            client.meta.events.register("before-parse.lambda.*", self._keep)
        return self.clients[account]

    def _keep(self, response_dict, **_):
        self.kept.answer = response_dict

    def _answer(self, client, request):
        methods = {operation: method for method, operation in client.meta.method_to_api_mapping.items()}
        payload = None
        try:
            parsed = getattr(client, methods[request["call"]])(**(request["with"] or {}))
            payload = parsed["Payload"].read() if "Payload" in parsed else None
        except ClientError:
            pass
        return Answer(self.kept.answer, payload)
