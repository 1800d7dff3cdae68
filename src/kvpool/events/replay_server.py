"""Batches for subscribers that missed them."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from kvpool.events.replay_buffer import ReplayBuffer

__all__ = ["ReplayServer"]

_END = (-1).to_bytes(8, "big", signed=True)
# A client waits for the end of a reply before it asks again. What asks more at once is broken, or wants to harm.
_MAX_REQUESTS_OF_A_CLIENT = 8
# Taken by one call at most, so that a flood of requests does not keep batches from being published: the rest waits for
# the next call, which comes with the next batch at the latest.
_MAX_REQUESTS_AT_A_TIME = 100


class ReplayServer:
    """Answers requests for past batches, without ever waiting for who asked.

    A request is ``[b"", start]``, a number in 8 bytes, big-endian. The replies are ``[b"", topic, number, payload]``
    for each batch from there on, and ``[b"", b"", -1, b""]`` at the end. A client that does not read fast enough gets
    what is left when it does: there is no loss, and no copy of the batches for it. If batches have left the buffer
    before it gets them, the next number that it sees is higher: that of a snapshot which stands for all up to there, if
    there is one, or else of the oldest batch that is kept.

    Parameters
    ----------
    socket : zmq.Socket
        A ROUTER, bound.
    buffer : ReplayBuffer
    topic : bytes
    make_snapshot : callable
        Returns the payload of a snapshot, or None. Called when a batch is wanted that is not kept any more.

    Attributes
    ----------
    replayed : int
        Batches sent again.
    bad_requests : int
        Requests that were malformed, or too many of one client, and got no reply.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], buffer: ReplayBuffer, topic: bytes, make_snapshot: Callable[[], bytes | None]
    ) -> None:
        # A message for a client that is gone, or whose queue is full, raises instead of being dropped.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket = socket
        self._buffer = buffer
        self._topic = topic
        self._make_snapshot = make_snapshot
        self._wanted: dict[bytes, list[int]] = {}  # by client, the next batch of each request
        self.replayed = 0
        self.bad_requests = 0

    def fileno(self) -> int:
        """Return the descriptor of the socket, which gets readable when :meth:`service` has something to do."""
        return self._socket.fileno()

    def service(self) -> None:
        """Take requests, and send what can be sent."""
        # The descriptor tells of changes only, and looking at the socket's state resets it: so until nothing is left
        # that could be done now. A queue that has room again is a change, too.
        left, is_busy = _MAX_REQUESTS_AT_A_TIME, True
        while is_busy:
            has_requests = int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN
            taken = self._receive(left) if has_requests else 0
            left -= taken
            is_busy = taken > 0
            for client in list(self._wanted):
                is_busy |= self._send(client)

    def _receive(self, most: int) -> int:
        """Take the requests that are there. Return how many."""
        for taken in range(most):
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return taken
            wanted = self._wanted.setdefault(frames[0], [])
            if len(frames) == 3 and not frames[1] and len(frames[2]) == 8 and len(wanted) < _MAX_REQUESTS_OF_A_CLIENT:
                wanted.append(int.from_bytes(frames[2], "big"))
            else:
                self.bad_requests += 1
        return most

    def _send(self, client: bytes) -> bool:
        """Send a client what it wants, until that is all or its queue is full. Return whether anything was sent."""
        wanted = self._wanted[client]
        is_sent = False
        try:
            while wanted:
                if not self._buffer.covers(wanted[0]):
                    snapshot = self._make_snapshot()
                    if snapshot is not None:
                        self._buffer.add_snapshot(snapshot)
                batch = self._buffer.read(wanted[0])
                if batch is None:
                    self._socket.send_multipart((client, b"", b"", _END, b""), zmq.DONTWAIT)
                    wanted.pop(0)
                else:
                    number, payload = batch
                    frames = (client, b"", self._topic, number.to_bytes(8, "big"), payload)
                    self._socket.send_multipart(frames, zmq.DONTWAIT)
                    wanted[0] = number + 1
                    self.replayed += 1
                is_sent = True
        except zmq.Again:
            return is_sent
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
        del self._wanted[client]  # it has everything, or is gone
        return is_sent
