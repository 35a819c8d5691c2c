"""Waits, in an interpreter that was started ahead, to be told which function it is to serve.

Standard input is a socket: one byte there says that the interpreter is ready, one packet from there is the function's environment,
each variable as `NAME=value` and a NUL. By then the function's code is where it belongs. Nothing of a function is known or run here
before that.
"""

import posix
import sys

PACKET_SIZE = 256 * 1024
# What nearly every function imports, itself or through its packages, and AWS's runtime has imported before it.
PRELOADED = (
    "os",
    "json",
    "logging",
    "traceback",
    "datetime",
    "base64",
    "random",
    "firelet_runtime.faults",
    "firelet_runtime.logs",
)


def preload():
    for name in PRELOADED:
        __import__(name)


def wait():
    """Returns with the environment and the working directory of the function."""
    posix.write(0, b"1")
    packet = posix.read(0, PACKET_SIZE)
    if not packet:
        posix._exit(0)
    adopt([variable.partition(b"=") for variable in packet.split(b"\0") if variable])


def adopt(variables):
    null = posix.open("/dev/null", posix.O_RDONLY)
    posix.dup2(null, 0)
    posix.close(null)
    environment = {name: value for name, _, value in variables}
    environb = sys.modules["os"].environb
    for name in [name for name in environb if name not in environment]:
        del environb[name]
    environb.update(environment)
    posix.environ.clear()
    posix.environ.update(environment)
    posix.chdir(environment[b"LAMBDA_TASK_ROOT"])
    # Whoever was started at the same moment shall not draw the same numbers.
    sys.modules["random"].seed()
