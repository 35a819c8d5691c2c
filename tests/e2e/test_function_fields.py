"""Every setting of a function reads back as it was made: by create, get, list, update and publish."""

import pytest

from support import packages
from support.server import ACCOUNT
from support.world import refusal

HELLO = packages.python("def handler(event, context):\n    return 1\n")
VPC = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
EFS = f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:access-point/fsap-00000000000000000"
S3_FILES = (
    f"arn:aws:s3files:us-east-1:{ACCOUNT}:file-system/fs-00000000000000000/access-point/fsap-00000000000000000"
)
DIRECT = {"DirectS3Read": "AUTO"}
MEMBERS = {
    "description": {"Description": "words"},
    "handler": {"Handler": "other.handler"},
    "role": {"Role": "arn:aws:iam::000000000000:role/other"},
    "runtime": {"Runtime": "python3.13"},
    "timeout": {"Timeout": 900},
    "memory": {"MemorySize": 10_240},
    "ephemeral storage": {"EphemeralStorage": {"Size": 10_240}},
    "environment": {"Environment": {"Variables": {"KEY": "value"}}},
    "empty environment": {"Environment": {"Variables": {}}},
    "key": {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k"},
    "dead letters": {"DeadLetterConfig": {"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}},
    "tracing": {"TracingConfig": {"Mode": "Active"}},
    "logging": {
        "LoggingConfig": {
            "LogFormat": "JSON",
            "ApplicationLogLevel": "WARN",
            "SystemLogLevel": "DEBUG",
            "LogGroup": "mine",
        }
    },
    "EFS": {"FileSystemConfigs": [{"Arn": EFS, "LocalMountPath": "/mnt/data"}], "VpcConfig": VPC},
    "S3 files": {
        "FileSystemConfigs": [{"Arn": S3_FILES, "LocalMountPath": "/mnt/d", "S3FilesConfig": DIRECT}]
    },
    "accelerator": {"AcceleratorConfig": {"AcceleratorMemorySize": 24}, "EphemeralStorage": {"Size": 32_768}},
    "runtime of the account": {
        "Runtime": "custom",
        "RuntimeConfig": {
            "RuntimeArn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:runtime/mine",
            "RuntimeAlias": "live",
        },
    },
    "snapshots": {"Runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}},
}


def check_shown(shown, members):
    for member, value in members.items():
        if isinstance(value, dict):
            # Answers add what callers cannot set.
            assert shown[member] | value == shown[member], member
        else:
            assert shown[member] == value, member


@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS.keys())
def test_a_setting_reads_back_as_it_was_made(account, members):
    client = account.client
    answer = account.create(HELLO, **members)
    created, updated = answer["FunctionName"], account.deploy(HELLO)
    check_shown(answer, members)
    account.await_active(created)
    check_shown(client.update_function_configuration(FunctionName=updated, **members), members)
    account.await_updated(updated)
    for name in (created, updated):
        check_shown(client.get_function(FunctionName=name)["Configuration"], members)
        check_shown(account.configuration(name), members)
        check_shown(client.publish_version(FunctionName=name), members)
        for version in client.list_versions_by_function(FunctionName=name)["Versions"]:
            check_shown(version, members)
        # What is not named stays.
        client.update_function_configuration(FunctionName=name, MemorySize=members.get("MemorySize", 256))
        account.await_updated(name)
        check_shown(client.update_function_code(FunctionName=name, ZipFile=HELLO), members)
    for listed in client.list_functions()["Functions"]:
        check_shown(listed, members)


def test_a_file_system_needs_its_network(world):
    config = [{"Arn": EFS, "LocalMountPath": "/mnt/data"}]
    error = refusal(world.create, HELLO, FileSystemConfigs=config)
    assert (error.status, error.code) == (400, "InvalidParameterValueException")
    assert error.message == f"Function must be configured to execute in a VPC to reference access point {EFS}."
    config[0]["LocalMountPath"] = "/data"
    error = refusal(world.create, HELLO, FileSystemConfigs=config, VpcConfig=VPC)
    assert (error.status, error.code) == (400, "ValidationException")


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (MEMBERS["EFS"], "functions with file systems"),
        (MEMBERS["accelerator"], "functions with accelerators"),
        (MEMBERS["runtime of the account"], "functions with a runtime of the account"),
    ],
    ids=["file system", "accelerator", "runtime"],
)
def test_what_cannot_be_had_is_not_run_without(world, members, what):
    name = world.deploy(HELLO, **members)
    error = refusal(world.client.invoke, FunctionName=name)
    assert (error.status, error.code) == (501, "NotImplemented")
    assert error.message == f"firelet does not run {what} yet."


def test_snapshots_are_on_for_active_versions(world):
    name = world.create(HELLO, **MEMBERS["snapshots"], Publish=True)["FunctionName"]
    world.await_active(name)
    world.await_active(f"{name}:1")
    assert world.configuration(name)["SnapStart"]["OptimizationStatus"] == "Off"
    assert world.configuration(f"{name}:1")["SnapStart"]["OptimizationStatus"] == "On"
