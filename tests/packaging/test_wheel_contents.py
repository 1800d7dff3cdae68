"""What is installed is what a user should get; check_wheel.py asks more, of a wheel that it builds."""

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("check_wheel.py")


@pytest.fixture(scope="module")
def check_wheel():
    spec = importlib.util.spec_from_file_location("check_wheel", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def installed():
    files = importlib.metadata.files("kvpool") or []
    paths = {str(path): Path(path.locate()) for path in files}
    if not any(name.startswith("kvpool/") and name.endswith(".so") for name in paths):
        pytest.skip("an editable install holds no files")
    return paths


def test_no_source_is_installed(installed):
    sources = (".pyx", ".pxd", ".c", ".h", "CMakeLists.txt")
    assert [name for name in installed if name.endswith(sources)] == []


def test_the_package_says_that_it_is_typed(installed):
    assert "kvpool/py.typed" in installed


def test_every_extension_module_has_its_stub_and_exports_its_init_alone(installed, check_wheel):
    libraries = [name for name in installed if name.endswith(".so")]
    assert libraries
    for name in libraries:
        module = Path(name).name.split(".")[0]
        assert f"kvpool/_core/{module}.pyi" in installed
        assert check_wheel.exported(installed[name]) == [f"PyInit_{module}"]


def test_the_licences_of_what_is_built_in_come_along(installed):
    licences = [name for name in installed if "/licenses/" in name]
    assert any(name.endswith("licenses/LICENSE") for name in licences)
    assert any("xxhash" in name for name in licences)
