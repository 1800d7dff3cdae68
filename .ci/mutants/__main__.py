"""Changes the C core in small ways and counts how many of the changes its tests notice.

    python .ci/mutants --sample 1500 --gate 90          a sample of all changes
    python .ci/mutants --files seq_hash.c pool.c        all changes of these files
    python .ci/mutants --per-file 20 --seed 2           twenty of each file

A change counts as noticed when a test fails, crashes or takes too long; first without, then with the address and
undefined-behaviour sanitizers. Not counted are changes that do not compile, that give the same machine code as none or
as another, and survivors on the list csrc/tests/equivalent_mutants.txt, which says why no test can tell. Results are
kept, so that a second run tries only what a test that is new or changed may notice. The report is
build/mutants/report.txt (and .json).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutations import Mutation, mutations_of
from trial import Result, Trial
from workshop import Workshop

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = ROOT / "csrc" / "tests" / "equivalent_mutants.txt"
COLUMNS = ["changes", "tried", "invalid", "same", "judged", "killed", "survived"]


@dataclass(frozen=True)
class Judged:
    """A line of the list of changes that no test can tell: file, part of the line, what it becomes."""

    file: str
    part: str
    new: str

    def covers(self, mutation: Mutation, text: str) -> bool:
        """Whether it speaks of this change."""
        if Path(mutation.path).name != self.file:
            return False
        line = text.splitlines()[mutation.line - 1]
        return self.part in line and self.new in ("*", mutation.new or "nothing")


def read_judged() -> list[Judged]:
    """Read the list: file | part of the line | what it becomes, or * | why."""
    lines = [line for line in EQUIVALENT.read_text().splitlines() if line.strip() and not line.startswith("#")]
    fields = [re.split(r"\s+\|\s+", line.strip()) for line in lines]
    bad = [line for line, parts in zip(lines, fields, strict=True) if len(parts) != 4]
    if bad:
        raise SystemExit(f"{EQUIVALENT}: four fields are needed: {bad[0]}")
    return [Judged(*parts[:3]) for parts in fields]


def choose(workshop: Workshop, arguments: argparse.Namespace) -> tuple[dict[str, int], list[Mutation]]:
    """Give how many changes there are in each file, and those that are to be tried."""
    names = workshop.sources + workshop.headers
    if arguments.files:
        names = [path for path in names if Path(path).name in arguments.files or path in arguments.files]
        if len(names) < len(arguments.files):
            raise SystemExit("there is no such file in the core")
    counts, chosen = {}, []
    for path in names:
        found = mutations_of(path, workshop.texts[path])
        counts[path] = len(found)
        found.sort(key=lambda mutation: mutation.rank(arguments.seed))
        chosen += found[: arguments.per_file]
    chosen.sort(key=lambda mutation: mutation.rank(arguments.seed))
    return counts, chosen[: arguments.sample]


def difference(mutation: Mutation, text: str) -> list[str]:
    """Give the lines before and after a change."""
    first, last = text.rfind("\n", 0, mutation.start) + 1, text.find("\n", mutation.end)
    changed = mutation.apply(text)
    lines = text[first:last].splitlines()
    count = len(lines)
    return [f"-{line}" for line in lines] + [f"+{line}" for line in changed[first:].splitlines()[:count]]


def try_all(trial: Trial, chosen: list[Mutation], seconds: float) -> list[tuple[Mutation, Result]]:
    """Judge the changes, in parallel, until the time is over; of the rest only what is known from before."""
    results: dict[Mutation, Result] = {}
    begin = time.monotonic()

    def judge(mutation: Mutation) -> Result | None:
        return trial.judge(mutation, time.monotonic() - begin <= seconds)

    with ThreadPoolExecutor(trial.workshop.jobs) as pool:
        futures = {pool.submit(judge, mutation): mutation for mutation in chosen}
        for done, future in enumerate(as_completed(futures), 1):
            result = future.result()
            if result:
                results[futures[future]] = result
            if done % 50 == 0 or (result and result.outcome == "survived"):
                mutation = futures[future]
                place = f"{mutation.path}:{mutation.line} {mutation.kind} {mutation.new[:50]!r}"
                what = f"{result.outcome} {place}" if result else "left out"
                print(f"{done}/{len(chosen)} {time.monotonic() - begin:.0f} s: {what}", flush=True)
            if done % 100 == 0:
                trial.save()
    trial.save()
    return [(mutation, results[mutation]) for mutation in chosen if mutation in results]


def report(workshop: Workshop, counts: dict[str, int], tried: list[tuple[Mutation, Result]], command: str) -> float:
    """Write the report and print it; give the share of changes that were noticed."""
    judged, table, survivors, wrong, seen = read_judged(), {}, [], [], set()
    for path, count in counts.items():
        table[path] = dict.fromkeys(COLUMNS, 0) | {"changes": count}
    for mutation, result in sorted(tried, key=lambda pair: (pair[0].path, pair[0].start)):
        row, text = table[mutation.path], workshop.texts[mutation.path]
        row["tried"] += 1
        is_duplicate = result.object_key and (mutation.path, result.object_key) in seen
        seen.add((mutation.path, result.object_key))
        entries = [entry for entry in judged if entry.covers(mutation, text)]
        is_judged = len(entries) > 0
        if result.outcome == "killed" and any(entry.new != "*" for entry in entries):
            wrong.append(f"{mutation.path}:{mutation.line} {mutation.new}: {result.killer} {result.how}")
        outcome = "same" if is_duplicate else result.outcome
        outcome = "judged" if outcome == "survived" and is_judged else outcome
        row[outcome] += 1
        if outcome == "survived":
            survivors.append((mutation, result))
    lines = [command, "", f"{'file':34}" + "".join(f"{name:>9}" for name in [*COLUMNS, "share"])]
    total = {name: sum(row[name] for row in table.values()) for name in COLUMNS}
    for path, row in [*table.items(), ("all", total)]:
        share = row["killed"] / (row["killed"] + row["survived"] or 1)
        row["share"] = round(share, 4)
        if row["tried"]:
            cells = "".join(f"{row[name]:9}" for name in COLUMNS)
            lines.append(f"{path:34}{cells}" + (f"{share:9.1%}" if row["killed"] + row["survived"] else f"{'':9}"))
    lines.append("")
    for mutation, result in survivors:
        tests = "no test runs it" if not any(result.passed.values()) else ""
        lines += [f"{mutation.path}:{mutation.line}: {mutation.kind} {tests}".rstrip()]
        lines += [*difference(mutation, workshop.texts[mutation.path]), ""]
    lines += [f"on the list of those that no test can tell, and yet noticed: {entry}" for entry in wrong]
    text = "\n".join(lines)
    (workshop.place / "report.txt").write_text(text + "\n")
    document = {
        "command": command,
        "files": table,
        "all": total,
        "survivors": [f"{mutation.path}:{mutation.line} {mutation.kind} {mutation.new}" for mutation, _ in survivors],
    }
    (workshop.place / "report.json").write_text(json.dumps(document, indent=1) + "\n")
    print(text)
    return total["share"]


def main() -> int:
    """Return 0 when enough of the changes were noticed."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", nargs="+", help="only these files of the core")
    parser.add_argument("--sample", type=int, help="how many changes to try (all)")
    parser.add_argument("--per-file", type=int, help="at most so many of each file")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further change after that time")
    parser.add_argument("--no-sanitizers", action="store_true", help="only the plain build")
    parser.add_argument("--gate", type=float, default=0, help="per cent of the changes that must be noticed")
    arguments = parser.parse_args()
    begin = time.monotonic()
    workshop = Workshop(ROOT / "csrc", ROOT / "build" / "mutants", arguments.jobs)
    counts, chosen = choose(workshop, arguments)
    trial = Trial(workshop, not arguments.no_sanitizers)
    tried = try_all(trial, chosen, arguments.seconds)
    share = report(workshop, counts, tried, "python .ci/mutants " + " ".join(sys.argv[1:]))
    print(f"{time.monotonic() - begin:.0f} s; {share:.1%} of the changes were noticed")
    return 1 if share * 100 < arguments.gate else 0


if __name__ == "__main__":
    sys.exit(main())
