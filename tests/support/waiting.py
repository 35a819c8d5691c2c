"""Waiting for a condition, which is the only way in which these tests pass time."""

import threading
import time

PAUSE = 0.01


def wait_for(condition, what, patience=30.0):
    """Calls `condition` until it gives something true, and gives that."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s in vain until {what}")
        threading.Event().wait(PAUSE)
