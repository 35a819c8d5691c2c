"""What rows there are: every operation that is served and every text that is known of AWS has one.

`without-row.txt` lists those that have none, with reasons. The list may only shrink.
"""

import re

from support.operations import IMPLEMENTED
from support.rows import CASES, CONFORMANCE, TEXTS
from support.template import PLACEHOLDER

# How many lines of `without-row.txt` there are. It goes down with them and never up: what is new comes with its row.
LISTED = 5

FUNCTION = r"(?:<lambda>|arn:aws:lambda:[^: ]+:[^: ]+):function:[^: ]+"
STEPS = [step for case in CASES for step in case.steps if step.keys() & {"status", "error", "body"}]
ANY = "any"


def known():
    """What should have a row: operations, and texts with the operation that gives them."""
    yield from (f"operation | {name}" for name in IMPLEMENTED)
    for text in TEXTS:
        for operation in text.get("operations", [ANY]):
            yield f"{text['error']} | {operation} | {text['text']}"


def covered():
    """What has a row."""
    for step in STEPS:
        if "error" not in step and step["status"] < 300:
            yield f"operation | {step['call']}"
    for text in TEXTS:
        pattern = re.compile(expression(text["text"]), re.DOTALL)
        refused = [step for step in STEPS if step.get("error") == text["error"] and says(step, pattern)]
        for operation in text.get("operations", [ANY]):
            if any(operation in (ANY, step["call"]) for step in refused):
                yield f"{text['error']} | {operation} | {text['text']}"


def expression(text):
    """What accepts a text of the catalogue, placeholders filled."""
    parts = PLACEHOLDER.split(text or "")
    for index, part in enumerate(parts):
        if index % 2 == 0:
            parts[index] = re.escape(part)
        else:
            parts[index] = FUNCTION if part == "function" else ".+"
    return "".join(parts)


def says(step, pattern):
    body = step["body"]
    message = body.get("message", body.get("Message"))
    return bool(pattern.fullmatch(message or ""))


def listed():
    """The lines of `without-row.txt`, without their reasons."""
    lines = (CONFORMANCE / "without-row.txt").read_text().splitlines()
    return [line.rpartition(" | ")[0] for line in lines if line and not line.startswith("#")]


def test_what_is_known_has_a_row_or_is_listed():
    assert sorted(set(known()) - set(covered()) - set(listed())) == []


def test_what_has_a_row_is_not_listed():
    assert sorted(set(covered()) & set(listed())) == []


def test_only_what_is_known_is_listed_once():
    lines = listed()
    assert [line for line in lines if line not in set(known()) or lines.count(line) > 1] == []


def test_the_list_only_shrinks():
    assert len(listed()) == LISTED
