"""What there is of execution environments on a server, as /_firelet/environments and `firelet environments` tell it."""

import json
import pathlib

import pytest

from support import packages, raw
from support.server import run_firelet
from support.traces import children_of, number_inside, processes_of
from support.waiting import wait_for

NAP = packages.python(
    """
import time

def handler(event, context):
    time.sleep(event.get("seconds", 0))
"""
)
# Does not ask for its first event.
MUTE = packages.package({"bootstrap": "#!/bin/sh\nexec sleep 1000\n"})


@pytest.fixture(scope="module")
def server_options():
    return ("--freeze-after", "50", "--prepared-interpreters", "2")


def in_state(world, name, state):
    return [one for one in world.server.environments(name) if one["state"] == state]


def test_an_environment_is_told_with_its_process(world):
    name = world.deploy(NAP)
    assert world.server.environments(name) == []
    world.invoke(name)
    (told,) = wait_for(lambda: in_state(world, name, "frozen"), "the environment stands still")
    process = str(told.pop("processId"))
    assert process in processes_of(name)
    assert number_inside(process) != "1"
    assert len(told.pop("id")) == 36
    assert told.pop("peakMemoryBytes") > 1 << 20
    assert told == {
        "account": world.account,
        "region": "us-east-1",
        "function": name,
        "version": "$LATEST",
        "state": "frozen",
        "initializationType": "on-demand",
    }


def test_states_are_told_from_the_start_to_the_end(world, account):
    mute = account.deploy(MUTE, runtime="provided.al2023", Timeout=30)
    account.client.invoke(FunctionName=mute, InvocationType="Event", Payload=b"{}")
    (starting,) = wait_for(lambda: in_state(account, mute, "initializing"), "the environment starts")
    assert (starting["account"], "processId" in starting) == (account.account, True)
    account.client.delete_function(FunctionName=mute)
    busy = world.deploy(NAP)
    world.client.invoke(FunctionName=busy, InvocationType="Event", Payload=b'{"seconds": 1}')
    wait_for(lambda: in_state(world, busy, "busy"), "the environment works")
    wait_for(lambda: in_state(world, busy, "frozen"), "the environment stands still")
    world.client.delete_function(FunctionName=busy)
    wait_for(lambda: not world.server.environments(busy), "the environment has ended")


def test_tenants_and_provisioned_environments_are_told_apart(world):
    name = world.deploy(NAP, TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    for tenant in ("red", "blue"):
        world.invoke(name, TenantId=tenant)
    assert [one["tenant"] for one in world.server.environments(name)] == ["blue", "red"]
    kept = world.deploy(NAP)
    version = world.client.publish_version(FunctionName=kept)["Version"]
    world.client.put_provisioned_concurrency_config(
        FunctionName=kept, Qualifier=version, ProvisionedConcurrentExecutions=2
    )
    told = wait_for(
        lambda: len(found := in_state(world, kept, "frozen")) == 2 and found, "both environments stand still"
    )
    assert {(one["version"], one["initializationType"]) for one in told} == {(version, "provisioned-concurrency")}


def test_interpreters_that_wait_and_the_helper_are_told(world):
    world.deploy(NAP)
    prepared = wait_for(
        lambda: [one for one in world.server.inventory()["prepared"] if one["waiting"] == 2], "two wait"
    )
    (told,) = (one for one in prepared if one["runtime"] == "python3.11")
    # Those that were forked share most of theirs.
    assert 1 << 16 < told.pop("memoryBytes") < 1 << 30
    assert told == {"runtime": "python3.11", "wanted": 2, "waiting": 2}
    helper = world.server.inventory()["helper"]["processId"]
    assert str(helper) in children_of(world.server.process.pid)
    assert "firelet-sandbox-helper" in pathlib.Path(f"/proc/{helper}/cmdline").read_text()


def test_only_those_on_this_machine_are_told(server):
    stranger = raw.request(server, "GET", "/_firelet/environments", headers={"Host": "evil.example"})
    assert stranger.status == 403
    assert raw.request(server, "POST", "/_firelet/environments").status == 405


def test_the_command_prints_a_table_or_json(world):
    name = world.deploy(NAP)
    world.invoke(name)
    (told,) = wait_for(lambda: in_state(world, name, "frozen"), "the environment stands still")
    printed = run_firelet("environments", endpoint=world.server.endpoint, check=True).stdout
    (line,) = (line for line in printed.splitlines() if f" {name} " in line)
    assert line.split()[:6] == [world.account, "us-east-1", name, "$LATEST", "frozen", str(told["processId"])]
    assert "sandbox helper: process " in printed
    as_json = run_firelet("environments", "--json", "--endpoint", world.server.endpoint, check=True).stdout
    assert told in json.loads(as_json)["environments"]
