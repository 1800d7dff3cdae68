"""Percentiles against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from kvpool.replay import LatencyHistogram


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_within_a_bucket_of_the_true_ones(seed):
    durations = np.random.default_rng(seed).lognormal(8, 3, 4999).astype(np.int64)
    histogram = LatencyHistogram()
    for duration in durations:
        histogram.add(int(duration))
    for percent in (1, 50, 90, 99, 99.9, 100):
        true = int(np.percentile(durations, percent, method="inverted_cdf"))
        assert true <= histogram.percentile(percent) <= true * (1 + 1 / 128)
    assert histogram.percentile(100) == histogram.max_ns == durations.max()


def test_small_durations_are_exact():
    histogram = LatencyHistogram()
    for duration in range(200):
        histogram.add(duration)
    assert [histogram.percentile(percent) for percent in (0.5, 50, 64)] == [0, 99, 127]


def test_nothing_counted_is_zero():
    assert LatencyHistogram().summary() == {
        "count": 0,
        "p50_ns": 0,
        "p90_ns": 0,
        "p99_ns": 0,
        "p999_ns": 0,
        "max_ns": 0,
    }


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percentile_outside_its_range_is_an_error(percent):
    with pytest.raises(ValueError, match="is not in"):
        LatencyHistogram().percentile(percent)
