"""Rows: requests and their answers as data, and the texts of errors that AWS is known to give."""

import dataclasses

import yaml

from support.server import ROOT

CONFORMANCE = ROOT / "tests/conformance"
FOLDER = CONFORMANCE / "rows"
SHARED = FOLDER / "shared.yaml"
STEP_KEYS = {"call", "with", "account", "until", "before", "beside", "status", "error", "headers", "body"}


@dataclasses.dataclass
class Case:
    """Steps in an account of their own."""

    family: str
    name: str
    steps: list

    def __str__(self):
        return f"{self.family}: {self.name}"


def read(path):
    """The cases of a file, which may use the anchors of the shared one."""
    content = yaml.safe_load(SHARED.read_text() + path.read_text())
    return [Case(path.stem, case["case"], list(flat(case["steps"]))) for case in content["cases"]]


def flat(steps):
    """Steps without the lists that group them."""
    for step in steps:
        if isinstance(step, list):
            yield from flat(step)
        else:
            assert step.keys() <= STEP_KEYS, f"a step has {step.keys() - STEP_KEYS}"
            yield step


FILES = sorted(path for path in FOLDER.glob("*.yaml") if path != SHARED)
CASES = [case for path in FILES for case in read(path)]
TEXTS = yaml.safe_load((CONFORMANCE / "texts.yaml").read_text())
