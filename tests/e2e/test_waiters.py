"""The waiters of boto3, unmodified but for the time between two looks."""

import concurrent.futures

import pytest
from botocore.exceptions import WaiterError

from support import packages

HELLO = packages.python("def handler(event, context):\n    return 1\n")
OTHER = packages.python("def handler(event, context):\n    return 2\n")
SOON = {"Delay": 0.01, "MaxAttempts": 1_000}


def wait(world, waiter, **arguments):
    world.client.get_waiter(waiter).wait(WaiterConfig=SOON, **arguments)


def update_code(world, name):
    return world.client.update_function_code(FunctionName=name, ZipFile=OTHER)


def update_configuration(world, name):
    return world.client.update_function_configuration(FunctionName=name, MemorySize=256)


@pytest.mark.parametrize("waiter", ["function_active", "function_active_v2"])
def test_a_new_function_becomes_active(world, waiter):
    created = world.create(HELLO)
    assert created["State"] == "Pending"
    wait(world, waiter, FunctionName=created["FunctionName"])
    assert world.configuration(created["FunctionName"])["State"] == "Active"
    assert world.invoke(created["FunctionName"]).payload == 1


@pytest.mark.parametrize("change", [update_code, update_configuration])
@pytest.mark.parametrize("waiter", ["function_updated", "function_updated_v2"])
def test_an_update_comes_into_effect(world, waiter, change):
    name = world.deploy(HELLO)
    assert change(world, name)["LastUpdateStatus"] == "InProgress"
    wait(world, waiter, FunctionName=name)
    assert world.configuration(name)["LastUpdateStatus"] == "Successful"
    # What the waiter waits for is that the next update is taken.
    assert change(world, name)["LastUpdateStatus"] == "InProgress"


def test_a_published_version_becomes_active(world):
    name = world.deploy(HELLO)
    published = world.client.publish_version(FunctionName=name)
    assert published["State"] == "Pending"
    wait(world, "published_version_active", FunctionName=name, Qualifier=published["Version"])
    assert world.invoke(name, Qualifier="1").version == "1"
    created = world.create(HELLO, Publish=True)
    wait(world, "published_version_active", FunctionName=created["FunctionArn"] + ":1")


def test_a_function_that_comes_later_is_awaited(world):
    name = world.name()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait, world, "function_exists", FunctionName=name)
        # A second waiter that sees it missing shows that the first one can have seen it so.
        with pytest.raises(WaiterError, match="Max attempts exceeded"):
            world.client.get_waiter("function_exists").wait(
                FunctionName=name, WaiterConfig={"Delay": 0.01, "MaxAttempts": 3}
            )
        assert not waiting.done()
        world.create(HELLO, name=name)
        waiting.result(timeout=30)


@pytest.mark.parametrize(
    "waiter", ["function_active", "function_active_v2", "function_updated", "function_updated_v2"]
)
def test_a_missing_function_ends_the_other_waiters(world, waiter):
    with pytest.raises(WaiterError, match="Function not found"):
        wait(world, waiter, FunctionName="missing")
