"""Interpreters without a global lock."""

import subprocess
import sys
import sysconfig

import pytest

CODE = """
import importlib, pkgutil, sys
import kvpool

assert not sys._is_gil_enabled(), "importing kvpool turned the lock on"
for module in pkgutil.walk_packages(kvpool.__path__, "kvpool."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as error:  # of an optional dependency
            assert "kvpool" not in (getattr(error, "name", None) or ""), error
    assert not sys._is_gil_enabled(), f"importing {module.name} turned the lock on"
pool = kvpool.BlockPool(8)
pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
print(sum(name.startswith("kvpool._core.") for name in sys.modules))
"""


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter has a global lock")
def test_no_module_turns_the_global_lock_on():
    result = subprocess.run([sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert int(result.stdout) > 40
