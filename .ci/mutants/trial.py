"""Runs the tests against a change until one of them notices it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mutations import Mutation
from workshop import SYSTEM, Workshop, sha

# Bounds what a change may do to the machine: memory, and the length of a file.
LIMITS = "ulimit -c 0; ulimit -f 4000000; "
PLAIN_MEMORY = "ulimit -v 16000000; "
IDLE = 15  # seconds after which a test that uses no processor counts as one that waits for ever
SANITIZERS = {
    "ASAN_OPTIONS": "verify_asan_link_order=0:allocator_may_return_null=1:max_allocation_size_mb=4096",
    "UBSAN_OPTIONS": "halt_on_error=1",
}


def ticks(process: subprocess.Popen[bytes]) -> str:
    """Give the time of the processor that a process has used; nothing where the system does not say."""
    with contextlib.suppress(OSError):
        return " ".join(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    return ""


def wait(process: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait for a process, but not so long, and not for one that has done nothing for a while."""
    begin = changed = time.monotonic()
    used = ticks(process)
    while True:
        try:
            return process.wait(0.5)
        except subprocess.TimeoutExpired:
            now, before, used = time.monotonic(), used, ticks(process)
            changed = changed if used and used == before else now
            if now - begin > seconds or now - changed > IDLE:
                raise


@dataclass
class Result:
    """What became of a change."""

    outcome: str  # invalid, same, killed, survived
    object_key: str = ""
    killer: str = ""
    how: str = ""
    passed: dict[str, list[str]] = field(default_factory=dict)  # build: tests that did not notice it


class Trial:
    """The tests, what they need without a change, and what is known from earlier runs."""

    def __init__(self, workshop: Workshop, sanitize: bool) -> None:
        self.workshop = workshop
        self.builds = ["plain", "asan"] if sanitize else ["plain"]
        self.lines = workshop.coverage()
        self.farms: queue.Queue[Path] = queue.Queue()
        for number in range(1, workshop.jobs + 1):
            self.farms.put(workshop.farm(number))
        self.costs: dict[str, dict[str, tuple[float, float]]] = {}
        self.memory_path = workshop.place / "results.json"
        self.memory = json.loads(self.memory_path.read_text()) if self.memory_path.is_file() else {}

    def save(self) -> None:
        """Keep the results for the next run."""
        unfinished = self.memory_path.with_suffix(".new")
        unfinished.write_text(json.dumps(dict(self.memory)))
        unfinished.replace(self.memory_path)

    def tests_of(self, mutation: Mutation) -> list[str]:
        """Give the tests that run the line of a change; the file's own first."""
        lines, line = self.lines.get(mutation.path, {}), mutation.line
        while line > 0 and line not in lines:
            line -= 1
        own = f"tests/test_{Path(mutation.path).stem}.c"
        return sorted(lines.get(line, ()), key=lambda test: (test != own, self.cost("plain", test)))

    def cost(self, build: str, test: str) -> tuple[float, float]:
        """Give the seconds of processor and clock that a test takes without a change."""
        with self.workshop.lock:
            if build not in self.costs:
                self.workshop.base(build)
                path = self.workshop.place / build / "costs.json"
                known = json.loads(path.read_text()) if path.is_file() else {}
                for name in self.workshop.tests:
                    key = f"{self.workshop.core_key}:{self.workshop.test_keys[name]}"
                    if known.get(name, [""])[0] != key:
                        known[name] = [key, *self.measure(build, name)]
                path.write_text(json.dumps(known))
                self.costs[build] = {name: (known[name][1], known[name][2]) for name in self.workshop.tests}
            return self.costs[build][test]

    def measure(self, build: str, test: str) -> tuple[float, float]:
        """Run a test that must pass, as nothing is changed."""
        used, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        how = self.run(build, self.workshop.program(build, test), None, (600, 600))
        if how:
            raise SystemExit(f"{test} ({build}) fails without any change: {how}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime, time.monotonic() - begin

    def run(self, build: str, program: Path, library: Path | None, limits: tuple[float, float]) -> str:
        """Run a test; give how it failed, or nothing."""
        script = LIMITS + (PLAIN_MEMORY if build == "plain" else "") + f"ulimit -t {math.ceil(limits[0])}; "
        script += 'export LD_PRELOAD="$1"; exec "$0"' if library else 'exec "$0"'
        with tempfile.TemporaryDirectory(dir=self.workshop.place) as folder, open(os.devnull, "r+b") as nothing:
            process = subprocess.Popen(
                ["sh", "-c", script, str(program), str(library or "")],
                cwd=folder, env=os.environ | SANITIZERS, stdin=nothing, stdout=nothing, stderr=nothing,
                start_new_session=True,
            )  # fmt: skip
            try:
                status = wait(process, limits[1])
            except subprocess.TimeoutExpired:
                return "too long by the clock"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status == 0:
            return ""
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            return "too long"
        return "crash" if status < 0 else "test"

    def limits(self, build: str, test: str) -> tuple[float, float]:
        """Give the seconds of processor and clock after which a test counts as failed."""
        processor, clock = self.cost(build, test)
        return 2 + 5 * processor, 30 + 5 * clock

    def key_of(self, mutation: Mutation) -> str:
        """Give the key under which the result of a change is kept: as long as the file and all headers are the same."""
        headers = [self.workshop.texts[path] for path in self.workshop.headers]
        return sha(*headers, mutation.path, mutation.apply(self.workshop.texts[mutation.path]))

    def stamp(self, test: str) -> str:
        """Give a test with what it is, so that a result is kept only as long as the test is the same."""
        return f"{test}@{self.workshop.test_keys[test]}"

    def look_up(self, mutation: Mutation) -> tuple[Result | None, dict[str, list[str]]]:
        """Give what earlier runs say of a change, and the tests that have not seen it."""
        key = self.key_of(mutation)
        result = Result(**self.memory[key]) if key in self.memory else None
        if result and (result.outcome in ("invalid", "same") or result.killer in map(self.stamp, self.workshop.tests)):
            return result, {}
        tests = self.tests_of(mutation)
        missing = {
            build: [test for test in tests if not result or self.stamp(test) not in result.passed.get(build, [])]
            for build in self.builds
        }
        return result, missing

    def judge(self, mutation: Mutation, may_run: bool) -> Result | None:
        """Find out what becomes of a change, from earlier runs as far as they say; None if it may not and must run."""
        result, missing = self.look_up(mutation)
        if result and not any(missing.values()):
            return result
        if not may_run:
            return None
        farm = self.farms.get()
        try:
            result = self.attempt(mutation, result, missing, farm)
        finally:
            self.farms.put(farm)
        self.memory[self.key_of(mutation)] = asdict(result)
        return result

    def attempt(self, mutation: Mutation, result: Result | None, missing: dict[str, list[str]], farm: Path) -> Result:
        """Compile a change and run the tests that have not seen it yet."""
        with tempfile.TemporaryDirectory(dir=self.workshop.place) as folder:
            work = Path(folder)
            if mutation.path.endswith(".h") and (killed := self.try_own_test(mutation, missing["plain"], farm, work)):
                return killed
            for build in self.builds:
                if not missing[build]:
                    continue
                changed = self.workshop.changed_objects(farm, build, mutation, work)
                if changed is None:
                    return Result("invalid")
                if not changed and build == "plain":
                    return Result("same")
                if build == "plain":
                    contents = [part for unit in sorted(changed) for part in (unit, changed[unit].read_bytes())]
                    result = result or Result("survived", sha(*contents))
                    result.outcome, result.killer, result.how = "survived", "", ""
                killed = self.find_killer(build, missing[build], changed, work, result)
                if killed:
                    test, how = killed
                    result.outcome, result.killer, result.how = "killed", self.stamp(test), f"{how} ({build})"
                    return result
            if self.workshop.changed_objects(farm, "fast", mutation, work) == {}:
                return Result("same")
            return result or Result("survived")

    def try_own_test(self, mutation: Mutation, missing: list[str], farm: Path, work: Path) -> Result | None:
        """Try a header's change in its own source and test first: all that include it take long to compile."""
        stem = Path(mutation.path).stem
        own = [unit for unit in self.workshop.units_of(mutation) if Path(unit).stem.removeprefix("test_") == stem]
        test = f"tests/test_{stem}.c"
        if test not in own or test not in missing:
            return None
        changed = self.workshop.changed_objects(farm, "plain", mutation, work, own)
        if changed is None:
            return Result("invalid")
        killed = self.find_killer("plain", [test], changed, work, Result("survived"))
        contents = [part for unit in sorted(changed) for part in (unit, changed[unit].read_bytes())]
        return Result("killed", sha(*contents), self.stamp(test), f"{killed[1]} (plain)") if killed else None

    def find_killer(
        self, build: str, tests: list[str], changed: dict[str, Path], work: Path, result: Result
    ) -> tuple[str, str] | None:
        """Run tests until one fails; note those that do not."""
        objects = [changed[unit] for unit in changed if unit.startswith("src/")]
        library = work / f"{build}.so"
        if objects:
            self.workshop.link_library(build, objects, library)
        for test in tests:
            program = self.workshop.program(build, test)
            is_static = test == SYSTEM
            if test in changed or is_static:
                program = work / f"{build}-{Path(test).stem}"
                unit = changed.get(test, self.workshop.object(build, test))
                self.workshop.link_test(build, test, unit, program, changed)
            how = self.run(build, program, library if objects and not is_static else None, self.limits(build, test))
            if how:
                return test, how
            passed = result.passed.setdefault(build, [])
            passed.append(self.stamp(test))
        return None
