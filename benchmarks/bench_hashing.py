"""Sequence hashes of n blocks of 16 tokens, from an int32 array and from a list of ints."""

import pytest
from workloads import BATCHES, BLOCK_SIZE, tokens

from kvpool import sequence_hashes


@pytest.mark.parametrize("n", BATCHES)
@pytest.mark.parametrize("form", ["int32 array", "list"])
def bench_sequence_hashes(measure, form, n):
    token_ids = tokens(n, seed=6)
    if form == "list":
        token_ids = token_ids.tolist()
    calls = max(1, 1024 // n)

    def run():
        for _ in range(calls):
            sequence_hashes(token_ids, BLOCK_SIZE)

    assert len(sequence_hashes(token_ids, BLOCK_SIZE)) == n
    measure(run, calls=calls, n=n, variant=form)
