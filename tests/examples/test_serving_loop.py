"""The example's serving loop gives, token for token, what a loop without cache, paging and preemption gives."""

import os
import random
import runpy
import sys
from collections import Counter
from pathlib import Path

import pytest

from kvpool import BlockPool

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from paged_transformer import PagedTransformer  # noqa: E402
from serving_loop import Request, ServingLoop, generate_alone  # noqa: E402

SEEDS = [int(os.environ["KVPOOL_SEED"])] if "KVPOOL_SEED" in os.environ else range(240)


def workload(rng):
    """Return requests that share prompts, parts of prompts, and what others generated."""
    system = [rng.randrange(PagedTransformer.vocabulary) for _ in range(rng.choice([0, 5, 17]))]
    requests = []
    for _ in range(rng.randint(2, 7)):
        prompt = list(system)
        if requests and rng.random() < 0.4:
            prompt = list(rng.choice(requests).prompt)
        prompt += [rng.randrange(PagedTransformer.vocabulary) for _ in range(rng.randint(0 if prompt else 1, 12))]
        max_tokens = rng.randint(1, 14)
        samples = rng.choice([1, 1, 1, 3])
        requests += [Request(prompt, max_tokens, sample) for sample in range(samples)]
    return requests


def run(seed):
    """Serve a workload, compare, and return what happened."""
    rng = random.Random(seed)
    block_size = rng.randint(1, 8)
    requests = workload(rng)
    longest = max(len(request.prompt) + request.max_tokens for request in requests)
    num_blocks = -(-longest // block_size) + rng.choice([1, 3, 40])
    pool = BlockPool(num_blocks, block_size, duplicates=rng.choice(["share", "keep"]))
    model = PagedTransformer(num_blocks, block_size, seed)
    loop = ServingLoop(
        model, pool, max_running=rng.randint(1, 5), chunk=rng.choice([3, 8, 64]), drafts=rng.choice([0, 0, 3])
    )
    done = []
    while requests:  # follow-up turns come when the first are done, and go on from their outputs
        loop.serve(requests)
        done += requests
        pool.check_invariants()
        assert pool.available_blocks == num_blocks
        requests = []
        if len(done) < 4:
            followed = rng.choice(done)
            room = longest - len(followed.prompt) - len(followed.outputs) - 2
            if room > 0:
                requests = [Request(followed.prompt + followed.outputs + [1], min(room, 5))]
    alone = PagedTransformer(-(-PagedTransformer.longest // 8), 8, seed)
    for request in done:
        assert request.outputs == generate_alone(alone, request)
    loop.counts["evictions"] = pool.status().evictions
    return loop.counts


@pytest.mark.parametrize("seed", SEEDS)
def test_the_tokens_are_those_of_a_loop_with_none_of_this(seed):
    print(f"repeat with: KVPOOL_SEED={seed} pytest tests/examples/test_serving_loop.py")
    run(seed)


def test_the_workloads_meet_what_they_are_for():
    counts = Counter()
    for seed in range(80):
        counts += run(seed)
    for name in ("cached tokens", "evictions", "preemptions", "forks", "copied blocks", "waits", "refused rows"):
        assert counts[name] > 10, name
    assert counts["drafts"] > counts["accepted drafts"] > 10


def test_the_example_runs(capsys):
    runpy.run_path(str(EXAMPLES / "serving_loop.py"), run_name="__main__")
    assert "the tokens are those of a loop without cache" in capsys.readouterr().out
