"""The other end of a worker."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from runner.case import Case
from runner.implementation import Implementation

__all__ = ["Worker"]

START_SECONDS = 300.0


class Worker:
    """A process that measures one implementation, started anew when it ends or is too slow."""

    def __init__(self, implementation: Implementation) -> None:
        self.implementation = implementation
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        self._start()

    def measure(self, case: Case, seconds: float, timeout: float) -> dict[str, Any]:
        """Return what the worker answers, or why it does not."""
        if self._process.poll() is not None:
            self._start()
        if self.absent:
            return {"error": self.absent}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"case": case.as_dict(), "seconds": seconds}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._answer(timeout)
        if "gone" in answer:
            self.stop()
            answer = {"error": answer["gone"]}
        return answer

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [self.implementation.python, "-m", "runner.worker", self.implementation.name],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        self._rest = b""
        first = self._answer(START_SECONDS)
        self.version: str = first.get("version", "")
        self.absent: str = first.get("absent") or first.get("gone", "")

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        while b"\n" not in self._rest:
            ready, _, _ = select.select([file], [], [], timeout)
            if not ready:
                return {"gone": f"no answer in {timeout:.0f} s"}
            read = os.read(file, 65536)
            if not read:
                return {"gone": f"ended: {self._last_error()}"}
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"
