"""Pools that can be looked at from another process."""

from __future__ import annotations

import ipaddress
import json
import socket
import socketserver
import sys
import threading
import weakref
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from kvpool import BlockPool
from kvpool.diagnosis.pool_dump import PoolDump
from kvpool.diagnosis.pool_sample import PoolSample

__all__ = ["PoolServer"]

_MAX_CONNECTIONS = 16
_POLL = 0.1  # seconds after which a server that is closed notices, at most
_PATIENCE = 10.0  # seconds for a client to say what it wants, and to take it


class PoolServer:
    """Answers questions about pools over HTTP, in a thread of its own.

    ========================  ====================================================================
    ``/pools``                the names of the pools, a JSON list
    ``/pools/<name>/status``  counts, counters and latencies: what ``kvpool top`` shows, O(1)
    ``/pools/<name>/dump``    a :class:`PoolDump`: what ``kvpool doctor`` examines, O(num_blocks)
    ========================  ====================================================================

    It can only be asked: no request changes a pool. But a dump tells all sequence hashes, and who holds what, and it
    keeps the pool's lock while it copies the blocks; whoever reaches the port can have it. So it listens on the
    machine itself only, unless it is told otherwise, and must not be opened to the world. Requests that name another
    host than where it listens are refused, so that no page in a browser can ask in the user's name.

    Parameters
    ----------
    pools : mapping of str to BlockPool
        By name. The server does not keep them alive.
    port : int, default 0
        0 for any that is free.
    host : str, default "127.0.0.1"

    Raises
    ------
    OSError
        It cannot listen there.
    """

    def __init__(self, pools: Mapping[str, BlockPool], port: int = 0, host: str = "127.0.0.1") -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port = {port} is not in [0, 65535]")
        self._pools = {name: weakref.ref(pool) for name, pool in pools.items()}
        self._server = _Server(host, port, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="kvpool pool server", daemon=True
        )
        self._dumping = threading.Lock()
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is asked, for ``kvpool top`` and ``kvpool doctor``."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    @property
    def names(self) -> list[str]:
        """The pools that are still there."""
        return [name for name, pool in self._pools.items() if pool() is not None]

    def close(self) -> None:
        """Stop listening. Answers that are being sent are sent. A second call has no effect."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> PoolServer:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<PoolServer {self.url} of {', '.join(map(repr, self.names)) or 'no pool'}>"

    def _answer(self, path: str) -> tuple[int, bytes]:
        """Return status and body for a path: names are looked up among those of the pools, and nowhere else."""
        parts = path.split("/")
        if parts == ["", "pools"]:
            return 200, json.dumps(self.names).encode("ascii")
        if len(parts) != 4 or parts[:2] != ["", "pools"] or parts[3] not in ("dump", "status"):
            return 404, b"there are /pools, /pools/<name>/status and /pools/<name>/dump"
        try:
            name = unquote(parts[2], errors="strict")
        except UnicodeDecodeError:
            return 400, b"the name of the pool is not UTF-8"
        reference = self._pools.get(name)
        pool = None if reference is None else reference()
        if pool is None:
            return 404, f"there is no pool {quote(name)[:100]}".encode("ascii")
        if parts[3] == "status":
            return 200, PoolSample.describe(pool, name)
        with self._dumping:  # one at a time: each takes memory, and the pool's lock
            return 200, PoolDump.of(pool).to_bytes()


class _Server(ThreadingHTTPServer):
    """Listens, and takes no more connections at a time than it has threads to spare."""

    daemon_threads = True
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, host: str, port: int, owner: PoolServer) -> None:
        self.owner = owner  # a server that nobody keeps goes on, until the process ends
        self.host = host
        self._free = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # Not that of HTTPServer, which asks for the name of the machine, and may wait long for it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away, or says nothing, is its own business.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def is_own_host(self, named: str | None) -> bool:
        """Whether a request that names this host is meant for us."""
        if named is None:
            return True
        host = urlsplit(f"//{named}").hostname or ""
        if host in ("localhost", self.host):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server_version, sys_version = "kvpool", ""
    timeout = _PATIENCE
    server: _Server

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.command != "GET":
            self._send(405, b"only GET")
        return self.command == "GET"

    def do_GET(self) -> None:
        try:
            is_ours = self.server.is_own_host(self.headers["Host"])
            path = urlsplit(self.path).path
        except ValueError:
            is_ours, path = False, ""
        if not is_ours:
            self._send(403, b"the request names another host")
        elif self.headers["Content-Length"] not in (None, "0") or self.headers["Transfer-Encoding"] is not None:
            self._send(400, b"a request has no body here")
        else:
            try:
                status, body = self.server.owner._answer(path)
            except Exception as error:
                reason = " ".join(str(error).split())
                status, body = 500, f"{type(error).__name__}: {reason}"[:500].encode("ascii", "backslashreplace")
            self._send(status, body)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status == 200 else "text/plain; charset=us-ascii")
        self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: standard error is the user's."""
