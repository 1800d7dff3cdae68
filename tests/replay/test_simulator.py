"""The simulator: what is held, what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from kvpool.replay import Request, Simulator, Trace, replay


def request(arrival, hashes, *, tokens=None, output=30):
    return Request(arrival, 16 * len(hashes) if tokens is None else tokens, output, np.array(hashes, dtype=np.uint64))


def test_a_repeated_prompt_hits_all_its_blocks():
    result = replay(Trace("t", 16, [request(0, [1, 2, 3]), request(1, [1, 2, 3, 4])]), 10)
    assert (result.blocks, result.hit_blocks, result.hit_tokens, result.evictions) == (7, 3, 48, 0)


def test_a_request_larger_than_the_pool_is_cut_and_counted():
    result = replay(Trace("t", 16, [request(0, range(1, 9)), request(1, range(1, 9))]), 5)
    assert (result.truncated, result.hit_blocks, result.blocks) == (2, 5, 16)


def test_a_request_whose_answer_does_not_fit_is_cut_and_counted():
    simulator = Simulator(3, 16, "service")
    simulator.serve(request(0, [1, 2], output=100))
    assert simulator.result.truncated == 1
    assert simulator.pool.status().active == 3


def test_blocks_of_refused_and_cut_requests_are_not_served():
    simulator = Simulator(4, 16, "service", prefill_rate=1, decode_rate=1)
    simulator.serve(request(0, [1, 2, 3], output=5))
    simulator.serve(request(1, [4, 5], output=5))
    cut = replay(Trace("t", 16, [request(0, range(1, 9))]), 5)
    assert (simulator.close().blocks, simulator.result.served_blocks) == (5, 3)
    assert (cut.blocks, cut.served_blocks) == (8, 5)


def test_blocks_are_held_until_the_request_has_finished():
    simulator = Simulator(10, 16, "service", prefill_rate=16, decode_rate=10)
    simulator.serve(request(0, [1, 2], output=10))  # 2 s of prefill, 1 s of output; and a block for the output
    assert simulator.pool.status().active == 3
    simulator.finish_until(2.9)
    assert simulator.pool.status().active == 3
    simulator.finish_until(3.0)
    assert (simulator.pool.status().active, simulator.pool.status().cached) == (0, 2)


def test_a_request_that_finds_too_few_blocks_is_refused_and_misses():
    simulator = Simulator(4, 16, "service", prefill_rate=1, decode_rate=1)
    simulator.serve(request(0, [1, 2], output=5))
    simulator.serve(request(1, [1, 2, 3, 4], output=5))
    result = simulator.close()
    assert (result.refused, result.hit_blocks, result.requests) == (1, 0, 2)
    assert simulator.pool.available_blocks == 4


def test_a_partial_block_and_the_answer_have_blocks_that_nobody_can_match():
    simulator = Simulator(10, 16, "service", prefill_rate=1, decode_rate=1)
    simulator.serve(request(0, [1, 2], tokens=40, output=30))  # 70 tokens
    status = simulator.pool.status()
    assert (status.active, status.mutable, status.registrations) == (5, 3, 2)
    simulator.close()
    assert (simulator.pool.status().cached, simulator.pool.status().empty) == (2, 8)


def test_a_cached_prefix_shortens_the_time_that_blocks_are_held():
    simulator = Simulator(10, 16, "service", prefill_rate=16, decode_rate=1000)
    simulator.serve(request(0, [1, 2], output=0))  # 2 s
    simulator.serve(request(10, [1, 2, 3], output=0))  # 1 s for the one that is missing
    assert simulator.pool.status().active == 3
    simulator.finish_until(11.0)
    assert simulator.pool.status().active == 0


def test_requests_that_finish_before_an_arrival_make_room_for_it():
    simulator = Simulator(3, 16, "service", prefill_rate=1000, decode_rate=1000)
    simulator.serve(request(0, [1, 2], output=5))
    simulator.serve(request(10, [3, 4], output=5))
    assert simulator.result.refused == 0


def test_each_operation_is_timed_once_a_request():
    result = replay(Trace("t", 16, [request(i, [2 * i, 2 * i + 1]) for i in range(100)]), 50)
    assert {name: histogram.count for name, histogram in result.latencies.items()} == dict.fromkeys(
        ("match", "allocate", "register", "release"), 100
    )


def test_progress_adds_up_to_the_requests():
    steps = []
    replay(Trace("t", 16, [request(i, [i]) for i in range(150)]), 50, progress=steps.append)
    assert sum(steps) == 150


@pytest.mark.parametrize("hold", ["none", "service"])
def test_nothing_is_held_when_the_replay_is_over(hold):
    simulator = Simulator(50, 16, hold)
    simulator.run([request(i / 10, [i // 3, 100 + i]) for i in range(100)])
    assert simulator.pool.outstanding() == []
    assert simulator.pool.available_blocks == 50
    simulator.pool.check_invariants()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"hold": "never"}, "hold = 'never'"),
        ({"prefill_rate": 0}, "prefill_rate = 0"),
        ({"decode_rate": float("nan")}, "decode_rate = nan"),
    ],
)
def test_options_out_of_range_are_errors(options, reason):
    with pytest.raises(ValueError, match=reason):
        replay(Trace("t", 16, [request(0, [1])]), 10, **options)
