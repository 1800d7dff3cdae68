"""Builds the core, its tests and changed sources, and knows which test runs which line."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutations import Mutation, inline_functions, tokens_of

COMPILER = os.environ.get("CC", "gcc")
COMMON = ["-std=gnu11", "-DKVP_CHECK=1", "-ffp-contract=off", "-fPIC", "-w", "-pthread"]
COMMON += ["-Isrc", "-Isrc/policies", "-Iinclude", "-Ithird_party/xxhash", "-Ithird_party/dlpack"]
STRICT = ["-Werror=implicit-function-declaration", "-Werror=int-conversion", "-Werror=incompatible-pointer-types"]
FLAGS = {
    "plain": ["-O1"],
    "fast": ["-O2"],
    "asan": ["-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
}
COVERAGE = ["-O0", "--coverage"]
# Compiled once more into a test of its own, with a switch for failing allocations.
OWN_MEMORY = "tests/test_allocation_failure.c"
# Linked with the objects themselves, so that it comes between them and the system; the calls are in CMakeLists.txt.
SYSTEM = "tests/test_system_failure.c"


def sha(*parts: str | bytes) -> str:
    """Give a short hash of all the parts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command and keep what it says."""
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False)


def must(command: list[str], cwd: Path) -> bytes:
    """Run a command that may not fail."""
    done = run(command, cwd)
    if done.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)}\n{done.stderr.decode(errors='replace')}")
    return done.stdout


class Workshop:
    """The core as it is, in the builds that are asked for, and places in which to change a source of it."""

    def __init__(self, csrc: Path, place: Path, jobs: int) -> None:
        self.csrc, self.place, self.jobs = csrc, place, jobs
        self.sources = sorted(str(path.relative_to(csrc)) for path in csrc.glob("src/**/*.c"))
        self.headers = sorted(str(path.relative_to(csrc)) for path in csrc.glob("src/**/*.h"))
        self.headers += sorted(str(path.relative_to(csrc)) for path in csrc.glob("include/kvp/*.h"))
        self.tests = sorted(str(path.relative_to(csrc)) for path in csrc.glob("tests/test_*.c"))
        self.texts = {path: (csrc / path).read_text() for path in self.sources + self.headers + self.tests}
        fixtures = "".join(path.read_text() for path in sorted(csrc.glob("tests/*.h")))
        version = must([COMPILER, "--version"], csrc).decode()
        core = [self.texts[path] for path in self.sources + self.headers]
        self.core_key = sha(version, *COMMON, *(" ".join(flags) for flags in FLAGS.values()), *core)
        self.test_keys = {path: sha(self.texts[path], fixtures) for path in self.tests}
        calls = re.search(r"foreach\(call IN ITEMS ([^)]*)\)", (csrc / "tests" / "CMakeLists.txt").read_text())
        self.wrapped = [f"-Wl,--wrap={call}" for call in calls[1].split()] if calls else []
        self.deps: dict[str, list[str]] = {}
        self.hashes: dict[tuple[str, str], str] = {}
        self.users: dict[tuple[str, str], list[str]] = {}
        self.built: set[str] = set()
        self.lock = threading.RLock()
        place.mkdir(parents=True, exist_ok=True)

    def each(self, function, items) -> list:
        """Call a function for all items, on all processors."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(function, items))

    def farm(self, number: int) -> Path:
        """Give a copy of the tree made of links, in which one worker may replace a file."""
        farm = self.place / f"farm{number}"
        shutil.rmtree(farm, ignore_errors=True)
        for path in self.csrc.rglob("*.[ch]"):
            link = farm / path.relative_to(self.csrc)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
        return farm

    def compile(self, farm: Path, build: str, unit: str, target: Path) -> bool:
        """Compile a source or a test; False when it does not compile."""
        return run([COMPILER, *COMMON, *STRICT, *FLAGS[build], "-c", unit, "-o", str(target)], farm).returncode == 0

    def base(self, build: str) -> Path:
        """Give the folder with the unchanged objects, the library and the tests of a build, made at first use."""
        folder = self.place / build
        with self.lock:
            if build in self.built:
                return folder
            folder.mkdir(exist_ok=True)
            farm = self.farm(0)
            stamps_path = folder / "stamps.json"
            stamps = json.loads(stamps_path.read_text()) if stamps_path.is_file() else {}

            def make(unit: str) -> None:
                key = sha(self.core_key, self.test_keys.get(unit, ""))
                if stamps.get(unit) != key:
                    if not self.compile(farm, build, unit, self.object(build, unit)):
                        raise SystemExit(f"{unit} does not compile")
                    if unit in self.tests:
                        self.link_test(build, unit, self.object(build, unit), self.program(build, unit))
                stamps[unit] = key
                self.hashes[build, unit] = sha(self.object(build, unit).read_bytes())

            self.each(make, self.sources)
            if stamps.get("library") != self.core_key:
                self.link_library(build, [self.object(build, unit) for unit in self.sources], folder / "libkvp.so")
                stamps["library"] = self.core_key
            if build != "fast":
                self.each(make, self.tests)
            stamps_path.write_text(json.dumps(stamps))
            self.built.add(build)
        return folder

    def object(self, build: str, unit: str) -> Path:
        """Where the unchanged object of a source or a test is."""
        return self.place / build / (unit.replace("/", "_") + ".o")

    def program(self, build: str, test: str) -> Path:
        """Where the program of a test is."""
        return self.place / build / Path(test).stem

    def link_library(self, build: str, objects: list[Path], target: Path) -> None:
        """Link objects into a library that goes before the core's."""
        must([COMPILER, *FLAGS[build], "-shared", "-pthread", *map(str, objects), "-o", str(target)], self.place)

    def link_test(
        self, build: str, test: str, unit: Path, target: Path, changed: dict[str, Path] | None = None
    ) -> None:
        """Link a test against the library of the core, or with its objects, some of which may be changed."""
        folder, objects = self.place / build, [str(unit)]
        if test == SYSTEM:
            objects += [str((changed or {}).get(source, self.object(build, source))) for source in self.sources]
            must([COMPILER, *FLAGS[build], "-pthread", *objects, *self.wrapped, "-o", str(target)], self.place)
            return
        if test == OWN_MEMORY:
            memory = folder / "refusing_memory.o"
            switch = ["-include", "tests/refusal.h", "-c", "src/memory.c", "-o", str(memory)]
            must([COMPILER, *COMMON, *FLAGS[build], *switch], self.csrc)
            objects.append(str(memory))
        library = [f"-L{folder}", "-lkvp", f"-Wl,-rpath,{folder}"]
        must([COMPILER, *FLAGS[build], "-pthread", *objects, *library, "-o", str(target)], self.place)

    def units_of(self, mutation: Mutation) -> list[str]:
        """Give the sources and tests that must be compiled to see a change."""
        if mutation.path.endswith(".c"):  # a test may have its subject's source in it
            return [mutation.path] + [test for test in self.tests if mutation.path in self.dependencies(test)]
        function = self.function_at(mutation)
        with self.lock:
            if (mutation.path, function) not in self.users:
                self.users[mutation.path, function] = self.users_of(mutation.path, function)
            return self.users[mutation.path, function]

    def function_at(self, mutation: Mutation) -> str:
        """Give the function of a header that a change is in."""
        text = self.texts[mutation.path]
        places = [(text.find(f"{name}("), name) for name in inline_functions(text)]
        return max(place for place in places if place[0] <= mutation.start)[1]

    def users_of(self, header: str, function: str) -> list[str]:
        """Give who uses a function of a header, itself or through functions of headers that use it."""
        names, inlines = {function}, {}
        for path in self.headers:
            inlines |= inline_functions(self.texts[path])
        while more := {name for name, words in inlines.items() if words & names} - names:
            names |= more
        macros = {
            match[1]
            for path in self.headers
            for match in re.finditer(r"#define (\w+)((?:[^\n]*\\\n)*[^\n]*)", self.texts[path])
            if any(name in match[2] for name in names)
        }
        units = []
        for unit in self.sources + self.tests:
            if header in self.dependencies(unit):
                words = {token.text for token in tokens_of(self.texts[unit])}
                if words & (names | macros) or (unit in self.tests and self.fixtures_mention(unit, names | macros)):
                    units.append(unit)
        return units

    def fixtures_mention(self, test: str, names: set[str]) -> bool:
        """Whether what a test includes from its own folder uses one of the names."""
        included = [path for path in self.dependencies(test) if path.startswith("tests/") and path.endswith(".h")]
        return any({token.text for token in tokens_of((self.csrc / path).read_text())} & names for path in included)

    def dependencies(self, unit: str) -> list[str]:
        """Give the files that a source or a test includes."""
        if unit not in self.deps:
            text = must([COMPILER, *COMMON, "-MM", unit], self.csrc).decode()
            words = text.replace("\\\n", " ").split()[1:]
            self.deps[unit] = [os.path.normpath(word) for word in words]
        return self.deps[unit]

    def changed_objects(
        self, farm: Path, build: str, mutation: Mutation, work: Path, units: list[str] | None = None
    ) -> dict[str, Path] | None:
        """Compile a change; give the objects that differ from the unchanged ones, None when it does not compile."""
        self.base(build)
        units = units or self.units_of(mutation)
        for unit in units:
            if (build, unit) not in self.hashes:  # a test, in a build that runs none
                self.compile(farm, build, unit, work / "unchanged.o")
                self.hashes[build, unit] = sha((work / "unchanged.o").read_bytes())
        place = farm / mutation.path
        place.unlink()
        place.write_text(mutation.apply(self.texts[mutation.path]))
        try:
            changed = {}
            for unit in units:
                target = work / (unit.replace("/", "_") + ".o")
                if not self.compile(farm, build, unit, target):
                    return None
                if sha(target.read_bytes()) != self.hashes[build, unit]:
                    changed[unit] = target
            return changed
        finally:
            place.unlink()
            place.symlink_to(self.csrc / mutation.path)

    def coverage(self) -> dict[str, dict[int, set[str]]]:
        """Give for each file and line the tests that run it."""
        folder = self.place / "coverage"
        folder.mkdir(exist_ok=True)
        stamps_path = folder / "stamps.json"
        stamps = json.loads(stamps_path.read_text()) if stamps_path.is_file() else {}
        if stamps.get("core") != self.core_key:
            objects = self.each(lambda unit: self.instrument(folder, unit), self.sources)
            (folder / "libkvp.a").unlink(missing_ok=True)
            must(["ar", "rcs", str(folder / "libkvp.a"), *map(str, objects)], folder)
            stamps = {"core": self.core_key}

        def lines(test: str) -> dict[str, list[int]]:
            path = folder / f"{Path(test).stem}.lines.json"
            if stamps.get(test) == self.test_keys[test]:
                return json.loads(path.read_text())
            found = self.lines_run_by(folder, test)
            path.write_text(json.dumps(found))
            stamps[test] = self.test_keys[test]
            return found

        runs: dict[str, dict[int, set[str]]] = {}
        for test, found in zip(self.tests, self.each(lines, self.tests), strict=True):
            for path, numbers in found.items():
                for number in numbers:
                    who = runs.setdefault(path, {}).setdefault(abs(number), set())
                    if number > 0:
                        who.add(test)
        stamps_path.write_text(json.dumps(stamps))
        return runs

    def instrument(self, folder: Path, unit: str) -> Path:
        """Compile a source with counters of its lines."""
        target = folder / (unit.replace("/", "_") + ".o")
        must([COMPILER, *COMMON, *COVERAGE, "-c", unit, "-o", str(target)], self.csrc)
        return target

    def lines_run_by(self, folder: Path, test: str) -> dict[str, list[int]]:
        """Run a test that counts its lines; give those of the core that it ran, and with a minus the others."""
        program, counts = folder / Path(test).stem, folder / f"{Path(test).stem}.counts"
        objects = [self.instrument(folder, test)]
        if test == OWN_MEMORY:
            objects.append(folder / "refusing_memory.o")
            switch = ["-include", "tests/refusal.h", "-c", "src/memory.c", "-o", str(objects[1])]
            must([COMPILER, *COMMON, *COVERAGE, *switch], self.csrc)
        wrapped = self.wrapped if test == SYSTEM else []
        library = [f"-L{folder}", "-lkvp"]
        must([COMPILER, "--coverage", "-pthread", *map(str, objects), *library, *wrapped, "-o", str(program)], folder)
        shutil.rmtree(counts, ignore_errors=True)
        counts.mkdir()
        for target in [*objects, *(folder / (unit.replace("/", "_") + ".o") for unit in self.sources)]:
            (counts / target.with_suffix(".gcno").name).symlink_to(target.with_suffix(".gcno"))
        depth = str(len(folder.resolve().parts) - 1)
        environment = os.environ | {"GCOV_PREFIX": str(counts), "GCOV_PREFIX_STRIP": depth}
        done = subprocess.run([program], cwd=counts, env=environment, capture_output=True, timeout=600, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{test} fails without any change:\n{done.stderr.decode(errors='replace')}")
        written = [str(path) for path in counts.glob("*.gcda")]
        text = must([os.environ.get("GCOV", "gcov"), "-j", "-t", *written], counts)
        found: dict[str, set[int]] = {}
        for document in text.decode().splitlines():
            for file in json.loads(document)["files"]:
                path = os.path.relpath(os.path.normpath(self.csrc / file["file"]), self.csrc)
                numbers = found.setdefault(path, set())
                numbers |= {line["line_number"] * (1 if line["count"] else -1) for line in file["lines"]}
        shutil.rmtree(counts)
        return {
            path: sorted(number for number in numbers if number > 0 or -number not in numbers)
            for path, numbers in found.items()
            if path in self.texts
        }
