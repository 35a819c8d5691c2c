"""How long execution environments live."""

import pytest

from support import packages
from support.server import run_firelet
from support.traces import processes_of
from support.waiting import wait_for
from support.world import World

IDENTITY = """
import subprocess, time, uuid
me = str(uuid.uuid4())
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return me
"""
# Answers one event and never asks for another.
MUTE = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
id=$(curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
curl -sS -o /dev/null -d '"answered"' "$api/invocation/$id/response"
sleep 100000
"""


@pytest.fixture(scope="module")
def identity():
    return packages.python(IDENTITY)


def test_idle_environments_end(make_server, identity):
    world = World(make_server("--idle-seconds", "1").start())
    name = world.deploy(identity)
    first = world.invoke(name).payload
    assert world.invoke(name).payload == first
    assert processes_of(name)
    wait_for(lambda: not processes_of(name), "the idle environment has ended")
    assert world.invoke(name).payload != first


def test_environments_above_the_limit_of_idle_ones_end(make_server, identity):
    world = World(make_server("--idle-environments", "2").start())
    names = [world.deploy(identity) for _ in range(4)]
    for name in names:
        world.invoke(name)
    wait_for(lambda: sum(bool(processes_of(name)) for name in names) <= 2, "two environments are left")
    assert processes_of(names[-1]), "those used last are kept"


def test_idle_environments_end_when_memory_is_short(make_server, identity):
    """More is to be kept free than there is, so that memory is always short."""
    world = World(make_server("--memory-reserve", str(1 << 40)).start())
    kept = world.deploy(identity)
    version = world.client.publish_version(FunctionName=kept)["Version"]
    world.await_active(f"{kept}:{version}")
    provisioned = {"FunctionName": kept, "Qualifier": version}
    world.client.put_provisioned_concurrency_config(**provisioned, ProvisionedConcurrentExecutions=1)
    status = world.client.get_provisioned_concurrency_config
    wait_for(lambda: status(**provisioned)["Status"] == "READY", "an environment is provisioned")
    first = world.invoke(f"{kept}:{version}").payload
    busy = world.deploy(identity)
    names = [world.deploy(identity) for _ in range(3)]
    for name in names:
        world.invoke(name)
    # As long as it takes to see that what works is left alone.
    assert world.invoke(busy, {"seconds": 4}).error is None
    wait_for(lambda: not any(processes_of(name) for name in [*names, busy]), "the idle environments have ended")
    assert world.invoke(f"{kept}:{version}").payload == first, "what is provisioned stays"
    assert world.server.log().count("idle execution environments are ended") == 1, "it is told when it begins"


@pytest.mark.parametrize("reserve", ["0", "1", "0%"])
def test_idle_environments_stay_while_there_is_memory(make_server, identity, reserve):
    world = World(make_server("--memory-reserve", reserve).start())
    names = [world.deploy(identity) for _ in range(3)]
    first = [world.invoke(name).payload for name in names]
    # Three looks at the memory at least.
    world.invoke(world.deploy(identity), {"seconds": 3.5})
    assert [world.invoke(name).payload for name in names] == first
    assert "memory in MB is short" not in world.server.log()


@pytest.mark.parametrize("reserve", ["", "-1", "101%", "5 %", "much"])
def test_a_reserve_that_is_none_ends_the_command(tmp_path, reserve):
    ended = run_firelet("serve", "--data-dir", tmp_path / "data", f"--memory-reserve={reserve}")
    assert ended.returncode == 2
    assert "give it in MB, or as a percentage such as 5%" in ended.stderr, ended.stderr


@pytest.mark.parametrize("seconds", [0, 2.2], ids=["short", "long"])
def test_environments_of_deleted_functions_end(world, identity, seconds):
    name = world.deploy(identity)
    world.invoke(name, {"seconds": seconds})
    assert processes_of(name)
    world.client.delete_function(FunctionName=name)
    wait_for(lambda: not processes_of(name), "the environments of the deleted function have ended")


def test_environments_of_old_code_end(world, identity):
    name = world.deploy(identity)
    world.invoke(name)
    old = processes_of(name)
    world.client.update_function_configuration(FunctionName=name, MemorySize=256)
    world.await_updated(name)
    world.invoke(name)
    wait_for(lambda: not old & processes_of(name), "the environment of the old configuration has ended")


def test_runtimes_that_stop_asking_end(world):
    name = world.deploy(packages.package({"bootstrap": MUTE}), runtime="provided.al2023", Timeout=1)
    for _ in range(5):
        assert world.invoke(name).payload == "answered"
    wait_for(lambda: not processes_of(name), "environments that never ask for the next event have ended")
