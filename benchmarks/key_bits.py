"""What keys of 128 bits cost beside those of 64: ``python benchmarks/key_bits.py``; seconds."""

import statistics
import time

import numpy as np
from machine import machine_line

from kvpool import BlockPool, sequence_hashes

BLOCKS = 256
ROUNDS = 500


def nanoseconds(*calls):
    """Return the median of each call's rounds; the calls take turns."""
    taken = [[] for _ in calls]
    for _ in range(ROUNDS):
        for times, call in zip(taken, calls, strict=True):
            start = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - start)
    return [statistics.median(times) for times in taken]


def main():
    tokens = np.arange(BLOCKS * 16, dtype=np.int32)
    prompt = tokens[: 64 * 16 + 1]
    plain, checked = BlockPool(4096), BlockPool(4096, key_bits=128)
    hashes, keys = sequence_hashes(tokens), checked.sequence_keys(tokens)
    plain.register_blocks(plain.allocate_blocks(BLOCKS), hashes).release()
    checked.register_blocks(checked.allocate_blocks(BLOCKS), keys).release()
    for pool in (plain, checked):
        with pool.open_sequence(prompt) as sequence:
            sequence.commit(len(prompt))
    print(machine_line())
    for name, unit, size, pair in (
        ("hash", "ns a block", BLOCKS, (lambda: sequence_hashes(tokens), lambda: checked.sequence_keys(tokens))),
        (
            "match + drop 256",
            "ns a block",
            BLOCKS,
            (lambda: plain.match_sequence_hashes(hashes), lambda: checked.match_sequence_hashes(keys)),
        ),
        (
            "warm request of 64 blocks",
            "ns a request",
            1,
            (lambda: plain.open_sequence(prompt).release(), lambda: checked.open_sequence(prompt).release()),
        ),
    ):
        short, long = (median / size for median in nanoseconds(*pair))
        print(f"{name:28s}{short:10,.1f}{long:10,.1f}  {unit}, with keys of 64 and 128 bits")


if __name__ == "__main__":
    main()
