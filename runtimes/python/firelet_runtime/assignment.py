"""Waits, in an interpreter that was started ahead, to be told which function it is to serve.

Standard input is a socket: one byte there says that the interpreter is ready, one packet from there is the function's environment,
each variable as `NAME=value` and a NUL. By then the function's code is where it belongs. Nothing of a function is known or run here
before that, and afterwards the function finds an interpreter as if it had been started for it.
"""

import io
import posix
import sys

from . import streams

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
    """Returns with the environment, the working directory and the standard streams of the function."""
    posix.write(0, b"1")
    packet = posix.read(0, PACKET_SIZE)
    if not packet:
        posix._exit(0)
    adopt([variable.partition(b"=") for variable in packet.split(b"\0") if variable])
    reopen_streams()
    # Whoever was started at the same moment shall not draw the same numbers.
    sys.modules["random"].seed()


def adopt(variables):
    environment = {name: value for name, _, value in variables}
    set_environment(environment)
    posix.chdir(environment[b"LAMBDA_TASK_ROOT"])


def set_environment(environment):
    environb = sys.modules["os"].environb
    for name in list(environb):
        del environb[name]
    environb.update(environment)
    posix.environ.clear()
    posix.environ.update(environment)


def reopen_streams():
    """Has standard input be the null device. Python's own streams have kept in mind what their descriptors were before."""
    null = posix.open("/dev/null", posix.O_RDWR)
    posix.dup2(null, 0)
    posix.close(null)
    for descriptor, name, mode in ((0, "stdin", "rb"), (1, "stdout", "wb"), (2, "stderr", "wb")):
        old = getattr(sys, "__{}__".format(name))
        buffer = io.open(descriptor, mode, closefd=False)
        buffer.raw.name = old.name
        new = io.TextIOWrapper(buffer, old.encoding, old.errors, "\n", old.line_buffering, old.write_through)
        new.mode = old.mode
        setattr(sys, name, new)
        setattr(sys, "__{}__".format(name), new)
    streams.unbuffer()


def hide_all_but(modules, folders):
    """Has what was imported beyond `modules` be looked for again if `folders` have a module of the same name; says whether."""
    imported = set(sys.modules) - modules
    if not imported & modules_in(folders):
        return False
    for name in imported:
        del sys.modules[name]
        package, _, module = name.rpartition(".")
        # Those that go go whole: somebody may still use them.
        if package in modules:
            delattr(sys.modules[package], module)
    return True


def modules_in(folders):
    """The names of the modules and packages that are imported from `folders`."""
    found = set()
    for folder in folders:
        try:
            found.update(name.partition(".")[0] for name in posix.listdir(folder))
        except OSError:
            continue
    return found
