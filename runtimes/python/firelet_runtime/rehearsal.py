"""Runs one invocation of a function of firelet's own, so that the first real one finds made what it takes.

In an interpreter that was forked that is memory above all: each page is copied when it is first written to, be it for the count of an
object's users. Takes back whatever a function could see of it.
"""

import io
import posix
import sys

import _socket

from . import assignment
from .bootstrap import Invocation, Runtime, get_handler

PRACTICE = "firelet_runtime.practice"
SOURCE = "import sys\n\ndef handler(event, context):\n    return {'name': event.get('name')}\n"
EVENT = (
    b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


def rehearse(folders):
    """Does for nothing what is done when the function is known. `folders` are those that would have its modules."""
    assignment.set_environment(dict(posix.environ))
    posix.chdir(posix.getcwd())
    io.TextIOWrapper(io.open(1, "wb", closefd=False), "utf-8", "strict", "\n").flush()
    assignment.modules_in(folders)
    compile(SOURCE, PRACTICE, "exec")
    invoke()
    Invocation.request_id = Invocation.tenant_id = None
    del sys.modules[PRACTICE]
    del sys.modules[__package__].practice


def invoke():
    """Speaks to this process itself: all that is said has room on the way."""
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    runtime = Runtime("{}:{}".format(*listener.getsockname()))
    descriptor, _ = listener._accept()
    posix.write(descriptor, EVENT)
    handler = get_handler(PRACTICE + ".handler")
    _, headers, body = runtime.connection.receive()
    runtime.connection.send(*runtime.handle_event_request(handler, headers, body))
    runtime.flush()
    runtime.connection.close()
    posix.close(descriptor)
    listener.close()
