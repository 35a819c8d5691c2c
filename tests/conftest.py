"""Fixtures: a server for each module, worlds in it, and servers for tests that need one of their own."""

import itertools

import pytest

from support.server import Server
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

    def make(*options, name="data", **settings):
        made.append(Server(tmp_path / name, *options, **settings))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None:
            one.stop()
