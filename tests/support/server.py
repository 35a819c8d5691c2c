"""A firelet server as a child process, with its own port and data directory."""

import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.parse
import urllib.request
import weakref

import boto3
import botocore.config

from support.waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("FIRELET_BIN", ROOT / "target/debug/firelet"))
ADDRESS = re.compile(r"serves (http://[0-9.]+:[0-9]+)")
ACCOUNT = "000000000000"
REGION = "us-east-1"


class Server:
    """`firelet serve` on a free port."""

    _started = weakref.WeakSet()

    def __init__(self, data_directory, *options, listen="127.0.0.1:0", prefix=(), binary=BINARY, directory=None):
        self.directory = directory
        self.data_directory = pathlib.Path(directory or "", data_directory)
        self.arguments = [*prefix, binary, "serve", "--data-dir", data_directory, "--listen", listen, *options]
        self.log_path = self.data_directory.with_name(self.data_directory.name + ".log")
        self.process = None
        self.endpoint = None

    def start(self):
        """Starts the server and returns when it says that it serves."""
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.arguments,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(),
            )
        self.endpoint = wait_for(self._announced, "the server says where it serves").group(1)
        self._started.add(self)
        return self

    @classmethod
    def running(cls):
        """The servers that tests have started and that have not ended."""
        return [server for server in list(cls._started) if server.process.poll() is None]

    def _announced(self):
        text = self.log()
        announced = ADDRESS.search(text)
        assert announced or self.process.poll() is None, f"the server ended:\n{text}"
        return announced

    def log(self):
        return self.log_path.read_text(errors="replace")

    def inventory(self):
        """What the server says that there is of environments, interpreters that wait, and itself."""
        with urllib.request.urlopen(f"{self.endpoint}/_firelet/environments", timeout=30) as answer:
            return json.load(answer)

    def environments(self, function):
        """What the server tells of each environment of `function` that has not ended."""
        return [one for one in self.inventory()["environments"] if one["function"] == function]

    @property
    def port(self):
        return urllib.parse.urlsplit(self.endpoint).port

    def memory(self, what="VmRSS"):
        """Resident memory in KB; the most there ever was is VmHWM."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{what}:\s*(\d+)", status)[1])

    def client(self, account=ACCOUNT, region=REGION, **settings):
        """A boto3 client that neither retries nor validates, so that the server's answers are seen."""
        config = botocore.config.Config(
            retries={"total_max_attempts": 1},
            parameter_validation=False,
            read_timeout=120,
            max_pool_connections=64,
            **settings,
        )
        return boto3.client(
            "lambda",
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=account,
            aws_secret_access_key="secret",
            config=config,
        )

    def stop(self):
        """Ends the server in order; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=30)


def clean_environment():
    """The environment without what would configure firelet or an AWS client."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FIRELET_"))}
    return kept | {"RUST_BACKTRACE": "0"}


def run_firelet(*arguments, endpoint=None, check=False, prefix=(), **settings):
    """Runs a firelet command to its end."""
    environment = clean_environment()
    if endpoint:
        environment |= {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_REGION": REGION}
    return subprocess.run(
        [*prefix, BINARY, *arguments],
        env=environment,
        text=True,
        timeout=60,
        check=check,
        **({"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | settings),
    )
