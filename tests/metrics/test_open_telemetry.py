"""OpenTelemetry observes the same values as Prometheus."""

import pytest

from kvpool import BlockPool
from kvpool.metrics import BlockManagerMetrics
from kvpool.metrics.families import FAMILIES

sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason="opentelemetry-sdk is not installed")
export = pytest.importorskip("opentelemetry.sdk.metrics.export")


class CountingMetrics(BlockManagerMetrics):
    """Metrics that count how often they are read."""

    reads = 0

    def read(self):
        self.reads += 1
        return super().read()


@pytest.fixture
def metrics():
    return CountingMetrics(call_period=1)


@pytest.fixture
def reader():
    return export.InMemoryMetricReader()


@pytest.fixture
def provider(reader):
    provider = sdk.MeterProvider([reader])
    yield provider
    provider.shutdown()


def collect(reader):
    """Return the instruments that have data, by name."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def values_of(instruments):
    """Return values by the name of the instrument and the attributes."""
    return {
        (name, *sorted(point.attributes.items())): point.value
        for name, metric in instruments.items()
        for point in metric.data.data_points
    }


@pytest.fixture
def busy(metrics, new_pool, use):
    pool = new_pool(metrics.pool("my_pool"))
    return pool, use(pool, 1)


def test_observed_values_are_those_that_prometheus_scrapes(metrics, reader, provider, busy, scrape):
    metrics.observe(provider.get_meter("kvpool"))
    observed = values_of(collect(reader))
    scraped = {(name.removesuffix("_total"), *labels): value for (name, *labels), value in scrape(metrics).items()}
    # Counts of histograms whose sum is not known are in the last bucket alone in Prometheus.
    extra = {("kvpool_block_lifetime_seconds_count",), ("kvpool_block_idle_seconds_count",)}
    assert {key for key in observed if (key[0],) not in extra} == set(scraped)
    assert {key: observed[key] for key in scraped} == pytest.approx(scraped)


def test_instruments_are_counters_and_gauges_with_units_and_help(metrics, reader, provider, busy):
    metrics.observe(provider.get_meter("kvpool"))
    instruments = collect(reader)
    for family in FAMILIES:
        name = family.name.removesuffix("_total")
        if family.kind == "histogram":
            continue
        instrument = instruments[name]
        assert instrument.description == family.help
        assert instrument.unit == f"{{{family.unit}}}"
        if family.kind == "counter":
            assert instrument.data.is_monotonic
        else:
            assert not hasattr(instrument.data, "is_monotonic")
    assert instruments["kvpool_call_duration_seconds_sum"].unit == "s"


def test_histograms_are_counters_of_buckets(metrics, reader, provider):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    for _ in range(5):
        pool.allocate_blocks(1)
    metrics.observe(provider.get_meter("kvpool"))
    observed = values_of(collect(reader))
    call, name = ("call", "allocate"), ("pool", "my_pool")
    assert observed["kvpool_call_duration_seconds_bucket", call, ("le", "+Inf"), name] == 5
    assert observed["kvpool_call_duration_seconds_count", call, name] == 5
    assert observed["kvpool_call_duration_seconds_sum", call, name] == pool.latencies()["allocate"].total_seconds


def test_a_collection_reads_each_pool_once(metrics, reader, provider, busy):
    metrics.observe(provider.get_meter("kvpool"))
    for collections in (1, 2, 3):
        collect(reader)
        assert metrics.reads == collections


def test_every_collection_is_of_its_own_moment(metrics, reader, provider):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    metrics.observe(provider.get_meter("kvpool"))
    key = ("kvbm_inflight_mutable", ("pool", "my_pool"))
    held = []
    for count in range(1, 4):
        held.append(pool.allocate_blocks(1))
        observed = values_of(collect(reader))
        assert observed[key] == count
        assert observed["kvbm_allocations", ("pool", "my_pool")] == count


def test_two_readers_both_see_what_there_is(metrics):
    readers = [export.InMemoryMetricReader() for _ in range(2)]
    provider = sdk.MeterProvider(readers)
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    metrics.observe(provider.get_meter("kvpool"))
    for count in range(1, 4):
        pool.allocate_blocks(1)
        for reader in readers:
            assert values_of(collect(reader))["kvbm_allocations", ("pool", "my_pool")] == count
    provider.shutdown()


def test_a_pool_that_is_gone_is_not_observed(metrics, reader, provider):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    metrics.observe(provider.get_meter("kvpool"))
    assert collect(reader)
    del pool
    assert values_of(collect(reader)) == {}


def test_the_global_meter_is_taken_without_another(metrics, run_python):
    program = """
        from opentelemetry import metrics as api
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from kvpool import BlockPool
        from kvpool.metrics import BlockManagerMetrics

        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        api.set_meter_provider(provider)
        metrics = BlockManagerMetrics()
        metrics.observe()
        pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
        (resource,) = reader.get_metrics_data().resource_metrics
        (scope,) = resource.scope_metrics
        print(scope.scope.name, len(scope.metrics))
        provider.shutdown()
    """
    name, count = run_python(program).split()
    assert name == "kvpool"
    assert int(count) > 20
