"""What the tests run of the C core, and what they do not.

    python .ci/coverage.py          lines, branches and MC/DC of csrc/src and csrc/include
    python .ci/coverage.py pyx      lines of src/kvpool/_core/*.pyx, in the environment of this Python

The first builds the C tests with clang's own counters, runs them, lists what none of them reached, and writes pages to
build/coverage/c/html. A function in a header counts once for all files that include it; a branch in a macro counts once
for each place where the macro stands. The second installs the package with gcov's counters and runs the Python tests
but for those of the slowest parts; a line counts if code was made for it. Both fail below the gates. `--shown 0` leaves
out the list; `--again` reports what was counted before.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GATES = {"lines": 100.0, "branches": 95.0, "MC/DC": 90.0}
PYX_GATES = {"lines": 95.0}
CORE = ROOT / "src" / "kvpool" / "_core"

# Folders of tests that call the core in every way that it has; the others look at it from further away.
PYX_TESTS = ["core", "sequences", "hashing", "tokens", "views", "storage", "events", "persistence", "policies", "aio"]
PYX_TESTS += ["prefetch", "progress", "pressure", "metrics", "security", "threads", "reference"]
# A process that is killed, or may write little, leaves half of its counters behind: they cannot be read any more.
PYX_LEFT_OUT = "not kill and not limit_on_the_size"
NO_TOOLS = 3  # status
NEWEST, OLDEST = 30, 18  # of clang; 18 is the first that counts conditions

# Of llvm-cov's export: a region that is the expansion of a macro, and a branch that is a condition of a decision.
EXPANSION, CONDITION = 1, 6


def run(*command, **settings):
    """Run a command, or end with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def can_count(clang):
    """Whether the library that counts is there: Debian has it in a package of its own."""
    command = [clang, "-fprofile-instr-generate", "-fcoverage-mapping", "-x", "c", "-", "-o", os.devnull]
    return subprocess.run(command, input="int main(void) { return 0; }", capture_output=True, text=True).returncode == 0


def find_tools():
    """Clang and the two tools of the same version; None where there are none."""
    for suffix in [f"-{version}" for version in range(NEWEST, OLDEST - 1, -1)] + [""]:
        tools = [shutil.which(name + suffix) for name in ("clang", "llvm-profdata", "llvm-cov")]
        if all(tools):
            version = re.search(r"clang version (\d+)", run(tools[0], "--version"))
            if version and int(version[1]) >= OLDEST and can_count(tools[0]):
                return tools
    return None


def run_c_tests(work, tools):
    """Build and run the C tests, each with counters of its own."""
    clang, profdata, _ = tools
    build, raw = work / "build", work / "raw"
    run("cmake", "-S", ROOT / "csrc", "-B", build, f"-DCMAKE_C_COMPILER={clang}", "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_C_FLAGS_DEBUG=-O1", "-DKVP_COVERAGE=ON", "-DKVP_WERROR=ON")  # fmt: skip
    run("cmake", "--build", build, "-j2")
    shutil.rmtree(raw, ignore_errors=True)
    environment = {**os.environ, "LLVM_PROFILE_FILE": str(raw / "%m.profraw")}
    run("ctest", "--test-dir", build, "--output-on-failure", "--no-tests=error", "-j2", env=environment)
    run(profdata, "merge", "-o", work / "all.profdata", *raw.glob("*.profraw"))


def read_c(work, cov):
    """Read the counters: llvm-cov's export, and the lines as (path, line) -> times run. Writes the pages as well."""
    merged = work / "all.profdata"
    tests = sorted((work / "build" / "tests").glob("test_*"))
    programs = [path for path in tests if path.is_file() and os.access(path, os.X_OK)]
    common = [f"-instr-profile={merged}", "-ignore-filename-regex=csrc/(tests|third_party)/"]
    common += [f"-object={path}" for path in programs]
    run(cov, "show", "-format=html", f"-output-dir={work / 'html'}", "-show-branches=count", "-show-mcdc", *common)
    export = json.loads(run(cov, "export", *common))["data"][0]
    lines, path = {}, None
    for record in run(cov, "export", "-format=lcov", *common).splitlines():
        if record.startswith("SF:"):
            path = record[3:]
        elif record.startswith("DA:"):
            number, count = record[3:].split(",")[:2]
            lines[path, int(number)] = int(count)
    return export, lines


def places_of(function):
    """For each file of a function's regions, which are its own and those of macros: where that stands in its own."""
    found = {0: ()}
    expansions = {region[6]: region for region in function["regions"] if region[7] == EXPANSION}

    def place(number):
        if number not in found:
            region = expansions[number]
            found[number] = (*place(region[5]), tuple(region[:2]))
        return found[number]

    return {number: place(number) for number in [0, *expansions]}


def branches_of(export):
    """(path, line, what it is) -> [taken, not taken], each over all copies of the function."""
    branches = defaultdict(lambda: [0, 0])
    for function in export["functions"]:
        path, places, seen = function["filenames"][0], places_of(function), defaultdict(int)
        for branch in function["branches"]:
            if branch[6] not in places:
                continue
            chain = places[branch[6]]
            key = (path, (chain[0] if chain else branch)[0], (chain, tuple(branch[:4])))
            seen[key] += 1
            counts = branches[(*key[:2], (key[2], seen[key]))]
            counts[0] += branch[4]
            counts[1] += branch[5]
    return branches


def decisions_of(export):
    """(path, line, what it is) -> whether each condition was shown to decide alone, over all copies."""
    decisions = {}
    for function in export["functions"]:
        path, places, seen = function["filenames"][0], places_of(function), defaultdict(int)
        # A decision in a macro does not say which of its expansions it is; their conditions do, in the same order.
        in_macros = defaultdict(list)
        for branch in function["branches"]:
            if branch[8] == CONDITION and places.get(branch[6]) and branch[6] not in in_macros[tuple(branch[:4])]:
                in_macros[tuple(branch[:4])].append(branch[6])
        for record in function["mcdc_records"]:
            location, conditions = tuple(record[:4]), record[-1]
            nth, expansions = seen[location], in_macros.get(location)
            seen[location] += 1
            is_macro = expansions is not None and nth < len(expansions)
            line = places[expansions[nth]][0][0] if is_macro else location[0]
            key = (path, line, (location, nth))
            before = decisions.get(key, [False] * len(conditions))
            decisions[key] = [was or now for was, now in zip(before, conditions, strict=True)]
    return decisions


def is_in_core(path):
    """Whether the file is of the core itself, not of its tests or of others."""
    return Path(path).parent in {ROOT / "csrc/src", ROOT / "csrc/src/policies", ROOT / "csrc/include/kvp"}


def findings_of_c(export, lines):
    """Each thing that can be covered, as (path, line, kind, how much of it is, how much there is, what is missing)."""
    for (path, line), count in lines.items():
        yield path, line, "lines", count > 0, 1, "lines"
    for (path, line, _), (taken, other) in branches_of(export).items():
        what = "always" if taken else "never" if other else "not reached"
        yield path, line, "branches", (taken > 0) + (other > 0), 2, f"branches: {what}"
    for (path, line, _), conditions in decisions_of(export).items():
        lacking = ", ".join(str(number) for number, is_shown in enumerate(conditions, 1) if not is_shown)
        yield path, line, "MC/DC", sum(conditions), len(conditions), f"MC/DC: condition {lacking} of {len(conditions)}"


def run_pyx_tests(work):
    """Install the package with counters, and run the tests of the parts that are close to it."""
    build = work / "build"
    run(sys.executable, "-m", "pip", "install", "-q", f"{ROOT}[test]", "-Ccmake.build-type=Debug",
        "-Ccmake.define.KVP_PYX_COVERAGE=ON", "-Ccmake.define.KVP_LTO=OFF", "-Ccmake.define.CMAKE_C_FLAGS_DEBUG=-O0",
        cwd=ROOT, env={**os.environ, "SKBUILD_BUILD_DIR": str(build)})  # fmt: skip
    for counters in build.rglob("*.gcda"):
        counters.unlink()
    folders = [f"tests/{name}" for name in PYX_TESTS]
    print(run(sys.executable, "-m", "pytest", "-q", "-k", PYX_LEFT_OUT, *folders, cwd=ROOT).splitlines()[-1])


def findings_of_pyx(work):
    """Of each line that Cython made code for: whether any of it ran."""
    for path in sorted(CORE.glob("*.pyx")):
        name = path.stem
        source = work / "build/src/kvpool/_core" / f"{name}.c"
        # gcov goes on counting behind a marker that has code of several lines: only lines that are named count.
        marker = re.compile(rf'^#line (\d+) "kvpool/_core/{name}\.pyx"', re.MULTILINE)
        named = {int(number) for number in marker.findall(source.read_text())}
        counts = defaultdict(int)
        for counters in (work / "build").rglob(f"{name}.c.gcda"):
            told = json.loads(run("gcov", "--json-format", "--stdout", counters.name, cwd=counters.parent))
            for file in told["files"]:
                if file["file"].endswith(f"kvpool/_core/{name}.pyx"):
                    for line in file["lines"]:
                        counts[line["line_number"]] += line["count"]
        for line in sorted(named & set(counts) if counts else named):  # without counts it was never imported
            yield str(path), line, "lines", counts[line] > 0, 1, "lines"


def report(findings, gates, shown):
    """Print what is missing and the table; whether the gates are passed."""
    totals = defaultdict(lambda: {kind: [0, 0] for kind in gates})
    missing = []
    for path, line, kind, good, of, what in findings:
        count = totals[path][kind]
        count[0] += good
        count[1] += of
        if good < of:
            missing.append((path, line, what))
    texts = {path: Path(path).read_text().splitlines() for path in totals}
    for path, line, what in sorted(missing)[:shown]:
        print(f"{Path(path).relative_to(ROOT)}:{line}: {what}: {texts[path][line - 1].strip()}")
    print(f"\n{'':42}" + "".join(f"{kind:>22}" for kind in gates))
    everything = {kind: [sum(row[kind][at] for row in totals.values()) for at in (0, 1)] for kind in gates}
    for path in [*sorted(totals), ""]:
        row = totals[path] if path else everything
        cells = [f"{good}/{of} {100 * good / of:6.2f} %" if of else "-" for good, of in row.values()]
        name = str(Path(path).relative_to(ROOT)) if path else "all"
        print(f"{name:42}" + "".join(f"{cell:>22}" for cell in cells))
    below = [kind for kind, gate in gates.items() if 100 * everything[kind][0] < gate * everything[kind][1]]
    for kind in below:
        print(f"{kind} below {gates[kind]} %")
    return bool(totals) and not below


def main():
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["c", "pyx"], default="c")
    parser.add_argument("--shown", type=int, default=1000, metavar="N", help="list the first N that are missing")
    parser.add_argument("--again", action="store_true", help="report what the last run counted")
    given = parser.parse_args()
    work = ROOT / "build" / "coverage" / given.what
    if given.what == "pyx":
        if not given.again:
            run_pyx_tests(work)
        sys.exit(not report(findings_of_pyx(work), PYX_GATES, given.shown))
    tools = find_tools()
    if tools is None:
        print(f"there is no clang with llvm-cov, llvm-profdata and the runtime of its counters, {OLDEST} or later")
        sys.exit(NO_TOOLS)
    if not given.again:
        run_c_tests(work, tools)
    findings = [found for found in findings_of_c(*read_c(work, tools[2])) if is_in_core(found[0])]
    passed = report(findings, GATES, given.shown)
    print(f"\npages: {work / 'html' / 'index.html'}")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
