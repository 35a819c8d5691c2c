"""Fixtures: a server for each module, worlds in it, and servers for tests that need one of their own."""

import itertools
import subprocess

import pytest

from support.server import BINARY, Server, clean_environment
from support.world import World

_accounts = itertools.count(100_000_000_001)


@pytest.fixture(scope="module")
def server_options():
    """What the module's server is started with; modules may say otherwise."""
    return ()


@pytest.fixture(scope="module")
def server(tmp_path_factory, server_options):
    """A server for the whole module."""
    running = Server(tmp_path_factory.mktemp("server") / "data", *server_options).start()
    yield running
    log = running.log()
    status = running.stop()
    assert status == 0, f"the server ended with {status}:\n{log}"
    assert "panicked" not in log, log


@pytest.fixture(scope="module")
def world(server):
    """The default account of the module's server."""
    return World(server)


@pytest.fixture
def account(server):
    """An account that no other test has."""
    return World(server, str(next(_accounts)))


@pytest.fixture
def make_server(tmp_path):
    """Makes servers on data directories of this test; ends them all."""
    made = []

    def make(*options, folder=tmp_path, **settings):
        made.append(Server(folder / "data", *options, **settings))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None:
            one.stop()


@pytest.fixture
def follow_logs(server, tmp_path):
    """Starts `firelet logs NAME -f`; gives a function that tells what it printed so far."""
    followers = []

    def follow(name):
        output = tmp_path / f"{name}.followed"
        with open(output, "wb") as file:
            followers.append(
                subprocess.Popen(
                    [BINARY, "logs", name, "-f", "--endpoint", server.endpoint],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    env=clean_environment(),
                )
            )
        return output.read_text

    yield follow
    for follower in followers:
        follower.kill()
        follower.wait()
