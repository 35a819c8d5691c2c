"""Layers: published, listed, shared, deleted, and in `/opt` when a function runs."""

import base64
import hashlib
import io
import json
import urllib.request
import zipfile

import pytest

from support import packages
from support.objects import object_store
from support.server import REGION
from support.world import World, refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")
GREETING = packages.package({"python/greeting.py": "WORD = 'hello'\n"})
GONE = "The resource you requested does not exist."
GET = "lambda:GetLayerVersion"
SHOW = packages.python(
    """
import os

def handler(event, context):
    found = {}
    for folder, _, files in os.walk("/opt"):
        for name in files:
            with open(os.path.join(folder, name)) as file:
                found[os.path.relpath(os.path.join(folder, name), "/opt")] = file.read()
    return found
"""
)


def publish(world, content=GREETING, name=None, **settings):
    """Publishes a layer version; gives the answer."""
    request = {"LayerName": name or world.name("layer"), "Content": {"ZipFile": content}} | settings
    return world.client.publish_layer_version(**request)


def share(world, version, principal="*", statement="s1", **settings):
    return world.client.add_layer_version_permission(
        LayerName=version["LayerArn"],
        VersionNumber=version["Version"],
        StatementId=statement,
        Action=GET,
        Principal=principal,
        **settings,
    )


def check(call, status, code, message, **arguments):
    error = refusal(call, **arguments)
    assert (error.status, error.code, error.message) == (status, code, message)


def without_links(version):
    """An answer without what differs from one to the next."""
    content = {key: value for key, value in version["Content"].items() if key != "Location"}
    return {key: value for key, value in version.items() if key != "ResponseMetadata"} | {"Content": content}


def download(version):
    with urllib.request.urlopen(version["Content"]["Location"]) as answer:
        return answer.read()


def test_a_version_has_what_was_published(world):
    settings = {
        "Description": "says hello",
        "LicenseInfo": "MIT",
        "CompatibleRuntimes": ["python3.11", "python3.12"],
        "CompatibleArchitectures": ["x86_64"],
    }
    version = publish(world, **settings)
    assert version["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert {key: version[key] for key in settings} == settings
    name = version["LayerArn"].rpartition(":")[2]
    assert version["LayerArn"] == f"arn:aws:lambda:{REGION}:000000000000:layer:{name}"
    assert (version["LayerVersionArn"], version["Version"]) == (version["LayerArn"] + ":1", 1)
    digest = base64.b64encode(hashlib.sha256(GREETING).digest()).decode()
    assert (version["Content"]["CodeSha256"], version["Content"]["CodeSize"]) == (digest, len(GREETING))
    assert version["CreatedDate"].endswith("+0000")
    for layer in (name, version["LayerArn"]):
        found = world.client.get_layer_version(LayerName=layer, VersionNumber=1)
        assert without_links(found) == without_links(version)
        assert download(found) == GREETING
    found = world.client.get_layer_version_by_arn(Arn=version["LayerVersionArn"])
    assert without_links(found) == without_links(version)


def test_what_was_not_said_is_left_out(world):
    version = publish(world)
    assert version["Description"] == ""
    assert not {"LicenseInfo", "CompatibleRuntimes", "CompatibleArchitectures"} & set(version)
    version = publish(world, CompatibleRuntimes=[], CompatibleArchitectures=[])
    assert (version["CompatibleRuntimes"], version["CompatibleArchitectures"]) == ([], [])


def test_lists_go_page_by_page(account):
    names = {account.name("layer") for _ in range(5)}
    for name in names:
        publish(account, name=name, CompatibleRuntimes=["python3.11"], CompatibleArchitectures=["arm64"])
    pages = list(account.client.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["Layers"]) for page in pages] == [2, 2, 1]
    layers = [layer for page in pages for layer in page["Layers"]]
    assert [layer["LayerName"] for layer in layers] == sorted(names)
    one = layers[0]["LayerName"]
    for number in range(2, 5):
        assert publish(account, name=one, CompatibleRuntimes=["nodejs20.x"])["Version"] == number
    versions = account.client.get_paginator("list_layer_versions").paginate(
        LayerName=one, PaginationConfig={"PageSize": 2}
    )
    assert [[item["Version"] for item in page["LayerVersions"]] for page in versions] == [[4, 3], [2, 1]]
    item = account.client.list_layer_versions(LayerName=one, MaxItems=1)["LayerVersions"][0]
    assert set(item) == {"LayerVersionArn", "Version", "Description", "CreatedDate", "CompatibleRuntimes"}
    latest = account.client.list_layers()["Layers"][0]
    assert (latest["LayerArn"], latest["LatestMatchingVersion"]) == (layers[0]["LayerArn"], item)
    fitting = account.client.list_layers(CompatibleRuntime="python3.11", MaxItems=1)["Layers"][0]
    assert fitting["LatestMatchingVersion"]["Version"] == 1
    arm = account.client.list_layer_versions(LayerName=one, CompatibleArchitecture="arm64")["LayerVersions"]
    assert [item["Version"] for item in arm] == [1]
    assert account.client.list_layers(CompatibleArchitecture="x86_64")["Layers"] == []
    check(
        account.client.list_layers, 400, "InvalidParameterValueException", "Invalid Marker", Marker="not a marker"
    )


def test_a_deleted_version_is_gone_and_its_number_too(account):
    name = publish(account)["LayerArn"]
    account.client.delete_layer_version(LayerName=name, VersionNumber=1)
    again = account.client.delete_layer_version(LayerName=name, VersionNumber=1)
    assert again["ResponseMetadata"]["HTTPStatusCode"] == 204
    check(
        account.client.get_layer_version,
        404,
        "ResourceNotFoundException",
        GONE,
        LayerName=name,
        VersionNumber=1,
    )
    assert account.client.list_layer_versions(LayerName=name)["LayerVersions"] == []
    assert account.client.list_layers()["Layers"] == []
    assert account.client.get_account_settings()["AccountUsage"]["TotalCodeSize"] == 0
    assert publish(account, name=name)["Version"] == 2


def test_what_is_not_there_is_not_found(world):
    name = publish(world)["LayerArn"].rpartition(":")[2]
    get, by_arn = world.client.get_layer_version, world.client.get_layer_version_by_arn
    own = f"arn:aws:lambda:{REGION}:000000000000:layer:{name}"
    check(get, 404, "ResourceNotFoundException", GONE, LayerName=name, VersionNumber=2)
    check(get, 404, "ResourceNotFoundException", GONE, LayerName="none", VersionNumber=1)
    check(by_arn, 404, "ResourceNotFoundException", GONE, Arn=own + ":2")
    for call in (get, world.client.delete_layer_version, world.client.get_layer_version_policy):
        text = "Layer Version Cannot be less than 1"
        check(call, 400, "InvalidParameterValueException", text, LayerName=name, VersionNumber=0)
    error = refusal(by_arn, Arn=own)
    assert (error.status, error.code) == (400, "ValidationException")
    assert error.message.startswith(
        f"1 validation error detected: Value '{own}' at 'arn' failed to satisfy constraint: "
    )
    assert world.client.list_layer_versions(LayerName="none")["LayerVersions"] == []


@pytest.mark.parametrize(
    ("content", "status", "code", "message"),
    [
        (
            {"ZipFile": b"not a zip"},
            400,
            "InvalidParameterValueException",
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            {"ZipFile": packages.package({"../out": "x"})},
            400,
            "InvalidParameterValueException",
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            {"ZipFile": bytes(52_428_801)},
            413,
            "RequestEntityTooLargeException",
            "Zipped size must be smaller than 52428800 bytes",
        ),
        (
            {"ZipFile": packages.package({f"zeros{number}": bytes(50 << 20) for number in range(5)})},
            400,
            "InvalidParameterValueException",
            "Unzipped size must be smaller than 262144000 bytes",
        ),
    ],
    ids=["not a zip", "..", "zipped size", "unzipped size"],
)
def test_wrong_content_is_refused(account, content, status, code, message):
    call = account.client.publish_layer_version
    check(call, status, code, message, LayerName="l", Content=content)
    assert account.client.list_layers()["Layers"] == []


def test_wrong_runtimes_are_refused(world):
    for call, arguments, start in [
        (
            world.client.publish_layer_version,
            {"LayerName": "l", "Content": {"ZipFile": GREETING}, "CompatibleRuntimes": ["cobol"]},
            "Value '[cobol]' at 'compatibleRuntimes'",
        ),
        (world.client.list_layers, {"CompatibleRuntime": "cobol"}, "Value 'cobol' at 'compatibleRuntime'"),
    ]:
        error = refusal(call, **arguments)
        assert (error.status, error.code) == (400, "ValidationException")
        start = f"1 validation error detected: {start} failed to satisfy constraint: Member must satisfy "
        assert error.message.startswith(start)
        assert "Member must satisfy enum value set: [" in error.message


def test_permissions_share_a_layer_with_accounts(server):
    ours, theirs, others = (World(server, number * 12) for number in "123")
    version = publish(ours)
    arn = version["LayerVersionArn"]
    denied = (
        "User: arn:aws:iam::222222222222:root is not authorized to perform: lambda:GetLayerVersion on resource: "
        f"{arn} because no resource-based policy allows the lambda:GetLayerVersion action"
    )
    check(theirs.client.get_layer_version_by_arn, 403, "AccessDeniedException", denied, Arn=arn)
    check(theirs.create, 403, "AccessDeniedException", denied, zip_bytes=HELLO, Layers=[arn])
    added = share(ours, version, "222222222222")
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    statement = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Action": GET,
        "Resource": arn,
    }
    assert json.loads(added["Statement"]) == statement
    policy = ours.client.get_layer_version_policy(LayerName=version["LayerArn"], VersionNumber=1)
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert policy["RevisionId"] == added["RevisionId"]
    assert download(theirs.client.get_layer_version(LayerName=version["LayerArn"], VersionNumber=1)) == GREETING
    user = theirs.deploy(
        packages.python("import greeting\ndef handler(event, context):\n    return greeting.WORD\n"), Layers=[arn]
    )
    assert theirs.invoke(user).payload == "hello"
    assert refusal(others.client.get_layer_version_by_arn, Arn=arn).status == 403
    refused = ours.client.remove_layer_version_permission(
        LayerName=version["LayerArn"], VersionNumber=1, StatementId="s1", RevisionId=added["RevisionId"]
    )
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 204
    check(theirs.client.get_layer_version_by_arn, 403, "AccessDeniedException", denied, Arn=arn)
    assert theirs.invoke(user).payload == "hello"
    assert theirs.client.list_layers()["Layers"] == []


def test_wrong_permissions_are_refused(world):
    version = publish(world)
    name, missing = version["LayerArn"], version["LayerArn"] + ":2"
    stale = (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetLayerPolicy API to retrieve the latest Revision Id"
    )
    policy, remove = world.client.get_layer_version_policy, world.client.remove_layer_version_permission
    one, two = {"LayerName": name, "VersionNumber": 1}, {"LayerName": name, "VersionNumber": 2}
    add = {"StatementId": "s1", "Action": GET, "Principal": "*"}
    none = "No policy is associated with the given resource."
    check(policy, 404, "ResourceNotFoundException", none, **one)
    share(world, version)
    text = (
        "The statement id (s1) provided already exists. "
        "Please provide a new statement id, or remove the existing statement."
    )
    permit = world.client.add_layer_version_permission
    check(permit, 409, "ResourceConflictException", text, **one, **add)
    check(permit, 412, "PreconditionFailedException", stale, **one, **add | {"StatementId": "s2"}, RevisionId="x")
    check(remove, 412, "PreconditionFailedException", stale, **one, StatementId="s1", RevisionId="x")
    text = "Statement s9 is not found in resource policy."
    check(remove, 404, "ResourceNotFoundException", text, **one, StatementId="s9")
    text = f"Layer version {missing} does not exist."
    check(permit, 404, "ResourceNotFoundException", text, **two, **add)
    check(policy, 404, "ResourceNotFoundException", text, **two)
    check(remove, 404, "ResourceNotFoundException", text, **two, StatementId="s1")
    text = (
        "1 validation error detected: Value '*' at 'action' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: lambda:GetLayerVersion"
    )
    check(permit, 400, "ValidationException", text, **one, **add | {"Action": "*"})


def test_a_policy_has_a_limit(world):
    version = publish(world)
    error = None
    for number in range(100):
        arguments = {"LayerName": version["LayerArn"], "VersionNumber": 1, "Action": GET, "Principal": "*"}
        try:
            world.client.add_layer_version_permission(StatementId=f"{number:0100}", **arguments)
        except world.client.exceptions.PolicyLengthExceededException as refused:
            error = refused.response
            break
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["Error"]["Message"].startswith("The final policy size (2")
    assert error["Error"]["Message"].endswith(") is bigger than the limit (20480).")


def test_regions_and_accounts_are_apart(server):
    ours = World(server, "444444444444")
    version = publish(ours)
    elsewhere = server.client("444444444444", "eu-west-1")
    name = version["LayerArn"].rpartition(":")[2]
    assert elsewhere.list_layers()["Layers"] == []
    check(elsewhere.get_layer_version, 404, "ResourceNotFoundException", GONE, LayerName=name, VersionNumber=1)
    assert World(server, "555555555555").client.list_layers()["Layers"] == []
    text = "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    there = elsewhere.publish_layer_version(LayerName=name, Content={"ZipFile": GREETING})["LayerVersionArn"]
    check(ours.create, 400, "InvalidParameterValueException", text, zip_bytes=HELLO, Layers=[there])


def test_layers_that_do_not_go_together_are_refused(world):
    first, name = publish(world)["LayerVersionArn"], world.name()
    second = publish(world, name=first.rpartition(":")[0])["LayerVersionArn"]
    world.deploy(HELLO, name=name)
    same = (
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{first} and {second} are versions of the same layer."
    )
    for layers, text in [
        ([first, second], same),
        ([first] * 6, "Cannot reference more than 5 layers."),
        ([first[:-1] + "9"], f"Layer version {first[:-1]}9 does not exist."),
    ]:
        code = "InvalidParameterValueException"
        check(world.create, 400, code, text, zip_bytes=HELLO, Layers=layers)
        update = world.client.update_function_configuration
        check(update, 400, code, text, FunctionName=name, Layers=layers)
    error = refusal(world.create, HELLO, Layers=[first.rpartition(":")[0]])
    assert (error.status, error.code) == (400, "ValidationException")


def test_a_function_and_its_layers_have_a_limit_together(world):
    half = packages.package({f"zeros{number}": bytes(45 << 20) for number in range(3)})
    layers = [publish(world, half)["LayerVersionArn"] for _ in range(2)]
    error = refusal(world.create, HELLO, Layers=layers)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    start = "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is "
    assert error.message.startswith(start)


def test_layers_are_in_opt_and_later_ones_win(world):
    contents = [
        {"who": "first", "one": "1", "kind/of": "folder"},
        {"who": "second", "two": "2", "kind": "file"},
        {"python/deep/who.txt": "third", "two": "2 again"},
    ]
    layers = [publish(world, packages.package(files))["LayerVersionArn"] for files in contents]
    name = world.deploy(SHOW, Layers=layers)
    shown = [layer["Arn"] for layer in world.configuration(name)["Layers"]]
    assert shown == layers
    assert all(layer["CodeSize"] > 0 for layer in world.configuration(name)["Layers"])
    expected = {
        "who": "second",
        "one": "1",
        "kind": "file",
        "two": "2 again",
        "python/deep/who.txt": "third",
    }
    assert world.invoke(name).payload == expected
    world.client.update_function_configuration(FunctionName=name, Layers=[layers[1], layers[0]])
    world.await_updated(name)
    expected = {"who": "first", "one": "1", "two": "2", "kind/of": "folder"}
    assert world.invoke(name).payload == expected
    world.client.update_function_configuration(FunctionName=name, Layers=[])
    world.await_updated(name)
    assert world.invoke(name).payload == {}
    assert "Layers" not in world.configuration(name)


def test_opt_cannot_be_changed(world):
    source = """
import os

def handler(event, context):
    faults = []
    for change in (
        lambda: open("/opt/new", "w"),
        lambda: open("/opt/python/greeting.py", "a"),
        lambda: os.remove("/opt/python/greeting.py"),
        lambda: os.chmod("/opt/python/greeting.py", 0o777),
        lambda: os.symlink("/etc/passwd", "/opt/link"),
    ):
        try:
            change()
            faults.append("changed")
        except OSError:
            pass
    owner = os.stat("/opt")
    return [faults, owner.st_uid, owner.st_gid, oct(owner.st_mode & 0o7777)]
"""
    other = publish(world, packages.package({"x": "y"}))["LayerVersionArn"]
    layers = [publish(world)["LayerVersionArn"], other]
    for count in (1, 2):
        name = world.deploy(packages.python(source), Layers=layers[:count])
        assert world.invoke(name).payload == [[], 0, 0, "0o755"]


def test_layers_are_not_written_through_links(world):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        entry = zipfile.ZipInfo("python")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "data")
        archive.writestr("data/inside", "linked")
    layers = [publish(world, layer)["LayerVersionArn"] for layer in (content.getvalue(), GREETING)]
    expected = {"data/inside": "linked", "python/greeting.py": "WORD = 'hello'\n"}
    assert world.invoke(world.deploy(SHOW, Layers=layers)).payload == expected
    assert world.invoke(world.deploy(SHOW, Layers=layers[::-1])).payload == {"data/inside": "linked"}


def test_python_and_node_find_their_packages(world):
    python = publish(
        world,
        packages.package(
            {
                "python/greeting.py": "WORD = 'hello'\n",
                "python/lib/python3.11/site-packages/deeper.py": "WORD = 'deep'\n",
            }
        ),
    )
    source = "import greeting, deeper\ndef handler(event, context):\n    return [greeting.WORD, deeper.WORD]\n"
    name = world.deploy(packages.python(source), Layers=[python["LayerVersionArn"]])
    assert world.invoke(name).payload == ["hello", "deep"]
    node = publish(
        world, packages.package({"nodejs/node_modules/greeting/index.js": "exports.word = 'hello';\n"})
    )
    for source in (
        "import greeting from 'greeting';\nexport const handler = async () => greeting.word;\n",
        "import { createRequire } from 'module';\nconst require = createRequire(import.meta.url);\n"
        "export const handler = async () => require('greeting').word;\n",
    ):
        name = world.deploy(packages.node(source), runtime="nodejs20.x", Layers=[node["LayerVersionArn"]])
        assert world.invoke(name).payload == "hello"


BOOTSTRAP = """#!/bin/sh
while true; do
    head=$(mktemp)
    curl -sS -o /dev/null -D "$head" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next"
    id=$(grep -i lambda-runtime-aws-request-id "$head" | tr -d '\\r' | cut -d ' ' -f 2)
    curl -sS -o /dev/null -d "\\"$0\\"" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done
"""


def test_a_layer_may_be_the_runtime(world):
    runtime = publish(world, packages.package({"bootstrap": BOOTSTRAP}))["LayerVersionArn"]
    name = world.deploy(packages.package({"data": "x"}), runtime="provided.al2023", Layers=[runtime])
    assert world.invoke(name).payload == "/opt/bootstrap"
    name = world.deploy(packages.package({"bootstrap": BOOTSTRAP}), runtime="provided.al2023", Layers=[runtime])
    assert world.invoke(name).payload == "/var/task/bootstrap"
    other = publish(world)["LayerVersionArn"]
    name = world.deploy(packages.package({"data": "x"}), runtime="provided.al2023", Layers=[other])
    failed = world.invoke(name).payload
    assert failed["errorType"] == "Runtime.InvalidEntrypoint"
    assert "[/var/task/bootstrap /opt/bootstrap]" in failed["errorMessage"]


def test_a_deleted_layer_goes_on_in_its_functions_and_a_restart_keeps_all(make_server):
    server = make_server().start()
    world = World(server)
    source = "import greeting\ndef handler(event, context):\n    return greeting.WORD\n"
    versions = [publish(world), publish(world, packages.package({"x": "y"}))]
    kept = publish(world)
    share(world, kept)
    policy = world.client.get_layer_version_policy(LayerName=kept["LayerArn"], VersionNumber=1)["Policy"]
    name = world.deploy(packages.python(source), Layers=[version["LayerVersionArn"] for version in versions])
    for version in versions:
        world.client.delete_layer_version(LayerName=version["LayerArn"], VersionNumber=1)
    assert world.invoke(name).payload == "hello"
    before = world.configuration(name)["Layers"]
    merged = server.data_directory / "code/merged"
    assert len(list(merged.iterdir())) == 1
    (merged / "stray").mkdir()
    assert server.stop() == 0
    world = World(server.start())
    assert world.configuration(name)["Layers"] == before
    assert world.invoke(name).payload == "hello"
    assert not (merged / "stray").exists()
    assert world.client.list_layer_versions(LayerName=versions[0]["LayerArn"])["LayerVersions"] == []
    assert publish(world, name=versions[0]["LayerArn"])["Version"] == 2
    found = world.client.get_layer_version_by_arn(Arn=kept["LayerVersionArn"])
    assert without_links(found) == without_links(kept)
    assert world.client.get_layer_version_policy(LayerName=kept["LayerArn"], VersionNumber=1)["Policy"] == policy
    world.client.update_function_configuration(FunctionName=name, Timeout=9)
    world.await_updated(name)
    assert world.invoke(name).payload == "hello"


def test_content_comes_from_an_object_store(make_server):
    with object_store({"bucket/layers/greeting.zip": GREETING}) as endpoint:
        world = World(make_server("--s3-endpoint", endpoint).start())
        content = {"S3Bucket": "bucket", "S3Key": "layers/greeting.zip"}
        version = world.client.publish_layer_version(LayerName="l", Content=content)
        assert download(version) == GREETING
        text = (
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
            "S3 Error Message: The specified key does not exist."
        )
        call, missing = world.client.publish_layer_version, content | {"S3Key": "missing.zip"}
        check(call, 400, "InvalidParameterValueException", text, LayerName="l", Content=missing)
        assert call(LayerName="l", Content=content)["Version"] == 2
