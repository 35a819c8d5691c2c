"""The environment variables of a function, compared with what AWS sets."""

import re

import pytest

from support import packages

PYTHON = packages.python("import os\ndef handler(event, context):\n    return dict(os.environ)\n")
NODE = packages.node("export const handler = async () => process.env;\n")
CUSTOM = packages.package(
    {
        "bootstrap": r"""#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  id=$(curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  env | sed 's/[\\"]/\\&/g; s/.*/"&",/' > /tmp/list
  printf '[%s null]' "$(cat /tmp/list)" | curl -sS -o /dev/null --data-binary @- "$api/invocation/$id/response"
done
"""
    }
)
COMMON = {
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "COLOUR": "dark blue = \"#008\" \\ 'käse'",
}
MANAGED = {
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
}
PROVIDED = {
    "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
}
OWN = {
    "python3.11": MANAGED
    | {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11", "PYTHONPATH": "/var/runtime", "_HANDLER": "app.handler"},
    "nodejs20.x": MANAGED | {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x", "_HANDLER": "index.handler"},
    "provided.al2023": PROVIDED | {"_HANDLER": "bootstrap"},
}
PACKAGES = {"python3.11": PYTHON, "nodejs20.x": NODE, "provided.al2023": CUSTOM}
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
ABSENT = {"provided.al2023": ("AWS_EXECUTION_ENV", "PYTHONPATH", "NODE_PATH")}
# Set by shells and by the interpreters' own start.
INCIDENTAL = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE", "NODE_PATH", "NODE_EXTRA_CA_CERTS", "_X_AMZN_TRACE_ID"}


def environment(world, runtime):
    name = world.deploy(
        PACKAGES[runtime], runtime=runtime, MemorySize=192, Environment={"Variables": {"COLOUR": COMMON["COLOUR"]}}
    )
    answer = world.invoke(name)
    assert answer.error is None, answer.body
    seen = answer.payload
    if isinstance(seen, list):
        seen = dict(line.split("=", 1) for line in seen if line and "=" in line)
    return name, seen


@pytest.mark.parametrize("runtime", OWN)
def test_variables_are_those_of_aws(world, runtime):
    name, seen = environment(world, runtime)
    expected = COMMON | OWN[runtime]
    expected |= {"AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}"}
    assert {key: seen.get(key) for key in expected} == expected
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert all(seen[key] for key in CREDENTIALS)
    assert not [key for key in ABSENT.get(runtime, ()) if key in seen]
    known = set(expected) | set(CREDENTIALS) | INCIDENTAL | {"AWS_LAMBDA_LOG_STREAM_NAME"}
    assert set(seen) <= known, "variables that AWS does not set"


def test_the_trace_is_that_of_the_invocation(world):
    source = """
import os
at_import = os.environ.get("_X_AMZN_TRACE_ID")
def handler(event, context):
    return at_import, os.environ["_X_AMZN_TRACE_ID"]
"""
    name = world.deploy(packages.python(source))
    at_import, first = world.invoke(name).payload
    _, second = world.invoke(name).payload
    assert at_import is None
    assert first.startswith("Root=1-") and second.startswith("Root=1-") and first != second


def test_json_logging_shows_in_the_environment(world):
    name = world.deploy(PYTHON, LoggingConfig={"LogFormat": "JSON"})
    seen = world.invoke(name).payload
    assert (seen["AWS_LAMBDA_LOG_FORMAT"], seen["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "INFO")
