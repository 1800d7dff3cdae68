"""Which implementation, and in which interpreter: `kvpool`, `kvpool@<revision>`, `vllm@/path/to/python`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from peers import PEERS

__all__ = ["Implementation"]

ROOT = Path(__file__).parents[2]


class Implementation:
    """The name of an adapter, and the interpreter that has the implementation.

    Parameters
    ----------
    text : str
        A name; after an `@`, the path of an interpreter or, for kvpool, a git revision.
    folder : Path
        Where a revision is built.
    """

    def __init__(self, text: str, folder: Path) -> None:
        self.text = text
        self.name, _, where = text.partition("@")
        if self.name not in PEERS:
            raise ValueError(f"{self.name!r} is not one of {', '.join(PEERS)}")
        if not where:
            self.python = sys.executable
        elif Path(where).is_file():
            self.python = str(Path(where).absolute())
        elif self.name == "kvpool":
            self.python = str(_build(where, folder))
        else:
            raise ValueError(f"{where!r} is not an interpreter")


def _build(revision: str, folder: Path) -> Path:
    """Build the wheel of a revision and install it into an environment of its own; return the interpreter."""
    sources, wheels, environment = (folder / part for part in ("sources", "wheels", "environment"))
    sources.mkdir(parents=True)
    commit = _run("git", "-C", ROOT, "rev-parse", "--verify", f"{revision}^{{commit}}").strip()
    archive = folder / "sources.tar"
    _run("git", "-C", ROOT, "archive", "-o", archive, commit)
    _run("tar", "-xf", archive, "-C", sources)
    _run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    _run(python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, sources)
    _run(python, "-m", "pip", "install", "-q", *wheels.glob("*.whl"))
    return python


def _run(*command: object) -> str:
    """Run a command; raise `ValueError` with the last line of what it says when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise ValueError(f"{Path(str(command[0])).name} failed: {said[-1]}")
    return done.stdout
