"""The page and the picture say what the replay found."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from kvpool.cli import main


def run(tmp_path, capsys, *arguments):
    assert main(["replay", "--requests", "120", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def page_of(tmp_path, capsys, *arguments):
    path = tmp_path / "report.html"
    report = run(tmp_path, capsys, "--report", str(path), *arguments)
    text = path.read_text(encoding="utf-8")
    return report, ElementTree.fromstring(text.removeprefix("<!doctype html>"))


def rows_of(table):
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


def test_the_page_has_the_numbers_of_the_json(tmp_path, capsys):
    report, page = page_of(tmp_path, capsys, "--policy", "lru", "arc", "--optimal", "--capacity", "5%", "300")
    table = rows_of(next(page.iter("table")))
    assert [row[0] for row in table] == ["policy", "lru", "arc", "optimum", "no limit"]
    sizes = [int(name.split()[0].replace(",", "")) for name in table[0][1:]]
    found = {(result["policy"], result["capacity_blocks"]): result["block_hit_ratio"] for result in report["results"]}
    for row in table[1:4]:
        for size, text in zip(sizes, row[1:], strict=True):
            assert text == f"{100 * found[row[0], size]:.4g} %"
    assert table[4][1] == f"{100 * report['ceiling']:.4g} %"


def test_the_page_has_all_charts_and_loads_nothing(tmp_path, capsys):
    _, page = page_of(tmp_path, capsys, "--capacity", "5%", "20%", "--policy", "lru", "fifo")
    titles = [chart.find("title").text for chart in page.iter("svg")]
    assert titles == [
        "Block hit ratio against the size of the pool",
        "Reuse distances",
        "Times between uses",
        "Evictions over time",
    ]
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"(src|href)=|@import|url\(|<script", text)
    latencies = rows_of(list(page.iter("table"))[-1])
    assert {(row[0], row[2]) for row in latencies[1:]} == {
        (policy, operation) for policy in ("lru", "fifo") for operation in ("match", "allocate", "register", "release")
    }


def test_lines_have_a_point_for_each_capacity(tmp_path, capsys):
    _, page = page_of(tmp_path, capsys, "--capacity", "5%", "10%", "20%", "--optimal")
    lines = list(next(page.iter("svg")).iter("polyline"))
    assert [line.find("title").text for line in lines] == ["lru", "optimum", "no limit"]
    assert [len(line.get("points").split()) for line in lines] == [3, 3, 3]


def test_the_name_of_a_trace_is_escaped(tmp_path, capsys):
    line = {"timestamp": 0, "input_length": 512, "output_length": 1, "hash_ids": [1]}
    trace = tmp_path / "<b>&.jsonl"
    trace.write_text(json.dumps(line) + "\n")
    path = tmp_path / "report.html"
    assert main(["replay", str(trace), "--capacity", "1", "--report", str(path)]) == 0
    assert "<b>" not in path.read_text()
    ElementTree.fromstring(path.read_text().removeprefix("<!doctype html>"))


def test_a_page_that_cannot_be_written_is_told_of(tmp_path, capsys):
    path = tmp_path / "no" / "report.html"
    assert main(["replay", "--requests", "20", "--report", str(path)]) != 0
    assert f"{path}: No such file or directory" in capsys.readouterr().err


def test_the_picture_is_a_png(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "plot.png"
    run(tmp_path, capsys, "--png", str(path), "--optimal", "--capacity", "5%", "20%")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_the_picture_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main(["replay", "--requests", "20", "--png", str(tmp_path / "plot.png")]) != 0
    assert "pip install 'kvpool[plot]'" in capsys.readouterr().err


def test_policies_hints_and_protection_are_taken_and_told(tmp_path, capsys):
    report = run(
        tmp_path, capsys, "--policy", "adaptive", "lru", "adaptive", "--hint-accuracy", "0.8", "--protect", "4",
        "--capacity", "10%",
    )  # fmt: skip
    assert [result["policy"] for result in report["results"]] == ["adaptive", "lru"]
    assert (report["hint_accuracy"], report["protect"]) == (0.8, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "best"], "invalid choice: 'best'"),
        (["--hint-accuracy", "1.5"], r"1.5 is not a number in \[0, 1\]"),
        (["--hint-accuracy", "x"], r"x is not a number in \[0, 1\]"),
        (["--protect", "-1"], "argument --protect"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["replay", *arguments])
    assert re.search(message, capsys.readouterr().err)
