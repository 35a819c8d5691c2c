"""Deployment packages made in memory."""

import io
import os
import pathlib
import zipfile

from support.server import ROOT

EXAMPLES = pathlib.Path(os.environ.get("FIRELET_EXAMPLES", ROOT / "target/examples"))


def package(files):
    """A zip of `files`: name to text or bytes; a name `bootstrap` can be executed."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name == "bootstrap" else 0o100644) << 16
            archive.writestr(entry, data)
    return content.getvalue()


def python(source):
    return package({"app.py": source})


def node(source):
    return package({"index.mjs": source})


def example(name):
    """The zip of an example function; `cargo xtask examples` builds it."""
    return (EXAMPLES / f"{name}.zip").read_bytes()


def padded(size):
    """A zip of `size` bytes."""
    return stored(size - len(stored(0)))


def stored(size):
    """A zip of one file of `size` bytes, which is not made smaller."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("padding", bytes(size))
    return content.getvalue()


# What rows call packages by.
NAMED = {
    "hello": lambda: python("def handler(event, context):\n    return 'hello'\n"),
    "other": lambda: python("def handler(event, context):\n    return 'other'\n"),
    "broken": lambda: python("raise ValueError('failed')\n"),
    "slow to begin": lambda: python("import time\ntime.sleep(3)\ndef handler(event, context):\n    return 'hello'\n"),
    "slow to restore": lambda: python(
        "import snapshot_restore_py, time\n"
        "snapshot_restore_py.register_after_restore(time.sleep, 20)\n"
        "def handler(event, context):\n    pass\n"
    ),
    "failing": lambda: python("def handler(event, context):\n    raise ValueError('failed')\n"),
    "one byte above the limit of a zip": lambda: padded(50 * 1024 * 1024 + 1),
    "above the limit of a request": lambda: padded(52_700_000),
    "above the limit once it is unpacked": lambda: package({"padding": bytes(262_144_001)}),
}
