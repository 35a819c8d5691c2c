"""Servers that end, well or badly, and what is there when they start again."""

import concurrent.futures
import os
import signal

from support import packages
from support.traces import (
    cgroups_of,
    children_of,
    mounts_below,
    namespaces_in_use,
    namespaces_of,
    now,
    processes_of,
)
from support.waiting import wait_for
from support.world import World

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
BUSY = packages.python(
    """
import subprocess, time
def handler(event, context):
    subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    time.sleep(600)
"""
)


def test_a_restart_keeps_everything(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(HELLO, Tags={"a": "b"}, Environment={"Variables": {"COLOUR": "red"}})
    before = world.client.get_function(FunctionName=name)
    request = world.invoke(name).request_id
    assert server.stop() == 0
    world = World(server.start())
    after = world.client.get_function(FunctionName=name)
    assert after["Configuration"] == before["Configuration"]
    assert after["Tags"] == {"a": "b"}
    assert world.invoke(name).payload == "one"
    assert request


def test_a_kill_under_load_leaves_nothing_behind(make_server):
    server = make_server().start()
    world = World(server)
    kept = world.deploy(HELLO)
    assert world.invoke(kept).payload == "one"
    busy = world.deploy(BUSY, Timeout=900)
    with concurrent.futures.ThreadPoolExecutor(4) as callers:
        running = [callers.submit(world.invoke, busy) for _ in range(4)]
        # Each environment has its runtime and the process that it has started.
        wait_for(lambda: len(processes_of(busy)) >= 8, "four environments are busy")
        pids = processes_of(busy) | processes_of(kept)
        namespaces, cgroups = namespaces_of(pids), cgroups_of(pids)
        assert len(namespaces) >= 5 and namespaces <= namespaces_in_use(now())
        server.kill()
        killed = now()
        assert all(isinstance(one.exception(), Exception) for one in running)

    world = World(server.start())
    assert world.invoke(kept).payload == "one"
    wait_for(lambda: not processes_of(busy), "the killed server's functions are gone")
    wait_for(lambda: not namespaces & namespaces_in_use(killed), "their namespaces are gone")
    server.stop()
    assert not [folder for folder in cgroups if folder.exists()]
    assert mounts_below(server.data_directory) == []
    assert not processes_of(kept)


def test_kills_while_writing_keep_what_was_answered(make_server):
    server = make_server()
    answered = []
    for _ in range(3):
        server.start()
        world = World(server)
        with concurrent.futures.ThreadPoolExecutor(4) as callers:

            def create(number, world=world):
                return world.create(HELLO)["FunctionName"]

            running = [callers.submit(create, number) for number in range(200)]
            wait_for(lambda: sum(one.done() for one in running) >= 20, "some functions are stored")  # noqa: B023
            server.kill()
            answered += [one.result() for one in running if one.exception() is None]
    world = World(server.start())
    pages = world.client.get_paginator("list_functions").paginate()
    listed = {function["FunctionName"] for page in pages for function in page["Functions"]}
    assert len(answered) >= 60
    assert set(answered) <= listed
    for name in answered[-3:]:
        world.await_active(name)
        assert world.invoke(name).payload == "one"


def test_a_killed_helper_is_replaced(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(HELLO)
    assert world.invoke(name).payload == "one"
    earlier = children_of(server.process.pid)
    assert len(earlier) == 1
    os.kill(int(*earlier), signal.SIGKILL)
    wait_for(lambda: not processes_of(name), "its sandboxes ended with it")
    wait_for(lambda: answers(world, name), "the function answers again")
    assert children_of(server.process.pid) - earlier, "another helper is there"
    assert "the sandbox helper has ended" in server.log()


def answers(world, name):
    try:
        return world.invoke(name).payload == "one"
    except world.client.exceptions.ServiceException:
        return False


def test_an_orderly_end_leaves_nothing_behind(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(HELLO)
    world.invoke(name)
    pids = processes_of(name)
    namespaces, cgroups = namespaces_of(pids), cgroups_of(pids)
    assert pids and namespaces
    assert server.stop() == 0
    ended = now()
    assert not processes_of(name)
    assert not namespaces & namespaces_in_use(ended)
    assert not [folder for folder in cgroups if folder.exists()]
    assert mounts_below(server.data_directory) == []
