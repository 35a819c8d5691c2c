"""How a server starts, or says in one line why it does not."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess

import pytest

from support import packages, raw
from support.server import BINARY, Server, clean_environment, run_firelet
from support.traces import processes_of
from support.waiting import wait_for
from support.world import World, refusal

HELLO = packages.python("def handler(event, context):\n    return 'one'\n")
LAMBDA = "arn:aws:lambda:us-east-1:000000000000:function:"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")


def refused(*arguments, **settings):
    """The one line that `firelet serve` ends with."""
    ended = run_firelet("serve", *arguments, **settings)
    assert ended.returncode == 1, ended
    lines = [line for line in ended.stderr.splitlines() if line.startswith("firelet: ")]
    assert len(lines) == 1, ended.stderr
    assert "panicked" not in ended.stderr
    return lines[0]


def test_code_that_only_a_start_runs_is_given_back(make_server):
    server = make_server().start()
    # The build that tests use has three quarters of it in memory until then.
    wait_for(lambda: resident_code(server) < 0.6, "the server gives back code")
    assert raw.request(server, "GET", "/_firelet/health").status == 200


def resident_code(server):
    """Which part of the program's own code is in memory."""
    mappings = pathlib.Path(f"/proc/{server.process.pid}/smaps").read_text()
    code = re.search(rf" r-xp .*{re.escape(os.path.realpath(BINARY))}\nSize: +(\d+) kB\n(?:.+\n)*?Rss: +(\d+) kB", mappings)
    return int(code[2]) / int(code[1])


def test_health_answers_as_soon_as_the_address_is_told(make_server):
    server = make_server().start()
    assert raw.request(server, "GET", "/_firelet/health").status == 200
    assert server.stop() == 0


def test_a_relative_data_directory_runs_functions(tmp_path):
    server = Server("./data", directory=tmp_path).start()
    try:
        world = World(server)
        assert world.invoke(world.deploy(HELLO)).payload == "one"
    finally:
        server.stop()


@pytest.mark.parametrize("microseconds", ["0", "1000"])
def test_functions_run_with_any_busy_polling(make_server, microseconds):
    world = World(make_server("--busy-poll", microseconds).start())
    name = world.deploy(HELLO)
    assert [world.invoke(name).payload for _ in range(20)] == ["one"] * 20


def test_a_second_server_on_the_same_data_is_refused(make_server):
    first = make_server().start()
    line = refused("--data-dir", first.data_directory, "--listen", "127.0.0.1:0")
    assert str(first.data_directory) in line
    assert re.search("another|already|in use", line)
    assert raw.request(first, "GET", "/_firelet/health").status == 200


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused("--data-dir", tmp_path / "data", "--listen", address)
    assert address in line and "--listen" in line


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_listening_beyond_loopback_is_refused(tmp_path, address):
    line = refused("--data-dir", tmp_path / "data", "--listen", address)
    assert "insecure" in line and "127.0.0.1" in line
    assert not (tmp_path / "data").exists()


def test_listening_beyond_loopback_can_be_insisted_on(make_server):
    server = make_server("--insecure-listen-beyond-loopback", listen="0.0.0.0:0").start()
    assert raw.request(server, "GET", "/_firelet/health").status == 200
    assert "insecure" in server.log()


def test_a_file_is_no_data_directory(tmp_path):
    (tmp_path / "data").write_text("mine")
    line = refused("--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0")
    assert str(tmp_path / "data") in line
    assert (tmp_path / "data").read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    ended = run_firelet("serve", "--data-dir", tmp_path / "data", "--listen", "256.0.0.1:0")
    assert ended.returncode == 2
    assert os.listdir(tmp_path / "data") == ["thesis.txt"]


def test_a_data_directory_of_a_newer_firelet_is_left_alone(make_server):
    server = make_server().start()
    server.stop()
    with contextlib.closing(sqlite3.connect(server.data_directory / "firelet.db")) as database:
        database.execute("PRAGMA user_version = 9999")
    line = refused("--data-dir", server.data_directory, "--listen", "127.0.0.1:0")
    assert "9999" in line and "newer" in line


@as_root
def test_an_unwritable_data_directory_is_named(tmp_path, open_path):
    folder = open_path / "locked"
    folder.mkdir(mode=0o555)
    line = refused("--data-dir", folder / "data", "--listen", "127.0.0.1:0", prefix=NOBODY)
    assert str(folder / "data") in line
    assert re.search("[Pp]ermission denied", line)


@pytest.fixture
def open_path():
    """A folder that every user of this machine can reach."""
    folder = os.path.join("/tmp", f"firelet-tests-{os.getpid()}")
    os.mkdir(folder, 0o777)
    os.chmod(folder, 0o777)
    yield pathlib.Path(folder)
    shutil.rmtree(folder)


@as_root
def test_an_ordinary_user_can_serve(open_path, make_server):
    shutil.copy(BINARY, open_path / "firelet")
    server = make_server(binary=open_path / "firelet", folder=open_path, prefix=NOBODY).start()
    world = World(server)
    custom = packages.package(
        {
            "bootstrap": """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  id=$(curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  curl -sS -o /dev/null -d "$(id -u)" "$api/invocation/$id/response"
done
"""
        }
    )
    name = world.deploy(custom, runtime="provided.al2023")
    answer = world.invoke(name, tail=True)
    assert answer.error is None, answer
    assert answer.payload != 0
    layers = [
        world.client.publish_layer_version(LayerName=layer, Content={"ZipFile": content})["LayerVersionArn"]
        for layer, content in [("runtime", custom), ("data", packages.package({"data": "x"}))]
    ]
    layered = world.deploy(packages.package({"data": "x"}), runtime="provided.al2023", Layers=layers)
    assert world.invoke(layered).payload == answer.payload
    assert "not enforced" in server.log() or "all of the sandbox is enforced" in server.log()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "firelet-tests", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@as_root
def test_a_full_disk_harms_nothing_stored(small_disk, make_server):
    server = make_server(folder=small_disk).start()
    world = World(server)
    name = world.deploy(HELLO)
    assert world.invoke(name).payload == "one"
    fill(small_disk / "filler")
    large = packages.package({"app.py": "x = 1\n", "data": os.urandom(4 << 20)})
    for _ in range(3):
        error = refusal(world.client.update_function_code, FunctionName=name, ZipFile=large)
        assert (error.status, error.code) == (500, "ServiceException"), error.message
        assert str(small_disk) not in error.message
    refusals = [refusal(world.client.tag_resource, Resource=f"{LAMBDA}{name}", Tags={"a": "b" * 200})]
    assert [(error.status, error.code) for error in refusals] == [(500, "ServiceException")]
    assert world.invoke(name).payload == "one"
    (small_disk / "filler").unlink()
    assert server.stop() == 0
    world = World(server.start())
    assert world.invoke(name).payload == "one"
    assert world.invoke(world.deploy(HELLO)).payload == "one"


def fill(path):
    """Writes until the disk is full."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def test_ctrl_c_ends_the_server_and_its_functions(make_server):
    server = make_server().start()
    world = World(server)
    name = world.deploy(HELLO)
    world.invoke(name)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=20) == 0
    assert not processes_of(name)


def test_arguments_that_make_no_sense_are_explained():
    ended = subprocess.run(
        [BINARY, "serve", "--listn", "x"], capture_output=True, text=True, env=clean_environment(), check=False
    )
    assert ended.returncode == 2
    assert "--listen" in ended.stderr
