"""``kvpool replay`` as its users run it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kvpool.cli import main
from kvpool.cli.tables import duration

GOOD = {"timestamp": 0, "input_length": 1024, "output_length": 10, "hash_ids": [7, 8]}


@pytest.fixture
def trace_file(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(json.dumps({**GOOD, "timestamp": time}) for time in (0, 1000)) + "\n")
    return path


def test_without_a_trace_a_workload_is_generated_and_told(capsys):
    assert main(["replay", "--requests", "60", "--seed", "9"]) == 0
    text = capsys.readouterr().out
    assert "generated workload: 60 requests" in text
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
    trace_file.write_text(trace_file.read_text() + "{\n")
    assert main(["replay", str(trace_file), "--skip-bad-lines", "--capacity", "10"]) == 0
    assert "1 bad lines skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--capacity", "0"],
        ["--capacity", "x"],
        ["--capacity", "0%"],
        ["--capacity", "nan%"],
        ["--requests", "0"],
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


def test_an_interrupt_ends_with_one_line(monkeypatch, capsys):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("kvpool.replay.generate_workload", interrupted)
    assert main(["replay"]) == 130
    assert capsys.readouterr().err == "kvpool: interrupted\n"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0 ns"), (999, "999 ns"), (1000, "1 us"), (12_345, "12.3 us"), (999_999, "1 ms"), (2_500_000_000, "2.5 s")],
)
def test_durations_have_three_digits(nanoseconds, text):
    assert duration(nanoseconds) == text
