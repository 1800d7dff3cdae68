"""Asking a pool server."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

from kvpool.diagnosis.dump_error import DumpError
from kvpool.diagnosis.pool_dump import MAX_BYTES, PoolDump
from kvpool.diagnosis.pool_sample import PoolSample

__all__ = ["PoolClient", "fetch"]

_MAX_SMALL = 2**24  # bytes of an answer that is not a dump


def fetch(url: str, timeout: float, max_bytes: int = _MAX_SMALL) -> bytes:
    """Return what an address answers, asked directly: by no proxy, and without following to other addresses.

    Parameters
    ----------
    url : str
        ``http://`` or ``https://``.
    timeout : float
        Seconds without an answer.
    max_bytes : int
        What the answer may have.

    Raises
    ------
    ConnectionError
        There is no answer, or one that says that it cannot be given.
    DumpError
        The answer is too large.
    ValueError
        The address is not one.
    """
    _check(url)
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.HTTPHandler, urllib.request.HTTPSHandler, urllib.request.HTTPErrorProcessor):
        opener.add_handler(handler())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    try:
        with opener.open(url, timeout=timeout) as answer:
            data: bytes = answer.read(max_bytes + 1)
            if len(data) <= max_bytes and answer.length:
                raise http.client.IncompleteRead(data, answer.length)
    except urllib.error.HTTPError as error:
        with error:
            is_sentence = error.headers.get("Content-Type", "").startswith("text/plain")
            reason = error.read(200).decode("ascii", "replace") if is_sentence else error.reason
        raise ConnectionError(f"{url}: {error.code} {reason}") from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or str(error.reason)
        raise ConnectionError(f"{url}: no answer ({reason})") from None
    except http.client.InvalidURL as error:
        raise ValueError(f"{url[:200]} is not an address: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"{url}: no answer ({error or type(error).__name__})") from None
    if len(data) > max_bytes:
        raise DumpError(f"{url}: the answer has more than {max_bytes} bytes")
    return data


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of its port
        is_address = False
    if not is_address:
        raise ValueError(f"{url[:200]} is not an address http://HOST:PORT")


class PoolClient:
    """Asks a :class:`PoolServer`.

    Parameters
    ----------
    url : str
        Its ``url``.
    timeout : float, default 10
        Seconds without an answer.
    max_bytes : int, default 2**30
        What a dump may have.

    Raises
    ------
    ValueError
        The address is not one.
    ConnectionError
        From each method: there is no answer, or no such pool.
    DumpError
        From each method: the answer is not what it should be.
    """

    def __init__(self, url: str, timeout: float = 10.0, max_bytes: int = MAX_BYTES) -> None:
        _check(url)
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._max_bytes = max_bytes

    def names(self) -> list[str]:
        """Return the names of the pools."""
        data = fetch(f"{self._url}/pools", self._timeout)
        try:
            names = json.loads(data)
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DumpError(f"{self._url} does not answer as a pool server does")
        return names

    def dump(self, name: str) -> PoolDump:
        """Return a dump of a pool."""
        return PoolDump.from_bytes(self._fetch(name, "dump", self._max_bytes), max_bytes=self._max_bytes)

    def sample(self, name: str) -> PoolSample:
        """Return the numbers of a pool."""
        return PoolSample.from_bytes(self._fetch(name, "status", _MAX_SMALL))

    def _fetch(self, name: str, what: str, max_bytes: int) -> bytes:
        return fetch(f"{self._url}/pools/{quote(name, safe='')}/{what}", self._timeout, max_bytes)
