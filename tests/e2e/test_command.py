"""The commands of the binary besides `serve`."""

import json
import re

import pytest

from support import packages
from support.server import run_firelet

ECHO = packages.python(
    "def handler(event, context):\n    print('seen')\n    if event == 'fail':\n        raise ValueError('no good')\n"
    "    return event\n"
)


@pytest.fixture(scope="module")
def echo(world):
    return world.deploy(ECHO)


@pytest.mark.parametrize("payload", ['{"a": 1}', '"text"', "null"])
def test_invoke_prints_the_answer(server, echo, payload):
    ended = run_firelet("invoke", echo, "--payload", payload, endpoint=server.endpoint)
    assert (ended.returncode, ended.stdout) == (0, payload + "\n")


def test_invoke_prints_the_log_when_asked(server, echo):
    ended = run_firelet("invoke", echo, "--log", endpoint=server.endpoint)
    assert re.match(r"START RequestId: .*\nseen\nEND RequestId: .*\nREPORT RequestId: ", ended.stderr)


def test_invoke_reads_a_file(server, echo, tmp_path):
    (tmp_path / "event.json").write_text('{"from": "file"}')
    ended = run_firelet("invoke", echo, "--payload-file", tmp_path / "event.json", endpoint=server.endpoint)
    assert json.loads(ended.stdout) == {"from": "file"}


def test_invoke_names_a_tenant(server, world):
    source = packages.python("def handler(event, context):\n    return context.tenant_id\n")
    name = world.deploy(source, TenancyConfig={"TenantIsolationMode": "PER_TENANT"})
    done = run_firelet("invoke", name, "--tenant-id", "blue", endpoint=server.endpoint, check=True)
    assert done.stdout == '"blue"\n'


def test_a_failed_function_is_a_failed_command(server, echo):
    ended = run_firelet("invoke", echo, "--payload", '"fail"', endpoint=server.endpoint)
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["errorType"] == "ValueError"


def test_a_missing_function_is_named(server):
    ended = run_firelet("invoke", "missing", endpoint=server.endpoint)
    assert ended.returncode == 1
    assert "Function not found: arn:aws:lambda:us-east-1:000000000000:function:missing" in ended.stderr
    ended = run_firelet("logs", "missing", endpoint=server.endpoint)
    assert (ended.stdout, ended.stderr) == ("", "firelet: missing has not logged anything yet\n")


@pytest.mark.parametrize("command", [("invoke", "x"), ("logs", "x")])
def test_no_server_is_said_in_one_line(command):
    ended = run_firelet(*command, endpoint="http://127.0.0.1:9")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "127.0.0.1:9" in ended.stderr and "firelet serve" in ended.stderr


def test_the_version_is_told():
    assert re.fullmatch(r"firelet \d+\.\d+\.\d+\n", run_firelet("version", check=True).stdout)


def test_the_doctor_says_what_is_enforced():
    text = run_firelet("doctor", check=True).stdout
    assert "Sandbox" in text and "Runtimes" in text
    assert re.search(r"python3\.11 +python:3\.11\.\d+ in /", text)
    assert re.search(r"nodejs20\.x +nodejs:20\.\d+\.\d+ in /", text)


def test_the_doctor_speaks_json():
    report = json.loads(run_firelet("doctor", "--json", check=True).stdout)
    statuses = {item["status"] for item in report["sandbox"]}
    assert statuses <= {"enforced", "limited", "not enforced"}
    assert all(item["status"] == "enforced" or item["why"] for item in report["sandbox"])


@pytest.mark.parametrize("command", ["serve", "invoke", "logs", "environments", "doctor"])
def test_help_teaches(command):
    text = run_firelet(command, "--help", check=True).stdout
    assert "Usage: firelet " + command in text
    assert len(text.splitlines()) >= 8


def test_a_program_for_a_runtime_has_to_be_there(tmp_path):
    ended = run_firelet("serve", "--data-dir", tmp_path / "data", "--runtime", "python3.11=/no/such/program")
    assert ended.returncode == 2
    assert "there is no program /no/such/program" in ended.stderr
