"""Runs the examples in the docstrings of the installed package, compiled modules included."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import sys

import kvpool


def main() -> int:
    """Return 0 when all examples give what they say."""
    attempted = failed = 0
    for module in pkgutil.walk_packages(kvpool.__path__, "kvpool."):
        if module.name.endswith("__main__"):
            continue
        results = doctest.testmod(importlib.import_module(module.name))
        attempted += results.attempted
        failed += results.failed
    print(f"doctests: {attempted - failed} passed, {failed} failed")
    return 1 if failed or not attempted else 0


if __name__ == "__main__":
    sys.exit(main())
