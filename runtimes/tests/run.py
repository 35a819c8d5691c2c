"""Runs all tests of the bootstraps: python3 runtimes/tests/run.py [unittest options]."""

import pathlib
import sys
import unittest

if __name__ == "__main__":
    folder = str(pathlib.Path(__file__).resolve().parent)
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    suite = unittest.defaultTestLoader.discover(folder, top_level_dir=folder)
    result = unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(suite)
    sys.exit(not result.wasSuccessful())
