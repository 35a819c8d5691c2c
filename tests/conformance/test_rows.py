"""Requests and what they are answered with, as data: `rows/*.yaml`. tests/README.md tells how a row is written."""

import base64
import hashlib

import pytest

from support.caller import Caller
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
    """Names, and what is known of packages: `<package:hello>`, `<sha256:hello>`, `<size:hello>`, `<size:hello*3>`."""

    def __contains__(self, name):
        return super().__contains__(name) or name.partition(":")[0] in PACKAGES

    def __missing__(self, name):
        what, _, package = name.partition(":")
        if what not in PACKAGES:
            raise KeyError(f"<{name}> stands for nothing; there are {', '.join([*self, *PACKAGES, *KINDS])}")
        package, _, times = package.partition("*")
        known = PACKAGES[what](NAMED[package]())
        return known * int(times) if times else known


PACKAGES = {
    "package": lambda content: content,
    "size": len,
    "sha256": lambda content: base64.b64encode(hashlib.sha256(content).digest()).decode(),
}
