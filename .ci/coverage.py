"""What the tests run of the C core, and what they do not.

    python .ci/coverage.py          lines, branches and MC/DC of csrc/src and csrc/include

Builds the C tests with clang's own counters, runs them, lists what none of them reached, writes pages to
build/coverage/c/html, and fails below the gates. A function in a header counts once for all files that include it; a
branch in a macro counts once for each place where the macro stands. `--shown 0` leaves out the list.
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
NEWEST, OLDEST = 30, 18  # of clang; 18 is the first that counts conditions

# Of llvm-cov's export: a region that is the expansion of a macro, and a branch that is a condition of a decision.
EXPANSION, CONDITION = 1, 6


def run(*command, **settings):
    """Run a command, or end with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def find_tools():
    """Clang and the two tools of the same version; None where there are none."""
    for suffix in [f"-{version}" for version in range(NEWEST, OLDEST - 1, -1)] + [""]:
        tools = [shutil.which(name + suffix) for name in ("clang", "llvm-profdata", "llvm-cov")]
        if all(tools):
            version = re.search(r"clang version (\d+)", run(tools[0], "--version"))
            if version and int(version[1]) >= OLDEST:
                return tools
    return None


def measure(work, tools):
    """Build and run the C tests; the export of their counters, and the lines as (path, line) -> times run."""
    clang, profdata, cov = tools
    build, raw = work / "build", work / "raw"
    run("cmake", "-S", ROOT / "csrc", "-B", build, f"-DCMAKE_C_COMPILER={clang}", "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_C_FLAGS_DEBUG=-O1", "-DKVP_COVERAGE=ON", "-DKVP_WERROR=ON")  # fmt: skip
    run("cmake", "--build", build, "-j2")
    shutil.rmtree(raw, ignore_errors=True)
    environment = {**os.environ, "LLVM_PROFILE_FILE": str(raw / "%m.profraw")}
    run("ctest", "--test-dir", build, "--output-on-failure", "--no-tests=error", "-j2", env=environment)
    merged = work / "all.profdata"
    run(profdata, "merge", "-o", merged, *raw.glob("*.profraw"))
    programs = [path for path in sorted((build / "tests").glob("test_*")) if path.is_file() and os.access(path, os.X_OK)]
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
    return Path(path).parent in {ROOT / "csrc/src", ROOT / "csrc/src/policies", ROOT / "csrc/include/kvp"}


def report(export, lines, shown):
    """Print the table and what is missing; whether the gates are passed."""
    totals = defaultdict(lambda: {kind: [0, 0] for kind in GATES})
    missing = []

    def note(path, line, kind, good, of, what=""):
        if is_in_core(path):
            count = totals[path][kind]
            count[0] += good
            count[1] += of
            if good < of:
                missing.append((path, line, kind, what))

    for (path, line), count in lines.items():
        note(path, line, "lines", count > 0, 1)
    for (path, line, _), (taken, other) in branches_of(export).items():
        note(path, line, "branches", (taken > 0) + (other > 0), 2, "always" if taken else "never" if other else "")
    for (path, line, _), conditions in decisions_of(export).items():
        lacking = ", ".join(str(number) for number, shown in enumerate(conditions, 1) if not shown)
        note(path, line, "MC/DC", sum(conditions), len(conditions), f"condition {lacking} of {len(conditions)}")

    texts = {path: Path(path).read_text().splitlines() for path in totals}
    for path, line, kind, what in sorted(missing)[:shown]:
        print(f"{Path(path).relative_to(ROOT)}:{line}: {kind} {what}: {texts[path][line - 1].strip()}")
    print(f"\n{'':42}" + "".join(f"{kind:>22}" for kind in GATES))
    everything = {kind: [sum(row[kind][at] for row in totals.values()) for at in (0, 1)] for kind in GATES}
    for path in [*sorted(totals), ""]:
        row = totals[path] if path else everything
        cells = [f"{good}/{of} {100 * good / of:6.2f} %" if of else "-" for good, of in row.values()]
        name = str(Path(path).relative_to(ROOT / "csrc")) if path else "all"
        print(f"{name:42}" + "".join(f"{cell:>22}" for cell in cells))
    below = [kind for kind, gate in GATES.items() if 100 * everything[kind][0] < gate * everything[kind][1]]
    for kind in below:
        print(f"{kind} below {GATES[kind]} %")
    return not below


def main():
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shown", type=int, default=1000, metavar="N", help="list the first N that are missing")
    given = parser.parse_args()
    tools = find_tools()
    if tools is None:
        sys.exit(f"there is no clang with llvm-cov and llvm-profdata, {OLDEST} or later")
    work = ROOT / "build" / "coverage" / "c"
    passed = report(*measure(work, tools), given.shown)
    print(f"\npages: {work / 'html' / 'index.html'}")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
