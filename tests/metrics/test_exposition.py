"""What prometheus_client makes of the metrics."""

import pytest

from kvpool import BlockPool
from kvpool.metrics import BlockManagerMetrics
from kvpool.metrics.families import FAMILIES

prometheus_client = pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
openmetrics = pytest.importorskip("prometheus_client.openmetrics.exposition")
openmetrics_parser = pytest.importorskip("prometheus_client.openmetrics.parser")
parser = pytest.importorskip("prometheus_client.parser")


@pytest.fixture
def registry():
    return prometheus_client.CollectorRegistry(auto_describe=True)


@pytest.fixture
def busy(metrics, new_pool, use):
    """A busy pool of these metrics, and what holds its blocks."""
    pool = new_pool(metrics.pool("my_pool"))
    return pool, use(pool, 1)


def test_the_text_has_every_metric_with_kind_and_help(metrics, busy):
    read = {family.name: family for family in parser.text_string_to_metric_families(metrics.exposition().decode())}
    # The parser takes the suffix off the names of counters.
    assert set(read) == {family.name.removesuffix("_total") for family in FAMILIES}
    for family in FAMILIES:
        found = read[family.name.removesuffix("_total")]
        assert (found.type, found.documentation) == (family.kind, family.help)
        for sample in found.samples:
            assert set(sample.labels) - {"le"} == set(family.labels)


def test_the_text_ends_where_there_is_no_pool():
    assert BlockManagerMetrics().exposition() == b""


def test_openmetrics_has_the_same_values(metrics, busy, registry, scrape):
    metrics.register(registry)
    text = openmetrics.generate_latest(registry).decode()
    families = openmetrics_parser.text_string_to_metric_families(text)
    read = {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }
    assert read == scrape(metrics)


@pytest.mark.parametrize("name", ['quotes "and" \\ backslashes', "two\nlines", "Grüße, 世界", "", "lone \udc80"])
def test_any_name_can_be_scraped(metrics, scrape, name):
    pool = BlockPool(8, max_namespaces=2, pool_metrics=metrics.pool(name))
    pool.namespace(name or "tenant", salt_hash=1)
    label = name.replace("\udc80", "\\udc80")
    found = scrape(metrics)
    assert found["kvpool_block_size_tokens", ("pool", label)] == 16
    assert found["kvpool_namespace_cap_blocks", ("namespace", label or "tenant"), ("pool", label)] == 8


def test_a_registry_collects_the_metrics_along_with_others(metrics, busy, registry):
    prometheus_client.Counter("requests", "Requests.", registry=registry).inc()
    metrics.register(registry)
    assert registry.get_sample_value("requests_total") == 1
    assert registry.get_sample_value("kvbm_inflight_mutable", {"pool": "my_pool"}) == busy[0].status().mutable


def test_a_registry_takes_metrics_before_any_pool_is_made(metrics, registry):
    metrics.register(registry)
    assert registry.get_sample_value("kvbm_inflight_mutable", {"pool": "my_pool"}) is None
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    assert registry.get_sample_value("kvpool_block_size_tokens", {"pool": "my_pool"}) == pool.block_size


def test_a_registry_takes_the_metrics_once(metrics, registry):
    collector = metrics.register(registry)
    with pytest.raises(ValueError, match="kvbm_allocations_total"):
        BlockManagerMetrics().register(registry)
    registry.unregister(collector)
    BlockManagerMetrics().register(registry)


def test_the_default_registry_is_that_of_the_process(metrics, busy):
    collector = metrics.register()
    try:
        assert b"kvbm_inflight_mutable{" in prometheus_client.generate_latest()
    finally:
        prometheus_client.REGISTRY.unregister(collector)
    assert b"kvbm_inflight_mutable" not in prometheus_client.generate_latest()


def test_some_metrics_can_be_asked_for_by_name(metrics, busy, registry):
    metrics.register(registry)
    text = prometheus_client.generate_latest(registry.restricted_registry(["kvpool_pinned_blocks"])).decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'kvpool_pinned_blocks{pool="my_pool"} 0.0'
    ]


def test_a_scrape_reads_each_pool_once(busy):
    class Counting(BlockManagerMetrics):
        reads = 0

        def read(self):
            self.reads += 1
            return super().read()

    metrics = Counting()
    metrics.pool("my_pool").bind(busy[0])
    metrics.exposition()
    assert metrics.reads == 1
