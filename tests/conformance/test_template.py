"""What rows accept and what they do not."""

import pytest

from support.template import Names

UUID = "11111111-2222-3333-4444-555555555555"

ROWS = [
    ({"A": 1}, {"A": 1}, []),
    ({"A": 1}, {}, ["body lacks A"]),
    ({}, {"A": 1}, ["body has A: 1"]),
    ({"A": 1}, {"A": True}, ["body.A is True, not 1"]),
    ({"A": "1"}, {"A": 1}, ["body.A is 1, not '1'"]),
    ({"A": None}, {"A": "x"}, ["body.A is 'x', not None"]),
    (["a", "b"], ["b", "a"], ["body[0] is 'b', not 'a'", "body[1] is 'a', not 'b'"]),
    (["a"], [], ["body has 0 items, not 1: []"]),
    ("a.c", "abc", ["body is 'abc', not 'a.c'"]),
    ("x-<uuid>", f"x-{UUID}", []),
    ("<uuid>", f"x-{UUID}", [f"body is 'x-{UUID}', not '<uuid>'"]),
    ("<number>", 1.5, []),
    ("<number>", "one", ["body is 'one', not '<number>'"]),
    ("<text>", {}, ["body is {}, not '<text>'"]),
    ("<a*3>", "aaa", []),
    ("<known>", "seven", []),
    ("<known>", "eight", ["body is 'eight', not '<known>'"]),
    ("<new:known>", "seven", ["body is 'seven', not '<new:known>'"]),
    (["<save:one:uuid>", "<one>"], [UUID, UUID], []),
    (["<save:one>", "<one>"], [1, 2], ["body[1] is 2, not '<one>'"]),
    ({"$json": {"A": "<known>"}}, '{"A": "seven"}', []),
    ({"$json": {"A": 1}}, "{", ["body is '{', not JSON"]),
    ({"<known>": 1}, {"seven": 1}, []),
]


@pytest.mark.parametrize(("expected", "actual", "differences"), ROWS, ids=str)
def test_values_are_compared_whole(expected, actual, differences):
    assert Names(known="seven").differences(expected, actual) == differences


def test_names_are_filled_in():
    names = Names(known="seven", content=b"\0")
    filled = names.fill({"<known>": ["<known>-<b*2>", 1, "<content>"]})
    assert filled == {"seven": ["seven-bb", 1, b"\0"]}
