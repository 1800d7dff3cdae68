"""Which pool the metrics of a name are those of."""

import gc
import threading
import weakref

import pytest

from kvpool import BlockPool, BlockPoolError
from kvpool.metrics import BlockManagerMetrics, PoolMetrics


def names(metrics):
    return [reading.name for reading in metrics.read()]


def test_a_name_has_always_the_same_metrics(metrics):
    assert metrics.pool("my_pool") is metrics.pool("my_pool")
    assert metrics.pool("my_pool") is not metrics.pool("other")
    assert metrics.pool("my_pool").name == "my_pool"


def test_a_pool_that_is_made_with_metrics_is_theirs(metrics):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    assert metrics.pool("my_pool").pool is pool
    assert names(metrics) == ["my_pool"]
    assert pool.latencies()["match"].period == 1


def test_metrics_of_no_pool_are_not_shown(metrics):
    assert metrics.pool("my_pool").pool is None
    assert metrics.pool("my_pool").read() is None
    assert names(metrics) == []


def test_a_second_live_pool_is_refused_by_name(metrics):
    first = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    with pytest.raises(BlockPoolError, match="metrics 'my_pool' are those of another pool, <BlockPool of 8 blocks"):
        BlockPool(16, pool_metrics=metrics.pool("my_pool"))
    second = BlockPool(16)
    with pytest.raises(BlockPoolError, match="my_pool"):
        metrics.pool("my_pool").bind(second)
    assert metrics.pool("my_pool").pool is first
    assert second.latencies()["match"].period == 0  # the refusal changed nothing


def test_binding_the_same_pool_again_changes_nothing(metrics):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    pool.allocate_blocks(1)
    metrics.pool("my_pool").bind(pool)
    assert pool.latencies()["allocate"].num_calls == 1


def test_a_pool_can_be_bound_after_it_was_made(metrics):
    pool = BlockPool(8)
    metrics.pool("my_pool").bind(pool)
    pool.allocate_blocks(1)
    assert pool.latencies()["allocate"].num_calls == 1
    assert names(metrics) == ["my_pool"]


def test_metrics_and_readings_do_not_keep_a_pool_alive(metrics, new_pool, use):
    pool = new_pool(metrics.pool("my_pool"))
    use(pool, 1)
    pool.close()
    readings = metrics.read()
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    assert readings[0].namespaces[1].name == "tenant"


def test_the_series_of_a_pool_end_with_it(metrics, scrape):
    pool, other = (BlockPool(8, pool_metrics=metrics.pool(name)) for name in ("my_pool", "other"))
    assert {dict(labels)["pool"] for _, *labels in scrape(metrics)} == {"my_pool", "other"}
    del pool
    assert {dict(labels)["pool"] for _, *labels in scrape(metrics)} == {"other"}
    assert other.total_blocks == 8


def test_a_new_pool_can_have_the_name_of_one_that_is_gone(metrics, scrape):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    pool.allocate_blocks(5)
    del pool
    pool = BlockPool(16, pool_metrics=metrics.pool("my_pool"))
    pool.allocate_blocks(1)
    assert scrape(metrics)["kvbm_allocations_total", ("pool", "my_pool")] == 1


def test_a_closed_pool_is_shown_until_it_is_gone(metrics):
    pool = BlockPool(8, event_capacity=8, pool_metrics=metrics.pool("my_pool"))
    pool.close()
    assert names(metrics) == ["my_pool"]


def test_of_pools_that_are_made_at_once_one_gets_the_name():
    metrics = BlockManagerMetrics()
    start, made, refused = threading.Barrier(8), [], []

    def make():
        start.wait(60)
        try:
            made.append(BlockPool(8, pool_metrics=metrics.pool("my_pool")))
        except BlockPoolError as error:
            refused.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7)
    assert metrics.pool("my_pool").pool is made[0]


@pytest.mark.parametrize("pool", [None, object(), "my_pool"])
def test_what_is_no_pool_is_refused(metrics, pool):
    with pytest.raises(TypeError, match="pool must be a BlockPool, not"):
        metrics.pool("my_pool").bind(pool)


@pytest.mark.parametrize("name", [None, 1, b"my_pool"])
def test_a_name_is_a_str(metrics, name):
    with pytest.raises(TypeError, match="name must be a str, not"):
        metrics.pool(name)


@pytest.mark.parametrize(
    ("period", "error"), [(-1, ValueError), (2**32, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_a_period_that_makes_no_sense_is_refused(period, error):
    with pytest.raises(error, match="call_period"):
        BlockManagerMetrics(call_period=period)


def test_representations_say_whose_they_are(metrics):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    assert repr(metrics) == "<BlockManagerMetrics of 'my_pool'>"
    assert repr(metrics.pool("my_pool")) == f"<PoolMetrics 'my_pool' of {pool!r}>"
    assert repr(BlockManagerMetrics()) == "<BlockManagerMetrics of no pools>"
    assert isinstance(metrics.pool("my_pool"), PoolMetrics)
