"""The example functions, with packages from PyPI, npm and crates.io."""

import json

import pytest

from support import packages

EXAMPLES = {
    "python-hello": ("python3.11", {"name": "Ada"}, {"message": "Hello, Ada!", "call": 1, "region": "us-east-1"}),
    "python-powertools": ("python3.11", {"name": "Grace"}, {"message": "Hello, Grace!"}),
    "node-hello": ("nodejs20.x", {"span": "3 hours"}, {"milliseconds": 10_800_000, "call": 1}),
    "rust-hello": ("provided.al2023", {"name": "Ferris"}, {"message": "Hello, Ferris!"}),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_answer(world, name):
    runtime, event, expected = EXAMPLES[name]
    function = world.deploy(packages.example(name), name=name, runtime=runtime)
    answer = world.invoke(function, event, tail=True)
    assert answer.error is None, answer
    assert expected.items() <= answer.payload.items()
    assert answer.payload.get("request", answer.request_id) == answer.request_id
    assert answer.payload.get("function", function) == function
    warm = world.invoke(function, event, tail=True)
    assert "Init Duration" in answer.log and "Init Duration" not in warm.log


def test_powertools_logs_with_its_context(world):
    function = world.deploy(packages.example("python-powertools"))
    answer = world.invoke(function, {"name": "Grace"}, tail=True)
    line = json.loads(next(line for line in answer.log.splitlines() if line.startswith("{")))
    assert line["message"] == "greeting"
    assert (line["guest"], line["service"], line["cold_start"]) == ("Grace", "hello", True)
    assert line["function_name"] == function
    assert line["function_memory_size"] == "128"
    assert line["function_request_id"] == answer.request_id
    assert line["xray_trace_id"].startswith("1-")
