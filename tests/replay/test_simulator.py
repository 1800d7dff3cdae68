"""The simulator: what is held, what is counted."""

from __future__ import annotations

import numpy as np

from kvpool.replay import Request, Simulator, Trace, replay


def request(arrival, hashes, *, tokens=None, output=30):
    return Request(arrival, 16 * len(hashes) if tokens is None else tokens, output, np.array(hashes, dtype=np.uint64))


def test_a_repeated_prompt_hits_all_its_blocks():
    result = replay(Trace("t", 16, [request(0, [1, 2, 3]), request(1, [1, 2, 3, 4])]), 10)
    assert (result.blocks, result.hit_blocks, result.hit_tokens, result.evictions) == (7, 3, 48, 0)


def test_a_request_larger_than_the_pool_is_cut_and_counted():
    result = replay(Trace("t", 16, [request(0, range(1, 9)), request(1, range(1, 9))]), 5)
    assert (result.truncated, result.hit_blocks, result.blocks) == (2, 5, 16)


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
