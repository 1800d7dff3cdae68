"""Every call that tells of pools, or keeps what they know: saved indexes, dumps, metrics, events for others."""

import contextlib
import importlib.util

import numpy as np

import kvpool
from kvpool import diagnosis, persistence

HAS_ZMQ = importlib.util.find_spec("zmq") is not None and importlib.util.find_spec("msgspec") is not None


def dump(w):
    return diagnosis.PoolDump.of(w.pool)


def save_dump(w):
    dump(w).save(path := w.path())
    return diagnosis.PoolDump.load(path)


def sample(w):
    return diagnosis.PoolSample.of(w.pool, "world")


def findings(w):
    with w.small_pool() as pool:
        with contextlib.suppress(kvpool.BlockPoolError):
            pool.allocate_blocks(9)
        return diagnosis.examine(diagnosis.PoolDump.of(pool))


def asked(call):
    """Make a call with a client of a server of the pool."""

    def run(w):
        with diagnosis.serve({"world": w.pool}) as server:
            return call(diagnosis.PoolClient(server.url))

    return run


def save_and_load(w):
    with w.small_pool() as pool:
        pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
        pool.save_index(path := w.path())
    with w.small_pool() as pool:
        return pool.load_index(path)


def load(w):
    with w.small_pool() as pool:
        return pool.load_index(w.index)


def block_index(w):
    return persistence.read_index(w.index, 8, 4, False)


def expose(w):
    return diagnosis.read_exposition(w.metrics.exposition().decode(), 0.0)


def register(w):
    import prometheus_client

    registry = prometheus_client.CollectorRegistry()
    w.metrics.register(registry)
    return prometheus_client.generate_latest(registry)


def observe(w):
    from opentelemetry.sdk.metrics import MeterProvider

    w.metrics.observe(MeterProvider().get_meter("kvpool"))


def zmq(call):
    def run(w):
        with w.zmq_manager() as manager:
            return call(w, manager)

    return run


METHODS = {
    "BlockPool.save_index": save_and_load,
    "BlockPool.load_index": load,
    "BlockIndex.new_columns": lambda w: persistence.BlockIndex.new_columns(3, 4, True, True),
    "BlockIndex.pack": lambda w: block_index(w).pack(),
    "BlockIndex.size_of": lambda w: persistence.BlockIndex.size_of(3, 4, 7),
    "BlockIndex.unpack": lambda w: persistence.BlockIndex.unpack(b"".join(block_index(w).pack()), 1, 4, 0),
    "read_index": block_index,
    "write_index": lambda w: persistence.write_index(w.path(), block_index(w)),
    "BlockManagerMetrics.collector": lambda w: w.metrics.collector(),
    "BlockManagerMetrics.exposition": expose,
    "BlockManagerMetrics.observe": observe,
    "BlockManagerMetrics.pool": lambda w: w.metrics.pool("world"),
    "BlockManagerMetrics.read": lambda w: w.metrics.read(),
    "BlockManagerMetrics.register": register,
    "PoolMetrics.bind": lambda w: w.metrics.pool("world").bind(w.pool),
    "PoolMetrics.read": lambda w: w.metrics.pool("world").read(),
    "CallTimes.quantile": lambda w: diagnosis.CallTimes(np.array([1.0, 2.0]), np.array([3, 4])).quantile(0.5),
    "CallTimes.since": lambda w: (times := diagnosis.CallTimes(np.array([1.0]), np.array([3]))).since(times),
    "Finding.as_dict": lambda w: SAMPLES["Finding"](w).as_dict(),
    "PoolClient.dump": asked(lambda client: client.dump("world")),
    "PoolClient.names": asked(lambda client: client.names()),
    "PoolClient.sample": asked(lambda client: client.sample("world")),
    "PoolDump.from_bytes": lambda w: diagnosis.PoolDump.from_bytes(dump(w).to_bytes()),
    "PoolDump.load": save_dump,
    "PoolDump.of": dump,
    "PoolDump.save": save_dump,
    "PoolDump.to_bytes": lambda w: dump(w).to_bytes(),
    "PoolSample.describe": lambda w: diagnosis.PoolSample.describe(w.pool, "world"),
    "PoolSample.from_bytes": lambda w: diagnosis.PoolSample.from_bytes(diagnosis.PoolSample.describe(w.pool, "world")),
    "PoolSample.of": sample,
    "PoolServer.close": lambda w: diagnosis.PoolServer({"world": w.pool}).close(),
    "examine": findings,
    "read_exposition": expose,
    "serve": lambda w: diagnosis.serve(w.pool).close(),
}

SAMPLES = {
    "BlockIndex": block_index,
    "BlockManagerMetrics": lambda w: w.metrics,
    "CallTimes": lambda w: diagnosis.CallTimes(np.array([1.0]), np.array([3])),
    "Finding": lambda w: diagnosis.Finding("error", "leak", "blocks were lost", {"blocks": 2}),
    "NamespaceRecord": lambda w: persistence.NamespaceRecord("tenant", 1, 2, 3),
    "PoolClient": lambda w: diagnosis.PoolClient("http://127.0.0.1:1"),
    "PoolDump": dump,
    "PoolMetrics": lambda w: w.metrics.pool("world"),
    "PoolSample": sample,
}

if HAS_ZMQ:
    METHODS |= {
        "ZmqEventManager.close": zmq(lambda w, manager: manager.close()),
        "ZmqEventManager.fileno": zmq(lambda w, manager: manager.fileno()),
        "ZmqEventManager.open": zmq(lambda w, manager: manager.open(w.pool)),
        "ZmqEventManager.publish": zmq(lambda w, manager: [manager.open(w.pool), manager.publish(w.pool.snapshot())]),
        "ZmqEventManager.service": zmq(lambda w, manager: manager.service()),
    }

# They make threads and sockets, or are mostly the work of other libraries.
OF_LIBRARIES = (
    "BlockManagerMetrics.collector",
    "BlockManagerMetrics.exposition",
    "BlockManagerMetrics.observe",
    "BlockManagerMetrics.register",
    "PoolClient.",
    "PoolServer.",
    "ZmqEventManager.",
    "read_exposition",
    "serve",
)
