"""Environments without work stand still, and go on with the next event."""

import pytest

from support import packages
from support.traces import is_frozen, processes_of, state_of
from support.waiting import wait_for
from support.world import World

# Counts all the time, and tells how far it got.
COUNTER = packages.python(
    """
import threading

count = 0

def work():
    global count
    while True:
        count += 1

threading.Thread(target=work, daemon=True).start()

def handler(event, context):
    return count
"""
)


@pytest.fixture(scope="module")
def server_options():
    return ("--freeze-after", "50")


def used(name):
    """Processor time of a function's processes so far, in clock ticks."""
    times = [int(state_of(pid, index) or 0) for pid in processes_of(name) for index in (11, 12)]
    return sum(times)


def test_an_idle_function_uses_no_processor(world):
    name = world.deploy(COUNTER)
    world.invoke(name)
    wait_for(lambda: is_frozen(name), "the function stands still")
    before = used(name)
    assert before > 0
    other = world.deploy(packages.python("import time\ndef handler(event, context): time.sleep(0.5)"))
    world.invoke(other)
    assert used(name) == before


def test_it_goes_on_with_the_next_event(world):
    name = world.deploy(COUNTER)
    counts = []
    for _ in range(3):
        answer = world.invoke(name, tail=True)
        assert answer.error is None, answer.body
        assert ("Init Duration" in answer.log) == (not counts)
        counts.append(answer.payload)
        wait_for(lambda: is_frozen(name), "the function stands still")
    assert counts == sorted(counts)


def test_a_function_that_stands_still_goes_with_its_deletion(world):
    name = world.deploy(COUNTER)
    world.invoke(name)
    wait_for(lambda: is_frozen(name), "the function stands still")
    world.client.delete_function(FunctionName=name)
    wait_for(lambda: not processes_of(name), "nothing of it is left")


def test_a_killed_server_leaves_no_function_that_stands_still(make_server):
    doomed = make_server("--freeze-after", "50").start()
    other = World(doomed)
    name = other.deploy(COUNTER)
    other.invoke(name)
    wait_for(lambda: is_frozen(name), "the function stands still")
    doomed.kill()
    wait_for(lambda: not processes_of(name), "nothing of it is left")
