"""The last batches of a stream."""

from __future__ import annotations

from collections import deque

__all__ = ["ReplayBuffer"]


class ReplayBuffer:
    """Keeps the last batches that were published, and a snapshot that stands for those before them.

    Parameters
    ----------
    max_batches : int
        Batches to keep at most, at least 1.
    max_bytes : int
        Bytes that they take together at most; the last batch is kept whatever its size.

    Attributes
    ----------
    first, next : int
        Numbers of the oldest batch that is kept, and of the one that comes after the last. They count from 0.
    """

    # Invariants: next - first == len(_payloads); _bytes == sum(len(payload) for payload in _payloads); a snapshot
    # stands for all batches up to its number, which is at least first - 1.

    def __init__(self, max_batches: int, max_bytes: int) -> None:
        self._max_batches = max_batches
        self._max_bytes = max_bytes
        self._payloads: deque[bytes] = deque()
        self._bytes = 0
        self._snapshot: tuple[int, bytes] | None = None
        self.first = 0
        self.next = 0

    def append(self, payload: bytes, *, is_snapshot: bool = False) -> None:
        """Keep one more batch; let the oldest go when there are too many.

        Parameters
        ----------
        payload : bytes
        is_snapshot : bool, default False
            Whether it tells everything by itself.
        """
        payloads = self._payloads
        payloads.append(payload)
        self._bytes += len(payload)
        while len(payloads) > self._max_batches or (self._bytes > self._max_bytes and len(payloads) > 1):
            self._bytes -= len(payloads.popleft())
            self.first += 1
        if is_snapshot:
            self._snapshot = (self.next, payload)
        elif self._snapshot is not None and self._snapshot[0] < self.first - 1:
            self._snapshot = None
        self.next += 1

    def covers(self, number: int) -> bool:
        """Return whether a subscriber that has all batches before this one can be brought up to date.

        Parameters
        ----------
        number : int

        Returns
        -------
        bool
        """
        return number >= self.first or self._snapshot is not None

    def add_snapshot(self, payload: bytes) -> None:
        """Keep a snapshot that stands for all batches so far. There is one at least.

        Parameters
        ----------
        payload : bytes
        """
        self._snapshot = (self.next - 1, payload)

    def read(self, number: int) -> tuple[int, bytes] | None:
        """Return what a subscriber needs that has all batches before this one.

        Parameters
        ----------
        number : int

        Returns
        -------
        (int, bytes) or None
            A number and a payload: of this batch, or of a snapshot in its place, or else of the oldest batch that is
            kept. None if it has not been published yet.
        """
        if number >= self.next:
            return None
        if number < self.first:
            if self._snapshot is not None:
                return self._snapshot
            number = self.first
        return number, self._payloads[number - self.first]
