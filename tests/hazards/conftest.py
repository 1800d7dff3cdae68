"""Where the hazards find the calls that they are tried on."""

import os
import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).parent)


@pytest.fixture
def hazard(run_python, monkeypatch):
    """Run a program that imports every_call, in a fresh interpreter that must end well: the function that does it."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")])))
    return run_python


@pytest.fixture
def calls(monkeypatch):
    """The module every_call."""
    monkeypatch.syspath_prepend(HERE)
    import every_call

    yield every_call
    for name in ("every_call", "memory_calls", "pool_calls", "report_calls", "world"):
        sys.modules.pop(name, None)
