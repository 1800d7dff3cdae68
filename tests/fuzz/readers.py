"""What reads bytes that anybody may have written: each takes any bytes, and raises nothing but what it documents.

Each returns whether the bytes were good. Both the tests beside this file and the fuzzer ``fuzz_readers.py`` call these.
"""

import contextlib
import gzip
import json
import struct

import xxhash

from kvpool import BlockPool, IndexFileError, NotEnoughBlocksAvailable
from kvpool.diagnosis import DumpError, PoolDump, examine
from kvpool.diagnosis.pool_sample import PoolSample
from kvpool.replay import TraceError, read_trace

MAX_DUMP = 2**20
INDEX_HEADER = 88


def make_pool():
    """A pool of which an index has every column, and a dump every kind of hold."""
    return BlockPool(16, 4, duplicates="keep", event_capacity=64, event_tokens=True, max_namespaces=2)


def fill(pool):
    """Register chains of two namespaces, a copy, priorities and times to live; return what is still held."""
    pool.namespace("tenant", floor=2)
    for hashes in ([1, 2, 3], [1]):
        blocks = pool.allocate_blocks(len(hashes), namespace="tenant")
        pool.register_blocks(blocks, hashes, token_ids=range(4 * len(hashes)), ttl=100)
    pool.register_blocks(pool.allocate_blocks(2), [8, 9], priority=80)
    return pool.allocate_blocks(2, owner="somebody"), pool.pin([8])


class IndexReader:
    """Loads an index into a pool, which is as it was when that is refused."""

    def __init__(self, folder):
        self._path = folder / "pool.index"
        pool = make_pool()
        held = fill(pool)
        pool.save_index(self._path)
        del held
        self.seeds = [self._path.read_bytes()]

    def __call__(self, data):
        """Read the bytes as they are, and with a size and checksums that are right."""
        self._path.write_bytes(data)
        is_good = self._load()
        if len(data) > INDEX_HEADER:
            payload = data[INDEX_HEADER:]
            header = data[:64] + struct.pack("<QQ", len(payload), xxhash.xxh3_64_intdigest(payload))
            header += struct.pack("<Q", xxhash.xxh3_64_intdigest(header))
            self._path.write_bytes(header + payload)
            is_good |= self._load()
        return is_good

    def _load(self):
        pool = make_pool()
        before, is_good = pool.status(), True
        try:
            pool.load_index(self._path)
        except IndexFileError:
            is_good = False
            assert pool.status() == before
        pool.check_invariants()
        taken = []
        with contextlib.suppress(NotEnoughBlocksAvailable):  # floors of namespaces keep some from the default one
            while True:
                taken.append(pool.allocate_blocks(1))
        pool.check_invariants()
        return is_good


class TraceReader:
    """Reads a trace, and works out what its requests have in common."""

    GOOD = (
        {"timestamp": 1500, "input_length": 1100, "output_length": 10, "hash_ids": [7, 8, 9]},
        {"timestamp": 1600, "input_length": 600, "output_length": 1, "hash_ids": [7, 18446744073709551615]},
    )
    QWEN = (
        b'{"chat_id": 1, "parent_chat_id": -1, "timestamp": 1.5, "input_length": 40, "output_length": 5, '
        b'"type": "text", "turn": 1, "hash_ids": [1, 2, 3]}'
    )

    def __init__(self, folder):
        self._paths = (folder / "trace.jsonl", folder / "trace.jsonl.gz")
        lines = "\n".join(json.dumps(record) for record in self.GOOD).encode()
        self.seeds = [lines, self.QWEN, gzip.compress(lines)]

    def __call__(self, data):
        """Read the bytes as lines, as a gzip file, and as lines of which the bad ones are passed over."""
        is_good = False
        for path in self._paths:
            path.write_bytes(data)
            for skips in (False, True):
                with contextlib.suppress(TraceError):
                    trace = read_trace(path, skip_bad_lines=skips)
                    assert 0 <= trace.ceiling <= 1
                    assert 0 <= trace.token_ceiling <= 1
                    assert trace.num_unique_blocks <= trace.num_blocks
                    is_good = True
        return is_good


class DumpReader:
    """Reads a dump, and looks for what is wrong with the pool."""

    def __init__(self, folder):
        del folder
        pool = make_pool()
        held = fill(pool)
        self.seeds = [PoolDump.of(pool).to_bytes()]
        del held

    def __call__(self, data):
        """Read, examine, and write again."""
        with contextlib.suppress(DumpError):
            dump = PoolDump.from_bytes(data, max_bytes=MAX_DUMP)
            for finding in examine(dump):
                assert str(finding)
            again = PoolDump.from_bytes(dump.to_bytes(), max_bytes=4 * MAX_DUMP)
            assert again.table.status == dump.table.status
            return True
        return False


class SampleReader:
    """Reads what a pool server says of a pool."""

    def __init__(self, folder):
        del folder
        pool = make_pool()
        held = fill(pool)
        self.seeds = [PoolSample.describe(pool, "one")]
        del held

    def __call__(self, data):
        """Read."""
        with contextlib.suppress(DumpError):
            PoolSample.from_bytes(data)
            return True
        return False


class ReplayRequests:
    """Answers requests for batches of events as they come from the network, a line for a message, a tab between frames.

    Every request that is taken is answered to its end; none costs more than the batches that are kept.
    """

    BATCHES = 5

    def __init__(self, folder):
        # Here, where pyzmq may be asked for, and before a fuzzer looks for functions to instrument.
        from kvpool.events.replay_buffer import ReplayBuffer
        from kvpool.events.replay_server import ReplayServer

        del folder
        self._new_buffer, self._new_server = ReplayBuffer, ReplayServer
        number = (2).to_bytes(8, "big")
        self.seeds = [
            b"a\t\t" + number,
            b"a\t\t" + number + b"\nb\t\t" + bytes(8) + b"\na\t\t" + b"\xff" * 8,
            b"a\t" + number + b"\nb\t\t1\nc\t\t" + number,
        ]

    def __call__(self, data):
        """Serve what the messages ask for."""
        buffer = self._new_buffer(self.BATCHES - 2, 10**6)
        for batch in range(self.BATCHES):
            buffer.append(b"batch %d" % batch)
        messages = [message.split(b"\t") for message in data.split(b"\n")]
        socket = FakeSocket(list(messages))
        server = self._new_server(socket, buffer, b"topic", lambda: b"snapshot")
        for _ in range(len(messages) // 50 + 2):
            server.service()
        assert not socket.messages
        ends = sum(frames[3] == b"\xff" * 8 for frames in socket.sent)
        assert ends == len(messages) - server.bad_requests
        assert len(socket.sent) <= ends * (self.BATCHES + 2)
        return ends > 0


class FakeSocket:
    """A router's socket that has these messages, and keeps what is sent."""

    def __init__(self, messages):
        self.messages = messages
        self.sent = []

    def setsockopt(self, option, value):
        """Take any option."""

    def getsockopt(self, option):
        """Say whether there is a message, and that one can be sent."""
        import zmq

        return zmq.POLLOUT | (zmq.POLLIN if self.messages else 0)

    def recv_multipart(self, flags):
        """Return the next message."""
        import zmq

        del flags
        if not self.messages:
            raise zmq.Again
        return self.messages.pop(0)

    def send_multipart(self, frames, flags):
        """Keep the frames."""
        del flags
        self.sent.append(frames)


READERS = {
    "index": IndexReader,
    "trace": TraceReader,
    "dump": DumpReader,
    "sample": SampleReader,
    "replay": ReplayRequests,
}
