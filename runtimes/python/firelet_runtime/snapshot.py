"""What comes between loading a function and its first event where there are snapshots: its hooks, and the wait to be restored.

A process that goes on from a snapshot may be one of many. It finds its connection at its end, since the Runtime API that it spoke to
was another environment's, and makes another one.
"""

import posix
import sys

from .connection import ConnectionClosed

BEFORE_SNAPSHOT_ERROR, AFTER_RESTORE_ERROR = "Runtime.BeforeSnapshotError", "Runtime.AfterRestoreError"
# As of AWS's runtime when a hook fails.
BEFORE_SNAPSHOT_STATUS, AFTER_RESTORE_STATUS = 64, 65


def pass_through(runtime):
    """Returns in an environment that is about to take events, or reports the hook that failed and ends the process."""
    try:
        run_before_snapshot()
    except BaseException as error:
        runtime.report_and_exit(error, "init/error", BEFORE_SNAPSHOT_ERROR, BEFORE_SNAPSHOT_STATUS)
    await_restore(runtime)
    try:
        run_after_restore()
    except BaseException as error:
        runtime.report_and_exit(error, "restore/error", AFTER_RESTORE_ERROR, AFTER_RESTORE_STATUS)


def run_before_snapshot():
    hooks = sys.modules.get("snapshot_restore_py")
    registered = [] if hooks is None else hooks.get_before_snapshot()
    while registered:
        function, arguments, named = registered.pop()
        function(*arguments, **named)


def run_after_restore():
    hooks = sys.modules.get("snapshot_restore_py")
    for function, arguments, named in [] if hooks is None else hooks.get_after_restore():
        function(*arguments, **named)


def await_restore(runtime):
    runtime.flush()
    try:
        status, body = ask(runtime)
    except (ConnectionClosed, ConnectionError):
        runtime.connect()
        reseed()
        status, body = ask(runtime)
    if status != 200:
        raise ConnectionClosed("restore/next answered {}: {}".format(status, bytes(body)))


def ask(runtime):
    runtime.connection.send(runtime.restore_request)
    status, _, body = runtime.connection.receive()
    return status, body


def reseed():
    """Has generators differ that others have the state of, as far as they are Python's own."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    ssl = sys.modules.get("_ssl")
    if ssl is not None:
        # OpenSSL seeds all its generators anew after this.
        ssl.RAND_add(posix.urandom(32), 32.0)
