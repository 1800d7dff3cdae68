"""An hour of real chat traffic: the pool's hit ratios are those that an independent simulator found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvpool.replay import Trace, read_trace, replay

NAME = "conversation_trace.jsonl"
PLACES = [os.environ.get("KVPOOL_TRACES", ""), str(Path(__file__).parents[3] / "shared" / "traces")]


@pytest.fixture(scope="module")
def trace() -> Trace:
    for place in PLACES:
        if place and (Path(place) / NAME).exists():
            return read_trace(Path(place) / NAME)
    pytest.skip(f"{NAME} is not here; name its folder in KVPOOL_TRACES")


def test_the_trace_has_the_blocks_it_is_known_for(trace):
    assert len(trace.requests) == 12_031
    assert trace.num_blocks == 276_491
    assert trace.num_unique_blocks == 170_899
    assert f"{trace.ceiling:.2%}" == "38.19%"


@pytest.mark.parametrize(
    ("capacity", "percent"),
    [
        (854, "4.58"),
        (1708, "5.44"),
        (3417, "8.01"),
        (8544, "20.22"),
        (17089, "28.82"),
        (34179, "35.85"),
        (68359, "37.55"),
    ],
)
def test_tail_first_lru_hits_as_often_as_it_must(trace, capacity, percent):
    result = replay(trace, capacity)
    assert f"{100 * result.block_hit_ratio:.2f}" == percent
    assert result.refused == result.truncated == 0


def test_held_requests_leave_less_room_and_hit_less(trace):
    free = replay(trace, 8544)
    held = replay(trace, 8544, hold="service")
    assert held.peak_active > free.peak_active
    assert held.block_hit_ratio < free.block_hit_ratio
