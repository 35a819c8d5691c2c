"""The life of a function: created, read, changed, deleted."""

import base64
import hashlib
import re

import pytest

from support import packages, raw
from support.world import ROLE, refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
OTHER = packages.python("def handler(event, context):\n    return 'two'\n")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def arn(name):
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


def test_a_new_function_is_pending_and_then_active(world):
    created = world.create(HELLO, Description="says one", Environment={"Variables": {"COLOUR": "red"}})
    name = created["FunctionName"]
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["State"] == "Pending"
    assert created["StateReason"] == "The function is being created."
    assert created["StateReasonCode"] == "Creating"
    assert "LastUpdateStatus" not in created

    world.client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0})
    present = world.configuration(name)
    del present["ResponseMetadata"]
    assert re.fullmatch(UUID, present.pop("RevisionId"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", present.pop("LastModified"))
    version_arn = present.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", version_arn)
    assert present == {
        "FunctionName": name,
        "FunctionArn": arn(name),
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(HELLO),
        "CodeSha256": base64.b64encode(hashlib.sha256(HELLO).digest()).decode(),
        "Description": "says one",
        "Timeout": 30,
        "MemorySize": 128,
        "Version": "$LATEST",
        "Environment": {"Variables": {"COLOUR": "red"}},
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }


def test_the_environment_is_absent_until_it_was_set(world):
    never = world.deploy(HELLO)
    emptied = world.deploy(HELLO, Environment={"Variables": {}})
    assert "Environment" not in world.configuration(never)
    assert world.configuration(emptied)["Environment"] == {"Variables": {}}


def test_new_code_takes_over(world):
    name = world.deploy(HELLO)
    assert world.invoke(name).payload == "one"
    updated = world.client.update_function_code(FunctionName=name, ZipFile=OTHER)
    assert updated["State"] == "Active"
    assert updated["LastUpdateStatus"] == "InProgress"
    assert updated["LastUpdateStatusReason"] == "The function is being created."
    assert updated["LastUpdateStatusReasonCode"] == "Creating"
    world.client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0})
    present = world.configuration(name)
    assert present["CodeSha256"] == base64.b64encode(hashlib.sha256(OTHER).digest()).decode()
    assert "LastUpdateStatusReason" not in present
    assert world.invoke(name).payload == "two"


def test_a_dry_run_changes_nothing(world):
    name = world.deploy(HELLO)
    before = world.configuration(name)
    world.client.update_function_code(FunctionName=name, ZipFile=OTHER, DryRun=True)
    after = world.configuration(name)
    assert after["CodeSha256"] == before["CodeSha256"]
    assert after["RevisionId"] == before["RevisionId"]


def test_new_configuration_takes_over(world):
    source = "import os\ndef handler(event, context):\n    return os.environ.get('COLOUR')\n"
    name = world.deploy(packages.python(source), Environment={"Variables": {"COLOUR": "red"}})
    assert world.invoke(name).payload == "red"
    world.client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}}, Timeout=7, MemorySize=256
    )
    world.await_updated(name)
    present = world.configuration(name)
    assert (present["Timeout"], present["MemorySize"], present["Handler"]) == (7, 256, "app.handler")
    assert world.invoke(name).payload == "blue"


def test_logging_is_merged_and_falls_back(world):
    name = world.deploy(HELLO, LoggingConfig={"LogFormat": "JSON"})
    json_logging = {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": f"/aws/lambda/{name}",
    }
    assert world.configuration(name)["LoggingConfig"] == json_logging
    for change, expected in [
        ({"ApplicationLogLevel": "DEBUG"}, json_logging | {"ApplicationLogLevel": "DEBUG"}),
        ({"LogFormat": "Text"}, {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}),
    ]:
        world.client.update_function_configuration(FunctionName=name, LoggingConfig=change)
        world.await_updated(name)
        assert world.configuration(name)["LoggingConfig"] == expected


def test_every_change_gives_a_new_revision(world):
    created = world.create(HELLO)
    name = created["FunctionName"]
    world.await_active(name)
    revisions = [created["RevisionId"], world.configuration(name)["RevisionId"]]
    world.client.update_function_configuration(FunctionName=name, Description="new")
    world.await_updated(name)
    revisions.append(world.configuration(name)["RevisionId"])
    world.client.tag_resource(Resource=arn(name), Tags={"a": "b"})
    revisions.append(world.configuration(name)["RevisionId"])
    assert len(set(revisions)) == 4


def test_a_stale_revision_is_refused(world):
    name = world.deploy(HELLO)
    stale = "00000000-0000-4000-8000-000000000000"
    for call, settings in [
        (world.client.update_function_code, {"ZipFile": OTHER}),
        (world.client.update_function_configuration, {"Timeout": 5}),
    ]:
        error = refusal(call, FunctionName=name, RevisionId=stale, **settings)
        assert (error.status, error.code) == (412, "PreconditionFailedException")
        assert error.message == (
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )


def test_a_deleted_function_is_gone(world):
    name = world.deploy(HELLO)
    deleted = raw.request(world.server, "DELETE", f"/2015-03-31/functions/{name}")
    assert (deleted.status, deleted.body) == (204, b"")
    error = refusal(world.client.get_function, FunctionName=name)
    assert (error.status, error.code) == (404, "ResourceNotFoundException")
    assert error.message == f"Function not found: {arn(name)}"
    assert world.deploy(OTHER, name=name) == name
    assert world.invoke(name).payload == "two"


@pytest.mark.parametrize(
    "form",
    [
        "{name}",
        "{name}:$LATEST",
        "000000000000:function:{name}",
        "function:{name}",
        "arn:aws:lambda:us-east-1:000000000000:function:{name}",
        "arn:aws:lambda:us-east-1:000000000000:function:{name}:$LATEST",
    ],
)
def test_a_function_answers_to_all_forms_of_its_name(world, form):
    name = world.deploy(HELLO)
    form = form.format(name=name)
    expected = arn(name) + (":$LATEST" if form.endswith("$LATEST") else "")
    assert world.configuration(form)["FunctionArn"] == expected
    assert world.client.get_function(FunctionName=form)["Configuration"]["FunctionArn"] == expected
    assert world.invoke(form).payload == "one"


def test_accounts_and_regions_are_worlds_of_their_own(server, world, account):
    name = account.deploy(HELLO, name=world.name())
    assert account.configuration(name)["FunctionArn"].split(":")[4] == account.account
    assert refusal(world.client.get_function, FunctionName=name).status == 404
    elsewhere = server.client(account.account, region="eu-west-1")
    assert refusal(elsewhere.get_function, FunctionName=name).status == 404


def test_published_functions_have_a_version(world):
    created = world.create(HELLO, Publish=True)
    assert created["Version"] == "1"
    assert created["FunctionArn"] == arn(created["FunctionName"])
    world.await_active(created["FunctionName"])
    answer = world.invoke(created["FunctionName"], Qualifier="1")
    assert (answer.payload, answer.version) == ("one", "1")


def test_account_settings_count_functions(account):
    account.deploy(HELLO)
    settings = account.client.get_account_settings()
    assert settings["AccountLimit"]["ConcurrentExecutions"] == 1000
    assert settings["AccountLimit"]["CodeSizeZipped"] == 52_428_800
    assert settings["AccountLimit"]["CodeSizeUnzipped"] == 262_144_000
    assert settings["AccountUsage"] == {"TotalCodeSize": len(HELLO), "FunctionCount": 1}
