"""Pools in an exposition of Prometheus, and quantiles of what was timed."""

from __future__ import annotations

import numpy as np
import pytest

from kvpool.diagnosis import CallTimes, DumpError, PoolSample, read_exposition
from kvpool.metrics import BlockManagerMetrics

EXPOSITION = """\
# TYPE kvpool_blocks gauge
kvpool_blocks{pool="other",state="empty"} 7
kvpool_blocks{pool="other",state="active"} 3
kvpool_blocks{pool="other",state="total"} 10
# TYPE kvpool_call_duration_seconds histogram
kvpool_call_duration_seconds_bucket{pool="other",call="match",le="+Inf"} 100
kvpool_call_duration_seconds_bucket{pool="other",call="match",le="1e-06"} 90
kvpool_call_duration_seconds_bucket{pool="other",call="match",le="2e-06"} 98
kvpool_call_duration_seconds_sum{pool="other",call="match"} 0.0001
kvpool_call_duration_seconds_count{pool="other",call="match"} 100
# TYPE kvpool_waiting gauge
kvpool_waiting{pool="nobody's"} 4
# TYPE process_open_fds gauge
process_open_fds NaN
"""


def test_pools_are_read_from_metrics_as_from_themselves(busy_pool):
    pytest.importorskip("prometheus_client")
    metrics = BlockManagerMetrics(call_period=1)
    metrics.pool("shown").bind(busy_pool)
    with busy_pool.match_sequence_hashes([11, 12, 99]), busy_pool.allocate_blocks(7):
        (shown,) = read_exposition(metrics.exposition().decode(), 17.0).values()
        itself = PoolSample.of(busy_pool, "shown")
    assert (shown.name, shown.time, shown.about) == ("shown", 17.0, "16 blocks of 4 tokens")
    assert shown.blocks == itself.blocks
    assert shown.counters == itself.counters
    assert shown.evictions == itself.evictions
    assert shown.gauges == itself.gauges
    assert {call: times.num_calls for call, times in shown.latencies.items()} == {
        call: times.num_calls for call, times in itself.latencies.items()
    }
    assert shown.latencies["match"].quantile(0.5) == itself.latencies["match"].quantile(0.5)
    assert shown.blocks == {"immutable": 5, "mutable": 9, "cached": 2, "empty": 0}
    assert (shown.evictions["capacity"], shown.counters["matched"]) == (1, 4)


def test_what_is_not_told_is_missing_and_what_is_not_known_is_left_out():
    pytest.importorskip("prometheus_client")
    (other,) = read_exposition(EXPOSITION, 17.0).values()
    assert (other.name, other.about) == ("other", "10 blocks")
    assert other.blocks == {"immutable": 3, "empty": 7}
    assert (other.counters, other.evictions, other.gauges) == ({}, {}, {})
    assert other.latencies["match"].counts.tolist() == [90, 8, 2]
    assert other.latencies["match"].quantile(0.95) == 2e-6


@pytest.mark.parametrize(
    "text",
    [
        "",
        "up 1\n",
        "kvpool_blocks{\n",
        "<html>",
        'kvpool_blocks{state="empty"} x\n',
        'kvpool_blocks{state="empty"} NaN\n',
        'kvpool_blocks{state="empty"} 1\nkvpool_call_duration_seconds_bucket{le="x"} 1\n',
        'kvpool_blocks{state="empty"} 1\nkvpool_call_duration_seconds_bucket{} 1\n',
    ],
)
def test_what_has_no_pools_is_refused(text):
    pytest.importorskip("prometheus_client")
    with pytest.raises(DumpError, match="exposition"):
        read_exposition(text, 0.0)


def test_numbers_that_cannot_be_are_nothing():
    pytest.importorskip("prometheus_client")
    text = 'kvpool_blocks{state="empty"} 7\nkvpool_blocks{state="cached"} -1\n'
    for bound, count in (("1", 5), ("2", 3), ("NaN", 9), ("+Inf", 4)):
        text += f'kvpool_call_duration_seconds_bucket{{call="match",le="{bound}"}} {count}\n'
    (pool,) = read_exposition(text, 0.0).values()
    assert pool.blocks == {"empty": 7, "cached": 0}
    assert pool.latencies["match"].counts.tolist() == [5, 0, 1]


def test_quantiles_are_bounds_of_classes_and_the_largest_finite_one_at_most():
    times = CallTimes(np.array([1.0, 2.0, 4.0, np.inf]), np.array([5.0, 0.0, 4.0, 1.0]))
    assert times.num_calls == 10
    assert [times.quantile(share) for share in (0, 0.5, 0.51, 0.9, 0.99, 1)] == [1, 1, 4, 4, 4, 4]
    assert CallTimes(times.bounds, np.zeros(4)).quantile(0.5) == 0
    assert CallTimes(np.array([np.inf]), np.ones(1)).quantile(0.5) == 0


def test_calls_since_a_look_are_differences_unless_they_were_counted_anew():
    bounds = np.array([1.0, 2.0])
    earlier, later = CallTimes(bounds, np.array([5.0, 1.0])), CallTimes(bounds, np.array([5.0, 3.0]))
    assert later.since(earlier).counts.tolist() == [0, 2]
    assert earlier.since(later) is earlier
    assert later.since(CallTimes(np.array([1.0]), np.array([1.0]))) is later
