"""The AWS SDK for JavaScript v3, unmodified, against firelet."""

import os
import pathlib
import subprocess

from support import packages
from support.server import ROOT, clean_environment

SCRIPT = pathlib.Path(__file__).with_name("node") / "lambda.test.mjs"


def test_a_function_lives_its_life(server, tmp_path):
    (tmp_path / "function.zip").write_bytes(
        packages.node("export const handler = async (event, context) => ({ ...event, from: context.functionName });\n")
    )
    modules = os.environ.get("FIRELET_NODE_MODULES", ROOT / "target/tests/node/node_modules")
    ended = subprocess.run(
        ["node", "--test", SCRIPT],
        env=clean_environment()
        | {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "FIRELET_NODE_MODULES": str(modules),
            "FIRELET_PACKAGE": str(tmp_path / "function.zip"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "# pass 5" in ended.stdout
