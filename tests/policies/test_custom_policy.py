"""Policies that users write: what they are told, what of their answer counts, and that they cannot harm the pool."""

from __future__ import annotations

import random
import subprocess
import sys
import sysconfig
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from kvpool import BlockPool, Candidate, Candidates, EvictionPolicy, NotEnoughBlocksAvailable

ROOT = Path(__file__).parents[2]


class Ranked:
    """A policy that ranks by a function."""

    def __init__(self, score, window=1024):
        self.score = score
        self.window = window
        self.calls = 0

    def rank(self, blocks):
        self.calls += 1
        return self.score(blocks)


class Chosen:
    """A policy that names ids by a function."""

    def __init__(self, choose):
        self.choose = choose


def oldest_first(blocks):
    return np.arange(len(blocks.ids))


def filled(num_blocks, hashes, policy, **options):
    pool = BlockPool(num_blocks, eviction=policy, **options)
    for sequence_hash in hashes:
        pool.register_blocks(pool.allocate_blocks(1), [sequence_hash]).release()
    return pool


def evicted_by(pool, n):
    blocks = pool.allocate_blocks(n)
    hashes = blocks.evicted.sequence_hashes.tolist()
    blocks.release()
    pool.check_invariants()
    return hashes


@pytest.fixture
def unraisable(monkeypatch):
    """Errors that were reported where no caller could be told."""
    seen: list = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: seen.append(error.exc_value))
    return seen


def test_the_lowest_score_goes_first():
    pool = filled(5, range(1, 6), Ranked(lambda blocks: -blocks.sequence_hashes.astype(float)))
    assert evicted_by(pool, 3) == [5, 4, 3]
    assert pool.policy_errors == pool.policy_refusals == 0


def test_what_should_be_evicted_goes_before_the_rest():
    class Odd(EvictionPolicy):
        def should_evict(self, block):
            return block.sequence_hash % 2 == 1

    pool = filled(5, range(1, 6), Odd())
    assert evicted_by(pool, 4) == [1, 3, 5, 2]


def test_named_ids_go_in_their_order():
    pool = filled(4, range(1, 5), Chosen(lambda blocks, n: blocks.ids[[2, 0]]))
    assert evicted_by(pool, 3) == [3, 1, 2]


def test_a_policy_is_told_the_facts():
    told: list[Candidates] = []
    now = 0.0
    pool = BlockPool(6, eviction=Ranked(lambda blocks: told.append(blocks) or oldest_first(blocks)), clock=lambda: now)
    pool.register_blocks(pool.allocate_blocks(3), [1, 2, 3]).release()
    now = 10.0
    pool.match_sequence_hashes([1, 2]).release()
    now = 20.0
    pool.touch([1])
    pool.register_blocks(pool.allocate_blocks(1), [9], priority=80).release()
    assert told == []
    assert evicted_by(pool, 3) == [3]
    blocks = told[0]
    assert blocks.sequence_hashes.tolist() == [3, 2, 1, 9]
    assert blocks.last_access_times.tolist() == [0.0, 10.0, 20.0, 20.0]
    assert blocks.reuse_counts.tolist() == [0, 1, 2, 0]
    assert blocks.positions.tolist() == [2, 1, 0, 0]
    assert blocks.priorities.tolist() == [35, 35, 35, 80]
    assert [array.dtype for array in blocks] == [np.int32, np.uint64, np.float64, np.uint32, np.uint32, np.uint32]
    assert next(blocks.each()) == Candidate(int(blocks.ids[0]), 3, 0.0, 35, 2, 0)
    with pytest.raises(ValueError, match="read-only"):
        blocks.ids[0] = 5


def test_a_policy_is_told_of_its_window_or_of_twice_what_goes():
    sizes: list[int] = []
    policy = Ranked(lambda blocks: sizes.append(len(blocks.ids)) or oldest_first(blocks), window=3)
    pool = filled(20, range(1, 21), policy)
    assert evicted_by(pool, 1) == [1]
    assert len(evicted_by(pool, 6)) == 5
    assert sizes == [3, 10]


def test_a_policy_is_not_asked_when_nothing_must_go():
    policy = Ranked(oldest_first)
    pool = filled(8, range(1, 5), policy)
    pool.allocate_blocks(4).release()
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate_blocks(9)
    assert policy.calls == 0


def test_no_block_goes_before_those_that_continue_it():
    roots_first = Ranked(lambda blocks: blocks.positions.astype(float))
    pool = BlockPool(12, eviction=roots_first, event_capacity=100)
    pool.register_blocks(pool.allocate_blocks(6), range(1, 7)).release()
    pool.register_blocks(pool.allocate_blocks(6), range(11, 17)).release()
    for _ in range(6):
        held = pool.allocate_blocks(2)
        pool.check_invariants()
        for chain in (range(1, 7), range(11, 17)):
            known = pool.contains(list(chain)).tolist()
            assert known == sorted(known, reverse=True)
        pool.register_blocks(held, [id(held), id(held) + 1]).release()


def test_recency_as_a_policy_is_lru():
    dice = random.Random(3)
    plain, asked = BlockPool(30), BlockPool(30, eviction=Ranked(oldest_first))
    for _ in range(400):
        start = dice.randrange(12) * 10
        hashes = list(range(start + 1, start + dice.randrange(2, 9)))
        evicted = []
        for pool in (plain, asked):
            cached = pool.match_sequence_hashes(hashes)
            fresh = pool.allocate_blocks(len(hashes) - len(cached))
            evicted.append(fresh.evicted.sequence_hashes.tolist())
            filled_blocks = pool.register_blocks(fresh, hashes[len(cached) :], parent=cached)
            filled_blocks.release()
            cached.release()
        assert evicted[0] == evicted[1]
    asked.check_invariants()


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (lambda blocks, n: [blocks.ids[1], blocks.ids[1], blocks.ids[1]], 2),
        (lambda blocks, n: [2**31 - 1, -1, blocks.ids[1]], 2),
        (lambda blocks, n: [4, blocks.ids[1]], 1),  # held, so no candidate
        (lambda blocks, n: [], 0),
    ],
)
def test_what_cannot_go_is_refused_and_recency_decides_of_the_rest(answer, refused):
    pool = BlockPool(5, eviction=Chosen(answer))
    for sequence_hash in (1, 2, 3, 4):
        pool.register_blocks(pool.allocate_blocks(1), [sequence_hash]).release()
    held = pool.register_blocks(pool.allocate_blocks(1), [5])
    assert held.ids.tolist() == [4]
    evicted = evicted_by(pool, 2)
    assert len(evicted) == 2
    assert 5 not in evicted
    assert pool.policy_refusals == refused
    assert pool.policy_errors == 0


def test_the_block_of_another_pool_is_refused():
    other = BlockPool(100)
    strangers = other.register_blocks(other.allocate_blocks(50), range(50))
    pool = filled(4, [1, 2, 3, 4], Chosen(lambda blocks, n: strangers.ids[40:42]))
    assert evicted_by(pool, 2) == [1, 2]
    assert pool.policy_refusals == 2
    other.check_invariants()


@pytest.mark.parametrize(
    "score",
    [
        lambda blocks: [float("nan")] * len(blocks.ids),
        lambda blocks: [1.0],
        lambda blocks: None,
        lambda blocks: ["a"] * len(blocks.ids),
        lambda blocks: np.zeros((len(blocks.ids), 2)),
        lambda blocks: 1 / 0,
    ],
)
def test_an_answer_without_sense_leaves_the_choice_to_recency(score, unraisable, capsys):
    pool = filled(4, [1, 2, 3, 4], Ranked(score))
    assert evicted_by(pool, 1) == [1]
    assert evicted_by(pool, 2) == [2]
    assert pool.policy_errors == 2
    assert pool.last_policy_error is not None
    assert len(unraisable) == 1  # only the first is reported
    assert capsys.readouterr().err == ""


def test_a_remembered_error_does_not_keep_what_the_caller_held(unraisable):
    pool = filled(4, [1, 2, 3, 4], Ranked(lambda blocks: 1 / 0))

    def serve():
        cached = pool.match_sequence_hashes([1])
        pool.allocate_blocks(1)
        return len(cached)

    assert serve() == 1
    unraisable.clear()  # which has the first error with its frames, for whoever looks into it
    assert isinstance(pool.last_policy_error, ZeroDivisionError)
    assert pool.outstanding() == []


def test_a_policy_that_has_no_memory_to_raise_an_error_with_is_done_without():
    """Cython gives back a traceback that could not be made, where an except clause of its own goes on."""
    pytest.importorskip("_testcapi")
    program = textwrap.dedent("""
        import _testcapi
        from kvpool import BlockPool

        class Policy:
            def rank(self, blocks):
                return blocks.ids

        errors = 0
        for first in range(50):
            pool = BlockPool(4, eviction=Policy())
            for sequence_hash in range(4):
                pool.register_blocks(pool.allocate_blocks(1), [sequence_hash]).release()
            allocate = pool.allocate_blocks
            try:
                _testcapi.set_nomemory(first, first + 2)
                try:
                    allocate(1)
                finally:
                    _testcapi.remove_mem_hooks()
            except (MemoryError, SystemError):  # Python itself sometimes forgets to say which
                pass
            pool.check_invariants()
            errors += pool.policy_errors
        print(errors)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr  # the interpreter writes what it can of errors that it has no room for
    assert int(done.stdout) > 5


@pytest.mark.parametrize("bad", ["raise", "held", "twice", "range"])
def test_a_policy_that_fails_at_the_kth_call_never_harms_the_pool(bad, unraisable):
    for k in range(8):
        calls = 0
        held: list = []

        def choose(blocks, n, k=k, held=held):
            nonlocal calls
            calls += 1
            if calls - 1 != k:
                return blocks.ids[::-1]
            if bad == "raise":
                raise RuntimeError("no")
            if bad == "held":
                return [held[-1].ids[0]]
            return [blocks.ids[0]] * 9 if bad == "twice" else [10**6, -7]

        pool = BlockPool(8, eviction=Chosen(choose))
        for step in range(20):
            held.append(pool.register_blocks(pool.allocate_blocks(2), [3 * step + 1, 3 * step + 2]))
            pool.check_invariants()
            if len(held) > 2:
                held.pop(0).release()
        assert calls > k
        assert pool.policy_errors + pool.policy_refusals > 0


def test_an_interrupt_in_a_policy_reaches_the_caller_and_changes_nothing():
    def interrupt(blocks):
        raise KeyboardInterrupt

    pool = filled(3, [1, 2, 3], Ranked(interrupt))
    before = pool.status()
    with pytest.raises(KeyboardInterrupt):
        pool.allocate_blocks(1)
    assert pool.status() == before
    pool.check_invariants()


def test_a_policy_may_use_the_pool():
    def meddle(blocks):
        pool.match_sequence_hashes(blocks.sequence_hashes[:1]).release()
        pool.allocate_blocks(2).release()
        pool.reset_blocks(blocks.sequence_hashes[-1:])
        kept.append(pool.match_scattered(blocks.sequence_hashes[1:3]))
        return -np.arange(len(blocks.ids))

    kept: list = []
    pool = filled(8, range(1, 9), Ranked(meddle))
    for _ in range(3):
        blocks = pool.allocate_blocks(1)
        pool.check_invariants()
        blocks.release()
    assert pool.policy_errors == 0
    assert pool.policy_refusals > 0


def test_sequences_and_batches_ask_the_policy():
    policy = Ranked(lambda blocks: -np.arange(len(blocks.ids)))
    pool = filled(8, range(1, 9), policy, block_size=2)
    request = pool.open_sequence(range(5))
    assert not pool.contains([6, 7, 8]).any()
    request.append_tokens(range(4))
    assert not pool.contains([5, 4]).any()
    assert pool.contains([1, 2, 3]).all()
    child, _ = request.fork()
    assert policy.calls >= 3
    request.release()
    child.release()
    pool.check_invariants()


def test_a_policy_is_asked_from_several_threads():
    pool = filled(64, range(1, 65), Ranked(lambda blocks: blocks.reuse_counts.astype(float)))
    errors: list[BaseException] = []

    def work(number):
        try:
            for step in range(200):
                blocks = pool.allocate_blocks(3)
                base = 1000 * number + step % 20 * 3
                pool.register_blocks(blocks, [base, base + 1, base + 2]).release()
                pool.touch([base])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    pool.check_invariants()
    assert pool.available_blocks == 64


def test_a_c_function_can_be_a_policy(tmp_path):
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    source = tmp_path / "newest.c"
    source.write_text(
        '#include "kvp/candidate.h"\n'
        "void rank(const kvp_candidate *blocks, size_t n, double *scores, void *context) {\n"
        "    for (size_t i = 0; i < n; i++) scores[i] = *(double *)context * (double)blocks[i].hash;\n"
        "}\n"
    )
    library = tmp_path / "newest.so"
    include = ROOT / "csrc" / "include"
    try:
        subprocess.run([compiler, "-shared", "-fPIC", f"-I{include}", "-o", library, source], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"there is no C compiler {compiler}")
    import ctypes

    factor = ctypes.c_double(-1.0)
    function = ctypes.cast(ctypes.CDLL(str(library)).rank, ctypes.c_void_p)
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    set_context = ctypes.pythonapi.PyCapsule_SetContext
    set_context.argtypes = [ctypes.py_object, ctypes.c_void_p]
    name = ctypes.create_string_buffer(b"kvpool.rank.v1")
    capsule = new(function, name, None)
    set_context(capsule, ctypes.addressof(factor))
    pool = filled(4, [1, 2, 3, 4], capsule)
    assert evicted_by(pool, 2) == [4, 3]
    stranger = new(function, ctypes.create_string_buffer(b"other"), None)
    with pytest.raises(TypeError, match=r"a capsule 'kvpool.rank.v1'; not PyCapsule"):
        BlockPool(4, eviction=stranger)


@pytest.mark.parametrize(
    ("policy", "error", "message"),
    [
        (5, TypeError, "eviction must be a name or a policy, with should_evict, rank or choose"),
        (object(), TypeError, "not object"),
        ("best", ValueError, "eviction = 'best' is not one of lru, priority"),
        (Ranked(oldest_first, window=0), ValueError, "the policy's window = 0 is not at least 1"),
        (Ranked(oldest_first, window=1.5), TypeError, "the policy's window must be an int, not float"),
    ],
)
def test_what_is_no_policy_is_refused(policy, error, message):
    with pytest.raises(error, match=message):
        BlockPool(4, eviction=policy)


def test_a_policy_must_say_what_should_go():
    class Nothing(EvictionPolicy):
        pass

    with pytest.raises(TypeError, match="should_evict"):
        Nothing()
