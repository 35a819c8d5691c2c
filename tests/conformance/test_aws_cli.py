"""The AWS CLI, unmodified, against firelet."""

import json
import os
import shutil
import subprocess

import pytest

from support import packages
from support.server import clean_environment


@pytest.fixture
def aws(server, tmp_path):
    """Runs `aws lambda ...`; gives its answer."""
    program = shutil.which("aws")
    assert program, "the AWS CLI is installed by `cargo xtask test`"
    environment = clean_environment() | {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }

    def run(*arguments, check=True):
        ended = subprocess.run(
            [program, "lambda", *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or ended.returncode == 0, ended.stderr
        return ended if not check else json.loads(ended.stdout or "null")

    return run


def test_a_function_lives_its_life(aws, tmp_path):
    (tmp_path / "function.zip").write_bytes(
        packages.python("import os\ndef handler(event, context):\n    return {**event, 'is': os.environ['IS']}\n")
    )
    named = ("--function-name", "hello")
    created = aws(
        "create-function",
        *named,
        *("--runtime", "python3.11", "--handler", "app.handler", "--zip-file", "fileb://function.zip"),
        *("--role", "arn:aws:iam::000000000000:role/any", "--environment", "Variables={IS=one}"),
    )
    assert created["FunctionArn"] == "arn:aws:lambda:eu-west-1:000000000000:function:hello"
    aws("wait", "function-active-v2", *named)
    (tmp_path / "event.json").write_text('{"a": "ü"}')
    payload = ("--payload", "fileb://event.json")
    answer = aws("invoke", *named, *payload, "--log-type", "Tail", "out.json")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads((tmp_path / "out.json").read_text()) == {"a": "ü", "is": "one"}

    aws("update-function-configuration", *named, "--environment", "Variables={IS=two}")
    aws("wait", "function-updated-v2", *named)
    aws("invoke", *named, *payload, "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["is"] == "two"

    assert [function["FunctionName"] for function in aws("list-functions")["Functions"]] == ["hello"]
    aws("tag-resource", "--resource", created["FunctionArn"], "--tags", "team=red")
    assert aws("get-function", *named)["Tags"] == {"team": "red"}
    aws("delete-function", *named)
    gone = aws("get-function", *named, check=False)
    assert gone.returncode != 0
    assert "(ResourceNotFoundException)" in gone.stderr
    assert f"Function not found: {created['FunctionArn']}" in gone.stderr


def test_a_layer_lives_its_life(aws, tmp_path):
    (tmp_path / "layer.zip").write_bytes(packages.package({"python/greeting.py": "WORD = 'hello'\n"}))
    source = "import greeting\ndef handler(event, context):\n    return greeting.WORD\n"
    (tmp_path / "function.zip").write_bytes(packages.python(source))
    layer = ("--layer-name", "greeting")
    described = ("--description", "says hello", "--compatible-runtimes", "python3.11", "python3.12")
    published = aws("publish-layer-version", *layer, *described, "--zip-file", "fileb://layer.zip")
    arn = "arn:aws:lambda:eu-west-1:000000000000:layer:greeting:1"
    assert published["LayerVersionArn"] == arn
    assert [one["LayerName"] for one in aws("list-layers")["Layers"]] == ["greeting"]
    version = (*layer, "--version-number", 1)
    allowed = ("--statement-id", "all", "--action", "lambda:GetLayerVersion", "--principal", "*")
    added = aws("add-layer-version-permission", *version, *allowed)
    policy = aws("get-layer-version-policy", *version)
    assert json.loads(policy["Policy"])["Statement"] == [json.loads(added["Statement"])]
    aws("remove-layer-version-permission", *version, "--statement-id", "all")
    named = ("--function-name", "layered")
    aws(
        "create-function",
        *named,
        *("--runtime", "python3.11", "--handler", "app.handler", "--zip-file", "fileb://function.zip"),
        *("--role", "arn:aws:iam::000000000000:role/any", "--layers", arn),
    )
    aws("wait", "function-active-v2", *named)
    aws("delete-layer-version", *version)
    assert aws("list-layer-versions", *layer)["LayerVersions"] == []
    aws("invoke", *named, "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == "hello"
    gone = aws("get-layer-version-by-arn", "--arn", arn, check=False)
    assert "(ResourceNotFoundException)" in gone.stderr
    aws("delete-function", *named)


def test_a_queue_is_mapped_to_a_function(aws, tmp_path):
    (tmp_path / "function.zip").write_bytes(packages.python("def handler(event, context):\n    return 1\n"))
    named = ("--function-name", "mapped")
    aws(
        "create-function",
        *named,
        *("--runtime", "python3.11", "--handler", "app.handler", "--zip-file", "fileb://function.zip"),
        *("--role", "arn:aws:iam::000000000000:role/any"),
    )
    queue = "arn:aws:sqs:eu-west-1:000000000000:queue"
    pattern = json.dumps({"Filters": [{"Pattern": json.dumps({"body": {"kind": ["order"]}})}]})
    created = aws(
        "create-event-source-mapping",
        *named,
        *("--event-source-arn", queue, "--no-enabled", "--filter-criteria", pattern, "--tags", "team=red"),
    )
    assert (created["State"], created["EventSourceArn"]) == ("Disabled", queue)
    assert created["FilterCriteria"] == json.loads(pattern)
    uuid = ("--uuid", created["UUID"])
    listed = aws("list-event-source-mappings", *named)["EventSourceMappings"]
    assert [mapping["UUID"] for mapping in listed] == [created["UUID"]]
    assert aws("list-tags", "--resource", created["EventSourceMappingArn"])["Tags"] == {"team": "red"}
    twice = aws("create-event-source-mapping", *named, "--event-source-arn", queue, check=False)
    assert "(ResourceConflictException)" in twice.stderr
    assert aws("delete-event-source-mapping", *uuid)["State"] == "Deleting"
