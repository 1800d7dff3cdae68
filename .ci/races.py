"""Read the reports of the thread sanitizer, and fail if one is of more than the interpreter.

CPython 3.13 without its lock races with itself: its own sources list dozens of functions for the sanitizer to overlook,
and a run of the tests meets one now and then (python/cpython#129701, for example). A report is the interpreter's own
when both accesses are made by its functions. When either is made by a module of kvpool, or the report is of anything
but a race of two accesses, it fails the stage.

    python .ci/races.py PREFIX      the reports are PREFIX.<process>
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

FRAME = re.compile(r"^ +#\d+ (?P<function>.+?) (?P<place>\S+) \((?P<module>[^+()]+)\+0x[0-9a-f]+\)")
ACCESS = re.compile(r"^  (Previous )?(atomic )?(read|write) of size", re.IGNORECASE)
# What the sanitizer, which is part of the interpreter's program, does for whoever calls it.
RUNTIME = re.compile(
    r"^_*(mem(cpy|move|set|cmp|chr)|str[a-z]+|malloc|calloc|realloc|free|\w*printf|read|write|pthread_\w+|tsan_\w+)$"
)
INTERPRETER = re.compile(r"(^|/)(lib)?python3[^/]*$")


def reports(text: str) -> list[str]:
    """Split the sanitizer's output."""
    return [part for part in text.split("==================\n") if "WARNING: ThreadSanitizer" in part]


def culprits(report: str) -> list[tuple[str, str]]:
    """Return function and module that made each access, the sanitizer's own functions passed over."""
    found: list[tuple[str, str]] = []
    is_open = False
    for line in report.splitlines():
        frame = FRAME.match(line)
        if ACCESS.match(line):
            is_open = True
        elif not frame:
            is_open = False
        elif is_open and not RUNTIME.match(frame["function"]):
            found.append((frame["function"], frame["module"]))
            is_open = False
    return found


def is_of_the_interpreter(report: str) -> bool:
    """Tell whether both accesses are made by functions of the interpreter."""
    made_by = culprits(report)
    is_race = "WARNING: ThreadSanitizer: data race" in report
    return is_race and len(made_by) == 2 and all(INTERPRETER.search(module) for _, module in made_by)


def main(prefix: str) -> int:
    """Print what was found; 1 if it is ours."""
    files = sorted(Path(prefix).parent.glob(Path(prefix).name + ".*"))
    found = [report for file in files for report in reports(file.read_text(errors="replace"))]
    ours = [report for report in found if not is_of_the_interpreter(report)]
    for report in ours:
        print(report)
    own = Counter(tuple(sorted({name for name, _ in culprits(report)})) for report in found if report not in ours)
    for names, times in own.most_common():
        print(f"the interpreter with itself, {times} times: {' and '.join(names)}")
    print(f"{len(ours)} reports of the thread sanitizer are of more than the interpreter")
    return int(bool(ours))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
