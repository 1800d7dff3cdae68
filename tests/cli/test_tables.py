"""What a person is shown."""

from __future__ import annotations

import io
import sys

import pytest

from kvpool.cli import main
from kvpool.cli.tables import Screen, duration, printable


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal_of(monkeypatch):
    """Make standard error a terminal. Not a fixture: between setup and test, pytest puts its own stream there."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0 ns"), (999, "999 ns"), (1000, "1 us"), (12_345, "12.3 us"), (999_999, "1 ms"), (2_500_000_000, "2.5 s")],
)
def test_durations_have_three_digits(nanoseconds, text):
    assert duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("plain", "ascii", "plain"),
        ("caf\u00e9", "utf-8", "caf\u00e9"),
        ("caf\u00e9", "ascii", "caf\\xe9"),
        ("a\nb\x1b[31m", "utf-8", "a\\nb\\x1b[31m"),
        ("\udcff", "utf-8", "\\udcff"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text, encoding, shown):
    assert printable(text, encoding) == shown


@pytest.mark.parametrize("has_rich", [True, False])
def test_tables_hide_no_digit_however_narrow_the_terminal(has_rich, monkeypatch, capsys):
    if has_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setenv("COLUMNS", "20")
    assert main(["replay", "--requests", "300", "--capacity", "1000000"]) == 0
    text = capsys.readouterr().out
    assert "1,000,000" in text
    assert "\u2026" not in text
    assert "blocks/s" in text


def test_notes_and_headings_fit_in_80_columns(capsys):
    assert main(["replay", "--requests", "300", "--capacity", "20", "10%", "--hold", "service"]) == 0
    assert max(len(line.rstrip()) for line in capsys.readouterr().out.splitlines()) <= 80


def test_progress_without_rich_is_one_line_that_goes_away(monkeypatch):
    terminal = terminal_of(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich", None)
    with Screen(quiet=False).progress("replaying", 200) as advance:
        advance(50)
        advance(1)
        advance(99)
    text = terminal.getvalue()
    assert text.split("\r")[1:4] == ["replaying requests: 25%", "replaying requests: 75%", " " * 25]
    assert "\n" not in text


def test_progress_of_unknown_length_counts_without_rich(monkeypatch):
    terminal = terminal_of(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich", None)
    with Screen(quiet=False).progress("reading", None) as advance:
        for _ in range(100):
            advance(256)
    assert "\rreading requests: 20,000" in terminal.getvalue()


def test_progress_with_rich_is_drawn(monkeypatch):
    terminal = terminal_of(monkeypatch)
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Screen(quiet=False).progress("replaying", 200) as advance:
        advance(200)
    assert "200/200" in terminal.getvalue()


def test_there_is_no_progress_where_there_is_no_terminal(capsys):
    with Screen(quiet=False).progress("replaying", 200) as advance:
        assert advance is None
    assert capsys.readouterr() == ("", "")
