"""The pool server, asked as its client asks it, and as nobody should."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from kvpool import BlockPool
from kvpool.diagnosis import DumpError, PoolClient, PoolDump, PoolServer, examine, serve
from kvpool.diagnosis.pool_client import fetch

PATIENCE = 30.0  # seconds that a test waits at most


@pytest.fixture
def pools():
    return {"decode": BlockPool(32, name="decode"), "a/b c\u00e9": BlockPool(4)}


@pytest.fixture
def server(pools):
    with serve(pools) as server:
        yield server


@pytest.fixture
def client(server):
    return PoolClient(server.url)


def ask(server, method="GET", path="/pools", body=None, headers=None):
    """Send a request as it is; return status and body."""
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def answer_once(answer):
    """Return the address of a server that answers one connection with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        with listener, listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(answer)

    threading.Thread(target=run, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def ok(body):
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_pools_are_told_by_name(server, client, pools):
    assert client.names() == list(pools) == server.names
    assert server.url.startswith("http://127.0.0.1:")
    assert "'decode'" in repr(server)


def test_dump_is_that_of_the_pool(client, pools):
    with pools["a/b c\u00e9"].allocate_blocks(3, owner="me"):
        dump = client.dump("a/b c\u00e9")
    assert (dump.num_blocks, dump.table.status.mutable, dump.holds[0].owner) == (4, 3, "'me'")
    assert examine(dump) == []


def test_status_tells_what_is_looked_at(client, pools):
    pool = pools["decode"]
    pool.time_calls(1)
    pool.register_blocks(pool.allocate_blocks(4), [1, 2, 3, 4]).release()
    with pool.match_sequence_hashes([1, 2, 9]), pool.allocate_blocks(29):
        sample = client.sample("decode")
    assert (sample.name, sample.about) == ("decode", "32 blocks of 16 tokens, lru")
    assert sample.blocks == {"immutable": 2, "mutable": 29, "cached": 1, "empty": 0}
    assert sample.counters == {"allocations": 33, "registrations": 4, "hashes": 3, "matched": 2, "failures": 0}
    assert sample.evictions == {"capacity": 1, "ahead": 0, "pressure": 0, "reset": 0, "truncated": 0}
    assert sample.gauges == {"waiting": 0, "pinned": 0, "missed": 0}
    assert sample.latencies["allocate"].num_calls == 2
    assert 0 < sample.latencies["allocate"].quantile(0.5) < 1


def test_evictions_are_told_by_reason(client, pools):
    pool = pools["decode"]
    pool.register_blocks(pool.allocate_blocks(9), range(1, 10)).release()
    pool.evict_ahead(25)
    pool.reset_blocks([1])
    pool.trigger_eviction()
    evictions = client.sample("decode").evictions
    assert evictions["ahead"] == 2
    assert evictions["reset"] == 7
    assert sum(evictions.values()) == 9


def test_pool_that_is_gone_is_not_kept_alive(client, pools):
    del pools["decode"]
    assert client.names() == ["a/b c\u00e9"]
    with pytest.raises(ConnectionError, match="404 there is no pool decode"):
        client.dump("decode")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/pools?since=0", 200),
        ("/pools/decode/status", 200),
        ("/pools/d%65code/status", 200),
        ("/", 404),
        ("/pools/", 404),
        ("/pools/decode", 404),
        ("/pools/decode/", 404),
        ("/pools/decode/dump/", 404),
        ("/pools/decode/secrets", 404),
        ("/pools/other/dump", 404),
        ("/pools//dump", 404),
        ("/pools/../pools/dump", 404),
        ("/pools/%2e%2e%2fetc%2fpasswd/dump", 404),
        ("/pools/__class__/dump", 404),
        ("/pools/%ff/dump", 400),
    ],
)
def test_paths_lead_to_pools_and_nowhere_else(server, path, status):
    assert ask(server, path=path)[0] == status


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_only_get_is_answered(server, method):
    assert ask(server, method)[0] == 405


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "3"}, {"Content-Length": "x"}, {"Transfer-Encoding": "chunked"}]
)
def test_a_request_has_no_body(server, headers):
    assert ask(server, headers=headers)[0] == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("[", 403),
        ("", 403),
    ],
)
def test_request_for_another_host_is_refused(server, host, status):
    assert ask(server, headers={"Host": host})[0] == status


def test_what_a_pool_cannot_tell_is_one_line(server, monkeypatch):
    def fail(pool):
        raise MemoryError("no memory\nat all")

    monkeypatch.setattr(PoolDump, "of", fail)
    status, body = ask(server, path="/pools/decode/dump")
    assert (status, body) == (500, b"MemoryError: no memory at all")


def test_connections_that_say_nothing_do_not_use_up_the_server(server, client):
    address = urlsplit(server.url)
    idle = [socket.create_connection((address.hostname, address.port), PATIENCE) for _ in range(17)]
    assert idle[-1].recv(1) == b""  # one too many: closed at once
    for connection in idle:
        connection.close()
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE, deadline.set)
    timer.start()
    names = None
    while names is None and not deadline.is_set():
        try:
            names = client.names()
        except ConnectionError:  # not all of them have been seen to be closed
            deadline.wait(0.01)
    timer.cancel()
    assert names == server.names


def test_closed_server_does_not_answer_and_can_be_closed_again(server, client):
    server.close()
    server.close()
    with pytest.raises(ConnectionError, match="no answer"):
        client.names()


def test_server_that_nobody_keeps_goes_on_until_the_process_ends(run_python):
    program = """
        import gc
        from kvpool import BlockPool
        from kvpool.diagnosis import PoolClient, serve
        pool = BlockPool(4, name="mine")
        url = serve(pool).url
        gc.collect()
        print(PoolClient(url).names())
    """
    assert run_python(program) == "['mine']\n"


@pytest.mark.parametrize("make", [lambda pool: pool, lambda pool: [pool], lambda pool: iter([pool])])
def test_pools_are_served_by_their_own_names(make):
    pool = BlockPool(4, name="mine")
    with serve(make(pool)) as server:
        assert server.names == ["mine"]
    nameless = BlockPool(4)
    with serve(make(nameless)) as server:
        assert server.names == ["pool"]


def test_pools_of_the_same_name_are_refused():
    pools = [BlockPool(4, name="twin"), BlockPool(4, name="twin")]
    with pytest.raises(ValueError, match="two pools are named 'twin'"):
        serve(pools)


@pytest.mark.parametrize("port", [-1, 65536])
def test_port_out_of_range_is_refused(port):
    with pytest.raises(ValueError, match=f"port = {port} is not in"):
        PoolServer({}, port)


def test_port_in_use_is_told(server):
    with pytest.raises(OSError, match="in use"):
        serve({}, port=urlsplit(server.url).port)


@pytest.mark.parametrize(
    "url", ["", "pools", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://[", "file:///etc"]
)
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError, match="is not an address"):
        PoolClient(url)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"<html>", b"\xff", b"[" * 100_000])
def test_what_does_not_answer_as_a_pool_server_is_refused(body):
    with pytest.raises(DumpError, match="does not answer as a pool server does"):
        PoolClient(answer_once(ok(body))).names()


def test_status_of_anything_else_is_refused():
    with pytest.raises(DumpError, match="not a kvpool-status"):
        PoolClient(answer_once(ok(b"{}"))).sample("x")


def test_answer_that_is_too_large_is_refused():
    assert fetch(answer_once(ok(b"x" * 100)), PATIENCE, 100) == b"x" * 100
    with pytest.raises(DumpError, match="more than 99 bytes"):
        fetch(answer_once(ok(b"x" * 100)), PATIENCE, 99)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no answer"),
        (b"SSH-2.0-what\r\n", "no answer"),
        (b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "302 Found"),
        (b"HTTP/1.0 500 Oh\r\nContent-Type: text/html\r\n\r\n<html>", "500 Oh"),
        (b"HTTP/1.0 500 Oh\r\nContent-Type: text/plain\r\n\r\nno memory", "500 no memory"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nx", "no answer"),
    ],
)
def test_answers_that_are_none_are_one_line(answer, words):
    with pytest.raises(ConnectionError, match=words):
        fetch(answer_once(answer), PATIENCE)


def test_proxies_are_not_asked(server, client, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert json.loads(fetch(server.url + "/pools", PATIENCE)) == client.names()
