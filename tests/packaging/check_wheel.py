"""Builds the sdist, and the wheel from it, and looks whether they are what a user should get.

``python tests/packaging/check_wheel.py FOLDER`` needs ``build`` installed; everything is made in FOLDER.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMOKE = """
import sys, kvpool
pool = kvpool.BlockPool(8, 4)
hashes = kvpool.sequence_hashes(range(12), 4)
filled = pool.register_blocks(pool.allocate_blocks(3), hashes)
filled.release()
assert len(pool.match_sequence_hashes(hashes)) == 3
pool.check_invariants()
assert "site-packages" in kvpool.__file__, kvpool.__file__
print("the installed wheel works:", kvpool.__file__)
"""


def run(*command: str | Path) -> str:
    """Run a command away from the checkout and return what it printed; its error output is shown when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd="/", check=False)
    if done.returncode:
        sys.exit(f"{' '.join(str(part) for part in command)} failed\n{done.stdout}{done.stderr}")
    return done.stdout


def exported(library: Path) -> list[str]:
    """Return the names that a shared library defines for others."""
    lines = run("nm", "-D", "--defined-only", library).splitlines()
    return [line.split()[-1] for line in lines if line.split()]


def problems(wheel: Path, folder: Path) -> list[str]:
    """Return what is wrong with a wheel; it is unpacked into the folder."""
    found = []
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(folder)
    for name in names:
        if name.endswith((".pyx", ".pxd", ".c", ".h", "CMakeLists.txt")):
            found.append(f"{name} is a source")
        if not name.startswith(("kvpool/", "kvpool-")):
            found.append(f"{name} is outside the package")
    if "kvpool/py.typed" not in names:
        found.append("py.typed is missing")
    libraries = [name for name in names if name.endswith(".so")]
    if not libraries:
        found.append("there is no extension module")
    for name in libraries:
        module = Path(name).name.split(".")[0]
        if f"kvpool/_core/{module}.pyi" not in names:
            found.append(f"{module} has no stub")
        if (symbols := exported(folder / name)) != [f"PyInit_{module}"]:
            found.append(f"{name} exports {symbols}")
    return found


def main(work: Path) -> int:
    """Return 0 when sdist and wheel are as they should be."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", work, ROOT)
    (sdist,) = work.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(work)
    unpacked = work / sdist.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", work, unpacked)
    (wheel,) = work.glob("*.whl")
    found = problems(wheel, work / "wheel")
    for problem in found:
        print(f"{wheel.name}: {problem}")
    if found:
        return 1
    venv.create(work / "venv", with_pip=True)
    python = work / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "--only-binary=:all:", wheel)
    print(run(python, "-c", SMOKE), end="")
    for made in (sdist, wheel):
        print(f"{made.name}: {made.stat().st_size:,} bytes, as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
