"""Runs a bootstrap as a real process on a function's files in a temporary folder."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from fake_api import FakeRuntimeApi

RUNTIMES = pathlib.Path(__file__).resolve().parent.parent
PYTHON = [os.environ.get("FIRELET_TEST_PYTHON", sys.executable), "-S", str(RUNTIMES / "python" / "bootstrap.py")]
NODE = [os.environ.get("FIRELET_TEST_NODE", "node"), str(RUNTIMES / "node" / "bootstrap.cjs")]
TIMEOUT = 20
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"


class Guest:
    """A context manager: the function's process and its Runtime API."""

    def __init__(self, command, handler, files, env=None, layers=None, **api_options):
        self.command, self.handler, self.files = command, handler, files
        self.env, self.layers = env or {}, layers or {}
        self.api = FakeRuntimeApi(**api_options)

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(self._folder.name)
        self.task, self.opt = root / "task", root / "opt"
        _write_files(self.task, self.files)
        _write_files(self.opt, self.layers)
        self.process = subprocess.Popen(
            self.command, env=self._environment(), cwd=self.task, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._output = {"stdout": b"", "stderr": b""}
        self._readers = [threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._output]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *_):
        self.api.close()
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        self._folder.cleanup()

    def _environment(self):
        env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TZ": ":UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "_HANDLER": self.handler,
            "LAMBDA_TASK_ROOT": str(self.task),
            "FIRELET_LAYER_ROOT": str(self.opt),
            "AWS_LAMBDA_FUNCTION_NAME": "hello",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/hello",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef",
        }
        env.update({name: value.replace("{task}", str(self.task)) for name, value in self.env.items()})
        return env

    def _read(self, name):
        stream = getattr(self.process, name)
        while True:
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                return
            self._output[name] += chunk

    def post(self):
        """Waits for the guest's next post."""
        return self.api.posts.get(timeout=TIMEOUT)

    def send(self, event=None, **headers):
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.api.send_event(body, self._headers(headers))

    def _headers(self, changes):
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": REQUEST_ID,
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 3000),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        }
        for name, value in changes.items():
            if name == "Content_Type":
                name = "Content-Type"
            else:
                name = "Lambda-Runtime-" + name.replace("_", "-")
            headers[name] = value
        return {name: value for name, value in headers.items() if value is not None}

    def invoke(self, event=None, **headers):
        """Sends an event and answers the post that reports its outcome."""
        self.send(event, **headers)
        return self.post()

    def result(self, event=None, **headers):
        """Like `invoke`, and answers the decoded response."""
        post = self.invoke(event, **headers)
        if not post.path.endswith("/response"):
            raise AssertionError("{}: {}".format(post.path, post.body))
        return json.loads(post.body)

    def error(self, event=None, **headers):
        """Like `invoke`, and answers the decoded error."""
        post = self.invoke(event, **headers)
        if not post.path.endswith("/error"):
            raise AssertionError("{}: {}".format(post.path, post.body))
        return json.loads(post.body)

    def exit_status(self):
        return self.process.wait(TIMEOUT)

    def finish(self):
        """Ends the guest by closing its Runtime API, and answers all it wrote to standard output."""
        self.api.close()
        self.process.wait(TIMEOUT)
        return self.output()

    def output(self, name="stdout"):
        """Answers what the ended guest wrote."""
        return self.raw_output(name).decode("utf-8")

    def raw_output(self, name):
        self.process.wait(TIMEOUT)
        for reader in self._readers:
            reader.join(TIMEOUT)
        return self._output[name]


def _write_files(root, files):
    root.mkdir(parents=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
