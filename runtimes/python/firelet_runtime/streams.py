"""The function's standard output and standard error."""

import sys


class Unbuffered:
    """A stream whose text leaves at once, so that none is lost with a process that crashes or is killed."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def __iter__(self):
        return iter(self.stream)

    def write(self, text):
        written = self.stream.write(text)
        self.stream.flush()
        return written

    def writelines(self, lines):
        self.stream.writelines(lines)
        self.stream.flush()


def unbuffer():
    """Has `print` and its like write at once, as AWS's client does."""
    sys.stdout, sys.stderr = (stream and Unbuffered(stream) for stream in (sys.__stdout__, sys.__stderr__))
