"""Batches of events, written by hand, and the other end of the wire."""

from __future__ import annotations

import time

import numpy as np
import pytest

from kvpool import EvictionReason, PoolEventKind
from kvpool.types.event_batch import EventBatch

LOOPBACK = "tcp://127.0.0.1:*"
PATIENCE = 30.0  # seconds that a test waits at most
END = (-1).to_bytes(8, "big", signed=True)


def batch_of(*events, first=0, block_size=4, is_snapshot=False, missed=0, timestamp=1234.5):
    """Return a batch of ``("stored", hash, parent, tokens, namespace)``, ``("removed", hash)`` and ``("cleared",)``."""
    count = len(events)
    names = ["", *sorted({event[4] for event in events if len(event) > 4} - {""})]
    stored = [event if event[0] == "stored" else ("stored", 0, None, None, "") for event in events]
    tokens = np.zeros((count, block_size), np.uint32)
    for row, event in zip(tokens, stored, strict=True):
        row[:] = 0 if event[3] is None else event[3]
    kinds = [PoolEventKind[event[0].upper()] for event in events]
    hashes = [0 if event[0] == "cleared" else event[1] for event in events]
    return EventBatch(
        first=first,
        missed=missed,
        timestamp=timestamp,
        block_size=block_size,
        kinds=np.array(kinds, np.uint8),
        reasons=np.array([0 if kind == PoolEventKind.STORED else EvictionReason.CAPACITY for kind in kinds], np.uint8),
        hashes=np.array(hashes, np.uint64),
        parents=np.array([0 if event[2] is None else event[2] for event in stored], np.uint64),
        has_parent=np.array([event[2] is not None for event in stored], np.bool_),
        block_ids=np.arange(count, dtype=np.int32),
        namespaces=np.array([names.index(event[4] if len(event) > 4 else "") for event in stored], np.uint8),
        namespace_names=tuple(names),
        tokens=tokens if any(event[3] is not None for event in stored) else None,
        has_tokens=np.array([event[3] is not None for event in stored], np.bool_),
        is_snapshot=is_snapshot,
    )


class Wire:
    """Managers, subscribers and clients of the replay, which are all closed in the end."""

    def __init__(self):
        import zmq

        self.context = zmq.Context()
        self._zmq = zmq
        self._opened = []

    def manager(self, endpoint=LOOPBACK, **options):
        from kvpool.events import ZmqEventManager

        self._opened.append(ZmqEventManager(endpoint, **options))
        return self._opened[-1]

    def socket(self, kind, endpoint, **options):
        socket = self.context.socket(kind)
        self._opened.append(socket)
        for name, value in ({"linger": 0} | options).items():
            setattr(socket, name, value)
        socket.connect(endpoint)
        return socket

    def subscriber(self, manager, topic="", **options):
        """Subscribe to a topic of which the manager has not heard; return when it has."""
        socket = self.socket(self._zmq.SUB, manager.endpoint, **options)
        before = manager.subscriptions
        socket.subscribe(topic)
        self.until(lambda: manager.subscriptions > before, manager.service)
        return socket

    def client(self, manager, **options):
        return self.socket(self._zmq.DEALER, manager.replay_endpoint, **options)

    @staticmethod
    def until(condition, step=lambda: time.sleep(0.001)):
        """Repeat a step until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not come to this"
            step()

    @staticmethod
    def receive(socket):
        """Return the next message; fail if none comes."""
        assert socket.poll(PATIENCE * 1000), "no message came"
        return socket.recv_multipart()

    @staticmethod
    def ask(client, start):
        client.send_multipart([b"", start.to_bytes(8, "big")])

    def replies(self, client, manager):
        """Return number and events of each reply, up to the end of them."""
        import msgspec

        found = []
        while True:
            self.until(lambda: client.poll(1), manager.service)
            delimiter, topic, number, payload = client.recv_multipart()
            assert delimiter == b""
            if number == END:
                assert (topic, payload) == (b"", b"")
                return found
            found.append((int.from_bytes(number, "big"), msgspec.msgpack.decode(payload)[1]))

    def close(self):
        for opened in reversed(self._opened):
            opened.close()
        self.context.term()


@pytest.fixture
def wire():
    """The other end of the wire; needs pyzmq."""
    wire = Wire()
    yield wire
    wire.close()


@pytest.fixture(scope="session")
def make_batch():
    """Make a batch of short descriptions: the function that does it."""
    return batch_of
