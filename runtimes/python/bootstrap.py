"""Starts a Python function.

Does nothing but hand over to `firelet_runtime.bootstrap`: a script is compiled anew at every start, a module can be cached.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")
    from firelet_runtime import bootstrap

    bootstrap.main(sys.path.pop(0))
