"""``kvpool top`` as its users run it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kvpool import BlockPool
from kvpool.cli import main
from kvpool.diagnosis import serve

pytest.importorskip("rich")

PATIENCE = 60.0  # seconds that a test waits at most


@pytest.fixture
def pool():
    """Ten blocks: three immutable, two mutable, four cached, one empty; one was evicted before."""
    pool = BlockPool(10, 16, name="decode")
    pool.time_calls(1)
    pool.register_blocks(pool.allocate_blocks(1), [99]).release()
    everything = pool.allocate_blocks(10)
    everything.release()
    chain = pool.register_blocks(pool.allocate_blocks(3), [1, 2, 3])
    pool.register_blocks(pool.allocate_blocks(4), [11, 12, 13, 14]).release()
    mutable = pool.allocate_blocks(2, owner="request")
    pool.match_sequence_hashes([1, 2, 98, 97]).release()
    yield pool
    chain.release()
    mutable.release()


@pytest.fixture
def server(pool):
    with serve(pool) as server:
        yield server


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def metrics():
    """Serve what a test puts under /metrics; yields the address and the list of texts, the last of which stays."""
    texts = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = (texts.pop(0) if len(texts) > 1 else texts[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/metrics", texts
        server.shutdown()


class Terminal:
    """``kvpool top`` in a terminal of its own."""

    def __init__(self, *arguments, columns=80, lines=24):
        self._main, side = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": str(lines)}
        environment["PYTHONIOENCODING"] = "utf-8"
        command = [sys.executable, "-m", "kvpool", "top", *arguments]
        self.process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment)
        os.close(side)
        self._shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            while more := os.read(self._main, 65536):
                self._shown += more
        except OSError:  # the other side is closed
            pass

    @property
    def text(self):
        """What was shown so far, without what moves the cursor."""
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self._shown).decode("utf-8", "replace")

    def wait_for(self, pattern):
        """Wait until this is shown."""
        end = time.monotonic() + PATIENCE
        while re.search(pattern, self.text) is None:
            assert time.monotonic() < end, self.text[-3000:]
            assert self.process.poll() is None, self.text[-3000:]
            self._reader.join(0.02)

    def interrupt(self):
        """Press Ctrl-C; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self):
        """Return the exit code."""
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()  # one that does not end would go on writing
        self._reader.join(PATIENCE)
        os.close(self._main)
        return code


def test_once_shows_a_view_of_a_running_pool(server, wide, capsys):
    assert main(["top", server.url, "--once"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("decode  10 blocks of 16 tokens, lru")
    for words in (
        "immutable 3 30.0% hit ratio - 50.00%",
        "mutable 2 20.0% waiting 0",
        "cached 4 40.0% failures/s - 0",
        "empty 1 10.0% pinned 0",
        "allocated - 20 allocate 5",
        "registered - 8 register 3",
        "asked for - 4 match 1",
        "found - 2 release 4",
        "evicted, capacity - 1 open 0 - -",
    ):
        assert words in " ".join(text.split()), text
    bar = text.splitlines()[2]
    assert [bar.count(glyph) for glyph in "\u2588\u2593\u2592\u2591"] == [30, 20, 40, 10]


def test_second_view_tells_what_happened_since_the_first(pool, server, wide, capsys):
    answers = []
    describe = type(server)._answer

    def answer(self, path):
        if len(answers) == 1:  # between the looks
            pool.match_sequence_hashes([1, 2, 3, 96]).release()
        if path.endswith("/status"):
            answers.append(path)
        return describe(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(server), "_answer", answer)
        assert main(["top", server.url, "--count", "2", "--interval", "0.05"]) == 0
    text = capsys.readouterr().out
    assert "hit ratio 75.00% 62.50%" in " ".join(text.split())
    found = re.findall(r"asked for +(\S+) +(\S+)", text)
    assert [total for _, total in found] == ["4", "8"]
    assert found[0][0] == "-"
    assert 4 / 30 < float(found[1][0].replace(",", "")) <= 4 / 0.02


@pytest.mark.parametrize("columns", [20, 40, 79, 80, 200])
def test_no_digit_is_hidden_however_narrow_the_terminal(server, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["top", server.url, "--once"]) == 0
    text = capsys.readouterr().out
    assert "\u2026" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= columns
    if columns >= 40:  # below, a number goes on in the next line
        assert "50.00%" in text


def test_a_pool_is_chosen_by_name(pool, monkeypatch, capsys, wide):
    other = BlockPool(7)
    with serve({"decode": pool, "other": other}) as server:
        assert main(["top", server.url, "--once", "--pool", "other"]) == 0
        assert capsys.readouterr().out.startswith("other  7 blocks")
        assert main(["top", server.url, "--once"]) == 2
        assert capsys.readouterr().err == "kvpool: --pool NAME is needed: there are decode, other\n"
        assert main(["top", server.url, "--once", "--pool", "x"]) == 2
        assert capsys.readouterr().err == "kvpool: there is no pool x: there are decode, other\n"


def test_names_are_no_markup(capsys, wide):
    pool = BlockPool(7)
    with serve({"[bold]a[/] :smile: \x1b": pool}) as server:
        assert main(["top", server.url, "--once"]) == 0
    assert capsys.readouterr().out.startswith("[bold]a[/] :smile: \\x1b  7 blocks")


def test_a_terminal_without_unicode_is_shown_what_it_can_show():
    pool = BlockPool(4)
    held = pool.allocate_blocks(2)
    with serve({"caf\u00e9": pool}) as server:
        done = subprocess.run(
            [sys.executable, "-m", "kvpool", "top", server.url, "--once"],
            env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"},
            capture_output=True,
            check=True,
        )
    text = done.stdout.decode("ascii")
    assert text.startswith("caf\\xe9  4 blocks")
    assert text.splitlines()[2] == "=" * 40 + "." * 40
    held.release()


def test_demo_shows_traffic(wide, capsys):
    assert main(["top", "--demo", "--count", "2", "--interval", "0.5"]) == 0
    text = capsys.readouterr().out
    assert text.count("demo  4,000 blocks of 16 tokens, lru") == 2
    rates = re.findall(r"allocated +(\S+)", text)
    assert rates[0] == "-"
    assert float(rates[1].replace(",", "")) > 0
    assert not [thread for thread in threading.enumerate() if thread.name == "kvpool demo"]


def test_metrics_are_shown_with_what_they_tell(metrics, wide, capsys):
    pytest.importorskip("prometheus_client")
    url, texts = metrics
    blocks = 'kvpool_blocks{pool="p",state="active"} 30\nkvpool_blocks{pool="p",state="empty"} 70\n'
    for requested, returned in ((100, 40), (200, 120)):
        counters = f'kvbm_match_hashes_requested_total{{pool="p"}} {requested}\n'
        counters += f'kvbm_match_blocks_returned_total{{pool="p"}} {returned}\n'
        texts.append(blocks + counters)
    assert main(["top", url, "--count", "2", "--interval", "0.05"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith("p 100 blocks")
    assert "immutable 30 30.0% hit ratio - 40.00%" in words
    assert "hit ratio 80.00% 60.00%" in words
    assert "allocated - -" in words


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "exposition without kvpool_blocks"), ("{}", "no exposition"), ("up 1", "without kvpool_blocks")],
)
def test_metrics_without_a_pool_are_one_line(metrics, text, said, capsys):
    pytest.importorskip("prometheus_client")
    url, texts = metrics
    texts.append(text)
    assert main(["top", url, "--once"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"kvpool: {url}: it is ")
    assert said in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:1/metrics"])
def test_server_that_does_not_answer_is_one_line(url, capsys):
    assert main(["top", url]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith(f"kvpool: {url}")
    assert "no answer" in captured.err


def test_server_that_goes_away_between_views_is_one_line_where_nobody_watches(server, capsys):
    describe = type(server)._answer

    def answer(self, path):
        if path.endswith("/status"):
            threading.Thread(target=server.close).start()
        return describe(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(server), "_answer", answer)
        assert main(["top", server.url, "--interval", "0.5"]) == 2
    captured = capsys.readouterr()
    assert "decode  10 blocks" in captured.out
    assert re.fullmatch(r"kvpool: \S+: no answer \(.*\)\n", captured.err)


@pytest.mark.parametrize(
    "arguments",
    [["x", "--interval", "0"], ["x", "--interval", "nan"], ["x", "--count", "0"], ["x", "--once", "--count", "1"]],
)
def test_arguments_out_of_range_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["top", *arguments])
    assert caught.value.code == 2
    assert arguments[-2] in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["http://127.0.0.1:1", "--demo"]])
def test_either_a_url_or_the_demo(arguments, capsys):
    assert main(["top", *arguments]) == 2
    assert capsys.readouterr().err == "kvpool: top needs either a URL or --demo\n"


@pytest.mark.parametrize("url", ["decode", "ftp://x", "http://h:x"])
def test_what_is_no_address_is_one_line(url, capsys):
    assert main(["top", url, "--once"]) == 2
    assert capsys.readouterr().err == f"kvpool: {url} is not an address http://HOST:PORT\n"


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("rich.console", ["--demo"], "top needs rich: pip install 'kvpool[cli]'"),
        ("prometheus_client.parser", [], "metrics need prometheus_client: pip install 'kvpool[metrics]'"),
    ],
)
def test_what_is_not_installed_is_said(module, arguments, said, metrics, monkeypatch, capsys):
    url, texts = metrics
    texts.append("")
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["top", "--once", *(arguments or [url])]) == 2
    assert capsys.readouterr().err == f"kvpool: {said}\n"


def test_a_terminal_shows_one_view_in_the_place_of_the_other_until_it_is_interrupted():
    terminal = Terminal("--demo", "--interval", "0.1")
    terminal.wait_for(r"hit ratio +\d+\.\d\d% +\d+\.\d\d%")  # that of the second view
    assert terminal.interrupt() == 0
    assert "Traceback" not in terminal.text
    assert "kvpool:" not in terminal.text
    last = terminal.text.rpartition("demo  4,000 blocks")[2]
    assert "evicted, truncated" in last  # it stays when the terminal is as it was before


def test_a_terminal_says_when_the_server_is_gone_and_goes_on(pool):
    server = serve(pool)
    terminal = Terminal(server.url, "--interval", "0.1")
    terminal.wait_for("decode  10 blocks")
    server.close()
    terminal.wait_for("no answer")
    assert "immutable" in terminal.text.rpartition("no answer")[0]
    port = int(server.url.rpartition(":")[2])
    with serve(pool, port=port):
        pool.reset_blocks([11])
        terminal.wait_for(r"evicted, reset +\S+ +4")
        assert terminal.interrupt() == 0


def test_a_terminal_that_counts_views_ends_by_itself(server):
    terminal = Terminal(server.url, "--count", "2", "--interval", "0.1")
    assert terminal.end() == 0
    assert "no answer" not in terminal.text
