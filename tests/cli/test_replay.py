"""``kvpool replay`` as its users run it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from kvpool.cli import main
from kvpool.cli.replay import JSON_KEYS

GOOD = {"timestamp": 0, "input_length": 1024, "output_length": 10, "hash_ids": [7, 8]}


@pytest.fixture
def trace_file(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(json.dumps({**GOOD, "timestamp": time}) for time in (0, 1000)) + "\n")
    return path


def test_without_a_trace_a_workload_is_generated_and_told(capsys):
    assert main(["replay", "--requests", "60", "--seed", "9"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("generated workload\n  60 requests in ")
    assert "seed=9" in text
    for word in (
        "block hits",
        "token hits",
        "evictions",
        "blocks/s",
        "p99.9",
        "match",
        "allocate",
        "register",
        "release",
    ):
        assert word in text


def test_capacities_are_blocks_or_percent_of_unique_blocks(trace_file, capsys):
    assert main(["replay", str(trace_file), "--capacity", "1", "50%", "100%", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [result["capacity_blocks"] for result in report["results"]] == [1, 1, 2]
    assert report["results"][2]["block_hit_ratio"] == 0.5
    assert report["results"][2]["token_hit_ratio"] == 0.5
    assert report["ceiling"] == 0.5


def test_json_has_everything_and_nothing_else(trace_file, capsys):
    assert main(["replay", str(trace_file), "--capacity", "10", "--json", "--hold", "service"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)["results"][0]
    assert result["requests"] == 2
    assert result["hold"] == "service"
    assert set(result["latency"]["match"]) == {"count", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"}


def test_a_malformed_line_is_one_line_on_stderr_and_exit_code_2(trace_file, capsys):
    trace_file.write_text(trace_file.read_text() + "{\n")
    assert main(["replay", str(trace_file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"kvpool: {trace_file}:3: not JSON")
    assert captured.err.count("\n") == 1


def test_skipped_lines_are_counted(trace_file, capsys):
    trace_file.write_text(trace_file.read_text() + "{\n[]\n")
    assert main(["replay", str(trace_file), "--skip-bad-lines", "--capacity", "10"]) == 0
    assert "  2 bad lines skipped\n" in capsys.readouterr().out
    assert main(["replay", str(trace_file), "--skip-bad-lines", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bad_lines"] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--capacity", "0"],
        ["--capacity", "x"],
        ["--capacity", "0%"],
        ["--capacity", "nan%"],
        ["--capacity", "-1"],
        ["--requests", "0"],
        ["--seed", "-1"],
        ["--hold", "never"],
        ["--prefill-rate", "-1"],
        ["--decode-rate", "inf"],
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["replay", *arguments])
    assert caught.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_plain_tables_are_printed_without_rich(trace_file, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    assert main(["replay", str(trace_file), "--capacity", "10"]) == 0
    text = capsys.readouterr().out
    assert "block hits" in text
    assert "50.00%" in text


def test_the_module_runs_and_its_help_names_replay():
    done = subprocess.run([sys.executable, "-m", "kvpool", "--help"], capture_output=True, text=True, check=True)
    assert "replay" in done.stdout


def test_a_reader_who_leaves_early_is_no_error():
    command = f"{sys.executable} -m kvpool replay --requests 50 --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_a_trace_behind_the_capacities_is_told_where_to_go(trace_file, capsys):
    with pytest.raises(SystemExit):
        main(["replay", "--capacity", "1%", str(trace_file)])
    assert "TRACE goes before --capacity" in capsys.readouterr().err


@pytest.mark.parametrize("capacity", ["99999999999", "9" * 40, "1e300%"])
def test_a_capacity_that_no_pool_can_have_is_one_line_on_stderr(trace_file, capacity, capsys):
    assert main(["replay", str(trace_file), "--capacity", "3", capacity]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"kvpool: --capacity {capacity}: num_blocks = ")
    assert captured.err.count("\n") == 1


def test_a_capacity_that_no_memory_is_enough_for_is_one_line_on_stderr(trace_file, monkeypatch, capsys):
    def simulator(*_args):
        raise MemoryError("no memory for a pool of 3 blocks")

    monkeypatch.setattr("kvpool.replay.Simulator", simulator)
    assert main(["replay", str(trace_file), "--capacity", "3"]) == 2
    assert capsys.readouterr().err == "kvpool: --capacity 3: no memory for a pool of 3 blocks\n"


def test_every_key_of_the_json_is_documented_and_every_documented_key_is_there(trace_file, capsys):
    assert main(["replay", str(trace_file), "--capacity", "3", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [*report, *(f"results.{key}" for key in report["results"][0])] == list(JSON_KEYS)
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    text = capsys.readouterr().out
    assert all(re.search(rf"^ +{key.removeprefix('results.')} ", text, re.MULTILINE) for key in JSON_KEYS)


def test_percentages_are_rounded_down_exactly(tmp_path, capsys):
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps({**GOOD, "input_length": 512 * 1000, "hash_ids": list(range(1000))}))
    assert main(["replay", str(path), "--capacity", "0.7%", "0.69%", "28.7%", "0.01%", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["capacity_blocks"] for result in results] == [7, 6, 287, 1]


def test_what_is_refused_and_truncated_is_told(tmp_path, capsys):
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, "hash_ids": [1, 2]}))
    assert main(["replay", str(path), "--hold", "service", "--capacity", "2"]) == 0
    text = capsys.readouterr().out
    assert "2 blocks: 1 request refused for lack of blocks, counted as misses.\n" in text
    assert "2 blocks: 2 requests larger than the pool, truncated to its size.\n" in text
    assert "until then: 8,000 prompt tokens/s, 30 output tokens/s.\n" in text


@pytest.mark.parametrize("name", ["\u00e9.jsonl", "line\nbreak.jsonl", "\udcff.jsonl"])
def test_any_name_of_a_file_can_be_shown(trace_file, name):
    trace_file.rename(trace_file.with_name(name))
    done = subprocess.run(
        [sys.executable, "-m", "kvpool", "replay", name, "--capacity", "3"],
        capture_output=True,
        cwd=trace_file.parent,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert done.stderr == b""
    assert done.stdout.split(b"\n")[1] == b"  2 requests in 1 s"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_is_one_line_on_stderr(trace_file, options):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kvpool", "replay", str(trace_file), "--capacity", "3", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "kvpool: cannot write the output: No space left on device\n")


def test_closed_standard_streams_are_no_traceback(trace_file):
    command = f"{sys.executable} -m kvpool replay - --capacity 3"
    done = subprocess.run(["bash", "-c", f"{command} <&-"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "kvpool: <stdin>: it is closed\n")
    done = subprocess.run(
        ["bash", "-c", f"{command} >&- < '{trace_file}'"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_ends_with_one_line():
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from kvpool.cli import main; "
    )
    program += "sys.exit(main(['replay', '-']))"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        # More than a pipe holds: when it is written, the trace is being read.
        process.stdin.write((json.dumps(GOOD) + "\n").encode() * 20_000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read() == b"kvpool: interrupted\n"
