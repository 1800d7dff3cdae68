"""The list of all public calls is complete, and each of them works."""

import gc

import pytest

from kvpool import BlockPool


def test_every_public_method_is_in_the_list_and_nothing_else(calls):
    assert calls.required_methods() - set(calls.METHODS) == set()
    assert {name for name in calls.METHODS if "__" not in name} - calls.required_methods() == set()


def test_a_method_that_is_added_would_be_missed(calls, monkeypatch):
    class Grown:
        def grow(self):
            pass

    Grown.__module__ = "kvpool.grown"
    monkeypatch.setattr("kvpool.Backoff", Grown)
    assert calls.required_methods() - set(calls.METHODS) == {"Backoff.grow"}


def test_every_public_class_is_made_once(calls):
    assert calls.required_samples() - set(calls.SAMPLES) - set(calls.ENDING) == set()


@pytest.mark.parametrize("options", [{}, {"event_tokens": True, "duplicates": "keep"}, {"max_namespaces": 0}])
def test_every_call_works_and_gives_back_what_it_took(calls, options):
    pool = BlockPool(64, 4, **{"event_capacity": 64, "max_namespaces": 3, "reuse_sampling": 1.0, **options})
    world = calls.World(pool)
    for name, call in calls.every_call(libraries=True).items():
        call(world)
        assert (pool.status().active, pool.status().waiting) == (0, 0), name
        pool.check_invariants()
    pool.close()
    gc.collect()
    assert pool.outstanding() == []
