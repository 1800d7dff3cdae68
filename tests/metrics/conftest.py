"""Pools that were busy, and what is scraped of them."""

import shutil

import numpy as np
import pytest

from kvpool import BlockPool, EvictionMode, NotEnoughBlocksAvailable, SequenceBatch
from kvpool.metrics import BlockManagerMetrics


def make_pool(pool_metrics, **options):
    """Make a pool that has something to tell of everything."""
    pool = BlockPool(
        **{
            "num_blocks": 64,
            "block_size": 4,
            "event_capacity": 4096,
            "reuse_sampling": 1.0,
            "max_namespaces": 2,
            "pool_metrics": pool_metrics,
            **options,
        }
    )
    if pool.max_namespaces:
        pool.namespace("tenant", floor=2, cap=8)
    return pool


def use_everything(pool, seed):
    """Call all that is counted, each at least once, and leave some blocks in each state; return what holds them."""
    rng = np.random.default_rng(seed)
    for _ in range(12):
        n = int(rng.integers(1, 9))
        hashes = rng.integers(1, 200, n, dtype=np.uint64)
        pool.register_blocks(pool.allocate_blocks(n), hashes).release()
        pool.match_sequence_hashes(hashes).release()
        pool.match_scattered(rng.integers(1, 200, n, dtype=np.uint64))
        pool.reset_blocks(hashes[-1:])
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate_blocks(pool.total_blocks + 1)
    pool.allocate_blocks(pool.available_blocks - 2).release()  # evicts what is cached; 2 are the tenant's
    cached = np.arange(1000 * seed + 1000, 1000 * seed + 1060, dtype=np.uint64)
    for parts in cached.reshape(-1, 6):
        pool.register_blocks(pool.allocate_blocks(6), parts, parent=None).release()
    pool.evict_ahead(8)
    pool.trigger_eviction(EvictionMode.NORMAL)
    batch = SequenceBatch(pool, 2, 16)
    request = pool.open_sequence(rng.integers(0, 10_000, 14).astype(np.int32))
    batch.add(request)
    for token in range(6):
        batch.append(np.array([token], dtype=np.int32))
    batch.remove(0)
    request.truncate(13)
    held = [pool.allocate_blocks(3), pool.match_sequence_hashes(cached[-12:-6]), request]
    if pool.max_namespaces:
        held.append(pool.allocate_blocks(1, namespace="tenant"))
    return held


@pytest.fixture
def metrics():
    """Metrics that time every call."""
    return BlockManagerMetrics(call_period=1)


@pytest.fixture
def new_pool():
    """Make a pool that has something to tell of everything: the function that does it."""
    return make_pool


@pytest.fixture
def use():
    """Call all that is counted: the function that does it."""
    return use_everything


@pytest.fixture
def scrape():
    """Return the samples of an exposition, by name and labels: the function that does it."""
    parser = pytest.importorskip("prometheus_client.parser", reason="prometheus_client is not installed")

    def read(metrics):
        families = parser.text_string_to_metric_families(metrics.exposition().decode())
        samples = [sample for family in families for sample in family.samples]
        found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
        assert len(found) == len(samples), "a series is there twice"
        return found

    return read


@pytest.fixture
def promtool():
    """Path of promtool."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    return path
