"""The same function on every version of an interpreter that this host has."""

import json

import pytest

from support import packages
from support.server import run_firelet

SOURCES = {
    "python": packages.python(
        """
import json, sys

def handler(event, context):
    if "fail" in event:
        raise ValueError(event["fail"])
    print("seen", flush=True)
    return [*sys.version_info[:2], event, context.aws_request_id]
"""
    ),
    "nodejs": packages.node(
        """
export const handler = async (event, context) => {
  if (event.fail) throw new RangeError(event.fail);
  console.log("seen");
  return [...process.versions.node.split(".").slice(0, 1).map(Number), event, context.awsRequestId];
};
"""
    ),
}


def runtimes_of_this_host():
    report = json.loads(run_firelet("doctor", "--json", check=True).stdout)
    return [runtime["runtime"] for runtime in report["runtimes"] if runtime.get("version")]


@pytest.fixture(scope="module")
def runtimes():
    found = runtimes_of_this_host()
    assert {"python3.11", "nodejs20.x"} <= set(found), "the interpreters that tests need"
    return found


def test_every_interpreter_serves_functions(world, runtimes):
    for runtime in runtimes:
        family = "python" if runtime.startswith("python") else "nodejs"
        version = [int(part) for part in runtime.removeprefix(family).removesuffix(".x").split(".")]
        name = world.deploy(SOURCES[family], runtime=runtime)
        answer = world.invoke(name, {"a": 1}, tail=True)
        assert answer.error is None, (runtime, answer)
        assert answer.payload == [*version, {"a": 1}, answer.request_id], runtime
        assert "seen" in answer.log, runtime
        failed = world.invoke(name, {"fail": "no good"})
        assert (failed.error, failed.payload["errorMessage"]) == ("Unhandled", "no good"), runtime
