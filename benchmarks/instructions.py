"""Count the instructions of the pool's main calls, and compare them with the recorded counts.

    python benchmarks/instructions.py check     exit code 1 when a count left its tolerance
    python benchmarks/instructions.py update    record what is counted now; say why in the commit
    python benchmarks/instructions.py overhead  time the C twins beside the calls from Python

Counts come from callgrind (valgrind 3.19 or later). They depend on the compiler, the Python and the NumPy, which are
recorded with them: with others, the counts are shown and nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

HERE = Path(__file__).parent
RECORD = HERE / "instructions.json"
# A method that shares its place in the cache of CPython with another costs a look-up of some 300 instructions more, and
# which do depends on addresses, so on the build: 1.4 % of a warm request.
TOLERANCE = {"C": 0.005, "Python": 0.02}

# Operation, n, blocks of the pool, calls of a round: enough of each for the counts of single calls to even out.
TWINS = {
    "allocate 1": ("allocate", 1, 100_000, 2000),
    "allocate 256": ("allocate", 256, 100_000, 50),
    "match 16": ("match", 16, 100_000, 500),
    "match 256": ("match", 256, 100_000, 100),
    "match 4096": ("match", 4096, 100_000, 20),
    "register 256": ("register", 256, 100_000, 100),
    "steady 256": ("steady", 256, 100_000, 100),
    "decode 256": ("decode", 256, 100_000, 16),
    "hash 256": ("hash", 256, 100_000, 20),
}


def build(folder: Path) -> None:
    """Build the C twins and the marks."""
    for command in (
        ["cmake", "-S", str(HERE.parent / "csrc"), "-B", str(folder), "-DKVP_BUILD_BENCHMARKS=ON"],
        ["cmake", "--build", str(folder), "--target", "bench_core", "marks", "-j2"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def environment() -> dict[str, str]:
    """Return what the counts depend on."""
    compiler = subprocess.run([os.environ.get("CC", "cc"), "--version"], capture_output=True, text=True, check=True)
    return {
        "compiler": compiler.stdout.splitlines()[0],
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def callgrind(command: list[str], folder: Path) -> tuple[dict[str, float], str]:
    """Run a command under callgrind; return the instructions of each part that it dumped, and its output.

    Of a part that it dumped several times, the median counts.
    """
    for old in folder.glob("counts*"):
        old.unlink()
    options = ["--tool=callgrind", "--compress-strings=no", f"--callgrind-out-file={folder}/counts"]
    fixed = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(["valgrind", *options, *command], capture_output=True, text=True, env=fixed, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed under callgrind:\n{done.stderr}")
    counts: dict[str, list[int]] = {}
    for path in folder.glob("counts.*"):
        text = path.read_text()
        trigger = re.search(r"^desc: Trigger: Client Request: (.*)$", text, flags=re.MULTILINE)
        totals = re.search(r"^totals: (\d+)$", text, flags=re.MULTILINE)
        if trigger and totals:
            counts.setdefault(trigger[1], []).append(int(totals[1]))
    return {name: median(values) for name, values in counts.items()}, done.stdout


def count(folder: Path) -> dict[str, float]:
    """Return the instructions of a call, by operation; a row is a call of decode."""
    result = {}
    for name, (operation, n, blocks, calls) in TWINS.items():
        command = [str(folder / "bench_core"), operation, str(n), str(blocks), str(calls), "count"]
        counts, _ = callgrind(command, folder)
        result[f"C {name}"] = counts[operation] / calls / (n if operation == "decode" else 1)
    library = next(folder.glob("libmarks.*"))
    counts, output = callgrind([sys.executable, str(HERE / "calls.py"), "--marks", str(library)], folder)
    for name, calls in json.loads(output).items():
        result[f"Python {name}"] = counts[name] / calls
    return {name: round(value, 1) for name, value in result.items()}


def compare(counted: dict[str, float], recorded: dict[str, float]) -> list[str]:
    """Return a line for each operation that is out of tolerance, or on one side only."""
    lines = []
    for name in sorted(counted.keys() | recorded.keys()):
        if name not in counted or name not in recorded:
            lines.append(f"{name}: {'not recorded' if name in counted else 'not counted'}")
            continue
        change = counted[name] / recorded[name] - 1
        tolerance = TOLERANCE[name.split()[0]]
        if abs(change) > tolerance:
            lines.append(
                f"{name}: {counted[name]:,} instructions a call, recorded {recorded[name]:,}: {change:+.2%}, "
                f"tolerance {tolerance:.1%}"
            )
    return lines


def check(folder: Path) -> int:
    """Count, show, and judge if the environment is that of the record."""
    record = json.loads(RECORD.read_text())
    counted = count(folder)
    for name, value in counted.items():
        print(f"{name:<28} {value:>14,.1f} {record['counts'].get(name, float('nan')):>14,.1f}")
    here = environment()
    if here != record["environment"]:
        others = [f"{key} {here[key]}, recorded with {record['environment'][key]}" for key in here]
        others = [line for line, key in zip(others, here, strict=True) if here[key] != record["environment"][key]]
        print(f"not judged: {'; '.join(others)}")
        return 0
    lines = compare(counted, record["counts"])
    print("\n".join(lines) or "all within tolerance")
    if lines:
        print("if this is meant: python benchmarks/instructions.py update, and say why in the commit")
    return 1 if lines else 0


def update(folder: Path) -> int:
    """Count, and record."""
    record = {"environment": environment(), "counts": count(folder)}
    RECORD.write_text(json.dumps(record, indent=2) + "\n")
    print(f"recorded {len(record['counts'])} counts in {RECORD.name}")
    return 0


def overhead(folder: Path) -> int:
    """Print ns a call of the C twins and from Python, measured one after the other."""
    shown = subprocess.run([sys.executable, str(HERE / "calls.py")], capture_output=True, text=True, check=True)
    python = json.loads(shown.stdout)
    python["hash 256"] = python["hash array 256"]
    print(f"{'ns a call':<16} {'C':>10} {'Python':>10} {'overhead':>10}")
    for name, (operation, n, blocks, calls) in TWINS.items():
        command = [str(folder / "bench_core"), operation, str(n), str(blocks), str(calls)]
        twin = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        if operation == "decode":
            twin /= n
        if name in python:
            print(f"{name:<16} {twin:>10,.1f} {python[name]:>10,.1f} {python[name] - twin:>10,.1f}")
    return 0


def main() -> int:
    """Run the sub-command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["check", "update", "overhead"])
    command = parser.parse_args().command
    if command != "overhead" and not shutil.which("valgrind"):
        print("valgrind is not installed: nothing is counted")
        return 0 if command == "check" else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        return {"check": check, "update": update, "overhead": overhead}[command](folder)


if __name__ == "__main__":
    sys.exit(main())
