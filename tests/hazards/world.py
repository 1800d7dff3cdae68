"""What the calls of this folder are made on: a pool with all that it can have, and ways to what its users hold."""

import contextlib
import itertools
import os
import shutil
import tempfile
import weakref

import numpy as np

import kvpool
from kvpool import AsyncBlockPool, BackgroundEvictor, BlockPool, BlockPoolError, SequenceBatch
from kvpool.diagnosis import serve
from kvpool.metrics import BlockManagerMetrics
from kvpool.storage import FullyContiguous, HostStorage, LayerSeparate, LayoutConfig


def layout_of(num_blocks, kind=FullyContiguous, **options):
    """A layout of blocks of 16 bytes."""
    return kind(LayoutConfig(num_blocks, 1, 2, page_size=4, inner_dim=2, dtype="uint8", **options))


def host_storage(num_blocks, kind=FullyContiguous):
    return HostStorage(layout_of(num_blocks, kind), huge_pages=False)


def clear_away(folder, names):
    """Remove files, and shared memory whose name begins with one of the names."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []:
        if name.startswith(names):
            os.unlink(f"/dev/shm/{name}")


class World:
    """A pool, and a way to each kind of thing that its users hold.

    Parameters
    ----------
    pool : BlockPool, optional
    has_memory : bool, default True
        Whether the pool's blocks have memory.
    """

    def __init__(self, pool=None, has_memory=True):
        if pool is None:
            pool = BlockPool(64, 4, event_capacity=64, max_namespaces=3, reuse_sampling=1.0, name="world")
        self.pool = pool
        if self.pool.max_namespaces:
            self.pool.namespace("tenant", cap=32)
        self.keyed_pool = BlockPool(8, 4, key_bits=128)
        self.owner = ["somebody"]
        self.memory = host_storage(self.pool.total_blocks)
        self.other_memory = host_storage(self.pool.total_blocks, LayerSeparate)
        self.metrics = BlockManagerMetrics()
        self.metrics.pool("world").bind(self.pool)
        if has_memory:
            self.pool.attach_storage(self.memory, scrub="namespaces")
        self.folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)  # no disk to wait for
        self.shared_name = f"kvpool-hazard-{os.getpid()}-"
        self._numbers = itertools.count()
        weakref.finalize(self, clear_away, self.folder, self.shared_name)

    def fresh(self, n=2):
        return self.pool.allocate_blocks(n, owner=self.owner)

    def stored(self, hashes=(1, 2, 3)):
        return self.pool.register_blocks(self.fresh(len(hashes)), hashes)

    def one(self):
        """Return a block in which tokens can be put."""
        block = self.fresh(1)[0]
        block.init_sequence()
        return block

    def request(self, n=6, commit=True):
        request = self.pool.open_sequence(range(n), owner=self.owner, namespace=self.name)
        if commit:
            request.commit(n)
        return request

    def batch(self):
        batch = SequenceBatch(self.pool, 4, 8)
        batch.add(self.request())
        return batch

    @property
    def name(self):
        return "tenant" if self.pool.max_namespaces else None

    def error(self, call):
        try:
            call()
        except BlockPoolError as error:
            return error.with_traceback(None)
        raise AssertionError("it should have failed")

    def path(self):
        """Return a path that was not there before."""
        return f"{self.folder}/{os.getpid()}-{next(self._numbers)}"

    @property
    def index(self):
        """A saved index of a pool with one block registered, and a pool that can load it."""
        path = f"{self.folder}/index"
        if not os.path.exists(path):
            with BlockPool(8, 4) as pool:
                pool.register_blocks(pool.allocate_blocks(1), [1]).release()
                pool.save_index(path)
        return path

    @contextlib.contextmanager
    def pool_with_memory(self):
        """Yield a pool of its own whose blocks have memory."""
        with self.small_pool() as pool:
            pool.attach_storage(host_storage(8), scrub="allocate")
            yield pool

    @contextlib.contextmanager
    def small_pool(self, **options):
        """Yield a pool of its own, for what ends a pool or its thread."""
        with BlockPool(8, 4, event_capacity=16, **options) as pool:
            yield pool

    @contextlib.contextmanager
    def server(self):
        with serve(self.pool) as server:
            yield server

    @contextlib.contextmanager
    def zmq_manager(self):
        from kvpool.events import ZmqEventManager

        manager = ZmqEventManager("tcp://127.0.0.1:*", replay_endpoint="tcp://127.0.0.1:*")
        with contextlib.closing(manager):
            yield manager

    @contextlib.contextmanager
    def subscription(self):
        with self.pool.subscribe(lambda batch: None) as subscription:
            yield subscription

    @contextlib.contextmanager
    def prefetch(self):
        with self.pool.prefetch([1, 2, 80], hold=3600) as prefetch:
            yield prefetch

    @contextlib.contextmanager
    def evictor(self):
        with BackgroundEvictor(self.pool, reserve=1) as evictor:
            yield evictor


def finish(coroutine):
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    raise AssertionError("it waits")


def finish_async(call):
    return lambda w: finish(call(AsyncBlockPool(w.pool), w))


def using(resource, call):
    """Make a call with something that ends after it."""

    def run(w):
        with getattr(w, resource)() as thing:
            return call(w, thing)

    return run


def never(pool):
    """Be a chore that has nothing to do."""
    return False


def tokens_of(n):
    return kvpool.TokenBlockSequence(range(n), 4)


def candidates(n=2):
    columns = [
        np.arange(n, dtype=dtype) for dtype in (np.int32, np.uint64, np.float64, np.uint32, np.uint32, np.uint32)
    ]
    return kvpool.Candidates(*columns)


def shortage(w):
    return w.error(lambda: w.pool.allocate_blocks(w.pool.total_blocks + 1))
