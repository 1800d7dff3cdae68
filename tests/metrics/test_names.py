"""What the metrics are called, and by which labels they are told apart."""

import re

import pytest

from kvpool.metrics.families import DYNAMO_FAMILIES, FAMILIES, KVPOOL_FAMILIES
from kvpool.metrics.pool_reading import PoolReading

DYNAMO_COUNTERS = {
    "kvbm_allocations_total",
    "kvbm_allocations_from_reset_total",
    "kvbm_evictions_total",
    "kvbm_registrations_total",
    "kvbm_duplicate_blocks_total",
    "kvbm_registration_dedup_total",
    "kvbm_match_hashes_requested_total",
    "kvbm_match_blocks_returned_total",
    "kvbm_scan_hashes_requested_total",
    "kvbm_scan_blocks_returned_total",
}
DYNAMO_GAUGES = {"kvbm_inflight_mutable", "kvbm_inflight_immutable", "kvbm_reset_pool_size", "kvbm_inactive_pool_size"}


def each(families):
    return pytest.mark.parametrize("family", families, ids=lambda family: family.name)


def test_dynamos_metrics_have_dynamos_names_kinds_and_label():
    kinds = {family.name: family.kind for family in DYNAMO_FAMILIES}
    assert kinds == dict.fromkeys(DYNAMO_COUNTERS, "counter") | dict.fromkeys(DYNAMO_GAUGES, "gauge")
    assert {family.labels for family in DYNAMO_FAMILIES} == {("pool",)}


def test_names_are_distinct_and_say_whose_they_are():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert all(family.name.startswith("kvpool_") for family in KVPOOL_FAMILIES)


@each(FAMILIES)
def test_a_name_follows_the_rules_of_prometheus(family):
    assert re.fullmatch(r"[a-z_]+", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert family.name.endswith("_seconds") == (family.unit == "seconds") == (family.kind == "histogram")


@each(FAMILIES)
def test_a_metric_explains_itself_in_a_line(family):
    assert re.fullmatch(r"[A-Z][^\n]+\.", family.help)
    assert family.unit.endswith("s")
    assert family.labels[0] == "pool"


@each(FAMILIES)
def test_every_series_has_a_value_for_each_label(family, metrics, new_pool, use):
    pool = new_pool(metrics.pool("my_pool"))
    held = use(pool, 1)
    (reading,) = metrics.read()
    assert isinstance(reading, PoolReading)
    numbers, histograms = list(family.numbers([reading])), list(family.histograms([reading]))
    shown, other = (histograms, numbers) if family.kind == "histogram" else (numbers, histograms)
    assert shown
    assert other == []
    assert {len(labels) for labels, _ in shown} == {len(family.labels)}
    assert {labels[0] for labels, _ in shown} == {"my_pool"}
    assert len({labels for labels, _ in shown}) == len(shown)
    del held
