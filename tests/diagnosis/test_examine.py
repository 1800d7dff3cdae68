"""Findings: none for a healthy pool, and for each that is broken the rule that it breaks."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

import numpy as np
import pytest

from kvpool import BlockPool, NotEnoughBlocksAvailable
from kvpool.diagnosis import FINDING_KINDS, PoolDump, examine
from kvpool.diagnosis.finding import SEVERITIES
from kvpool.replay import Simulator, generate_workload
from kvpool.testing import Driver

FOREVER = float("inf")


def with_status(**counts):
    return lambda dump: replace(dump, table=replace(dump.table, status=dump.table.status._replace(**counts)))


def with_cells(**columns):
    """Write values into columns of the table: name = {block: value}."""

    def change(dump):
        written = {}
        for name, cells in columns.items():
            written[name] = getattr(dump.table, name).copy()
            for block, value in cells.items():
                written[name][block] = value
        return replace(dump, table=replace(dump.table, **written))

    return change


def with_holds(change):
    return lambda dump: replace(dump, holds=tuple(change(list(dump.holds))))


def with_events(**counts):
    return lambda dump: replace(dump, events=dump.events._replace(**counts))


def older(seconds, kinds):
    return with_holds(lambda holds: [hold._replace(age=seconds) if hold.kind in kinds else hold for hold in holds])


def replaced(**fields):
    return lambda dump: replace(dump, **fields)


# What is done to the dump of the busy pool, the finding that names it, and a block or number that the finding names.
BROKEN = [
    (replaced(broken="a block miscounts its children"), "check", {"broken": "a block miscounts its children"}),
    (with_status(cached=4), "sum", {"total": 16, "empty + cached + active": 17}),
    (with_status(available=10), "sum", {"available": 10}),
    (with_status(mutable=3), "sum", {"active": 7, "mutable + immutable": 8}),
    (with_status(allocations=5), "sum", {"allocations": 5}),
    (with_status(match_blocks_returned=9), "part", {"match_blocks_returned": 9}),
    (with_status(duplicates=99), "part", {"duplicates": 99}),
    (with_status(scan_blocks_returned=1), "part", {"scan_blocks_returned": 1}),
    (with_status(evictions_for_pressure=1), "part", {"evictions_for_pressure": 1, "evictions_ahead": 0}),
    (replaced(max_pinned_blocks=1), "part", {"pinned": 2, "max_pinned_blocks": 1}),
    (with_cells(states={15: 3}), "state", {"block": 15, "state": 3}),
    (with_cells(states={15: 0}), "state", {"block": 15, "state": 0}),
    (with_cells(states={4: 1}), "states", {"told": 3, "counted": 2}),
    (with_status(empty=5, cached=4), "states", {"told": 5, "counted": 6}),
    (with_cells(sequence_hashes={14: 7}), "identity", {"block": 14, "hash": 7}),
    (with_cells(parents={8: 2}), "identity", {"block": 8, "parent": 2}),
    (with_cells(children={15: 1}), "identity", {"block": 15, "children": 1}),
    (with_cells(levels={3: 102}), "level", {"block": 3, "level": 102}),
    (with_cells(namespaces={3: 2}), "namespace", {"block": 3, "namespace": 2}),
    (with_cells(sequence_hashes={5: 12}), "duplicate", {"blocks": 1, "block": 5, "hash": 12}),
    (with_cells(parents={5: 16}), "parent range", {"block": 5, "parent": 16}),
    (with_cells(parents={5: -2}), "parent range", {"block": 5, "parent": -2}),
    (with_cells(parents={5: 15}), "parent", {"block": 5, "parent": 15}),
    (with_cells(parents={3: 7}), "parent namespace", {"block": 3, "parent": 7}),
    (with_cells(children={4: 2}), "children", {"block": 4, "children": 2, "counted": 1}),
    (with_cells(parents={5: 3}), "children", {"blocks": 2, "block": 3, "children": 1, "counted": 2}),
    (with_cells(parents={3: 5}), "cycle", {"blocks": 3, "block": 3, "parent": 5}),
    (with_cells(parents={3: 3}), "cycle", {"blocks": 3, "block": 3}),
    (with_cells(references={3: 1}), "references", {"block": 3, "state": 8, "references": 1}),
    (with_cells(references={15: 1}), "references", {"block": 15, "references": 1}),
    (with_cells(references={8: 2}), "references", {"block": 8, "references": 2}),
    (with_cells(references={2: 0}), "references", {"block": 2, "state": 4, "references": 0}),
    (with_cells(states={1: 8}, references={1: 0}), "held child", {"block": 1, "children": 1}),
    (with_cells(parents={2: 0}), "held children", {"block": 0, "references": 1, "children": 2}),
    (with_holds(lambda holds: [h for h in holds if h.kind != "mutable"][:2]), "mutable holds", {"mutable": 2}),
    (with_holds(lambda holds: [*holds, holds[2]._replace(blocks=2)]), "mutable holds", {"least": 3, "most": 4}),
    (with_holds(lambda holds: holds[1:]), "holds", {"references": 3, "most": 2}),
    (with_cells(references={2: 9}), "holds", {"references": 11}),
    (with_holds(lambda holds: [*holds, *[holds[0]] * 3]), "holds", {"least": 5}),
    (with_holds(lambda holds: [holds[0], holds[0], *holds[2:]]), "pins", {"pinned": 2, "pins": 0}),
    (with_status(waiting=1), "waiting", {"waiting": 1, "available": 9}),
    (older(301.0, ("immutable",)), "leak", {"owner": "'request 1'", "kind": "immutable", "blocks": 3, "age": 301.0}),
    (older(301.0, ("sequence",)), "leak", {"owner": "'request 3'", "kind": "sequence", "blocks": 1}),
    (replaced(is_closed=True), "closed", {"active": 7}),
    (with_events(missed=5), "missed events", {"missed": 5, "event_capacity": 64}),
    (with_events(errors=2), "subscriber errors", {"errors": 2}),
    (replaced(policy_errors=3), "policy errors", {"errors": 3}),
    (replaced(policy_refusals=3), "policy refusals", {"refusals": 3}),
    (older(301.0, ("pin",)), "old pin", {"owner": "'prompt'", "blocks": 2}),
    (replaced(is_quiet=False), "busy", {}),
]


@pytest.mark.parametrize(("change", "kind", "numbers"), BROKEN, ids=[f"{i}-{item[1]}" for i, item in enumerate(BROKEN)])
def test_what_is_broken_is_named(dump, change, kind, numbers):
    assert examine(dump) == []
    found = [finding for finding in examine(change(dump)) if finding.kind == kind]
    assert [finding for finding in found if numbers.items() <= finding.numbers.items()], found
    assert all("\n" not in finding.what and finding.severity in SEVERITIES for finding in found)


def test_every_kind_of_finding_is_broken_somewhere_and_documented():
    assert {kind for _, kind, _ in BROKEN} == set(FINDING_KINDS)


def test_errors_come_first_and_are_grave_and_so_are_leaks(dump):
    findings = examine(older(400.0, ("mutable", "pin"))(with_cells(levels={3: 102})(dump)))
    assert [(finding.severity, finding.is_grave) for finding in findings] == [
        ("error", True),
        ("warning", True),
        ("note", False),
    ]


def test_nothing_held_while_calls_wait_is_an_error():
    dump = PoolDump.of(BlockPool(4))
    (finding,) = examine(with_status(waiting=2)(dump))
    assert (finding.severity, finding.what) == ("error", "2 calls wait for blocks, though all 4 are available")


def test_duplicates_are_no_finding_where_they_are_kept():
    pool = BlockPool(8, duplicates="keep")
    handles = [pool.register_blocks(pool.allocate_blocks(2), [1, 2]) for _ in range(3)]
    dump = PoolDump.of(pool)
    assert len(set(dump.table.sequence_hashes[:6].tolist())) == 2
    assert examine(dump) == []
    assert [finding.kind for finding in examine(replace(dump, duplicates="share"))] == ["duplicate"]
    for handle in handles:
        handle.release()


def test_leaks_are_named_by_owner_and_unnamed_ones_are_one(clock):
    pool = BlockPool(64, clock=clock)
    held = [pool.allocate_blocks(2, owner="lost") for _ in range(2)]
    clock.seconds = 100.0
    held += [pool.allocate_blocks(3) for _ in range(5)]
    clock.seconds = 500.0
    held += [pool.allocate_blocks(7, owner="young")]
    assert [finding.what for finding in examine(PoolDump.of(pool))] == [
        "unnamed holds 15 blocks (mutable) in 5 holds, the oldest since 400 s",
        "'lost' holds 4 blocks (mutable) in 2 holds, the oldest since 500 s",
    ]
    assert [finding.numbers["holds"] for finding in examine(PoolDump.of(pool), max_age=450)] == [2]
    assert examine(PoolDump.of(pool), max_age=FOREVER) == []
    for handle in held:
        handle.release()


def test_a_later_look_at_a_dump_adds_to_the_ages(dump):
    assert examine(dump, now=dump.time + 299) == []
    assert {finding.kind for finding in examine(dump, now=dump.time + 301)} == {"leak", "old pin"}


@pytest.mark.parametrize("max_age", [-1, float("nan")])
def test_max_age_that_is_no_age_is_refused(dump, max_age):
    with pytest.raises(ValueError, match=f"max_age = {max_age} is not a number of at least 0"):
        examine(dump, max_age=max_age)


@pytest.mark.parametrize("duplicates", ["share", "keep"])
def test_healthy_pool_has_no_findings_after_any_history(duplicates):
    pools = []
    looks = 0

    def make_pool(*args, **options):
        pools.append(BlockPool(*args, **options))
        return pools[-1]

    def look(operation):
        nonlocal looks
        if rng.random() < 0.05:
            looks += 1
            assert examine(PoolDump.of(pools[-1]), max_age=FOREVER) == []

    rng = random.Random(3)
    driver = Driver(7, make_pool=make_pool, observe=look)
    assert [driver.run_episode(episode, duplicates) for episode in range(6)] == [None] * 6
    assert looks > 30


def test_healthy_pool_of_sequences_has_no_findings():
    rng = random.Random(11)
    pool = BlockPool(60, 4)
    sequences = []
    for _ in range(400):
        choice = rng.random()
        try:
            if choice < 0.3 or not sequences:
                sequences.append(pool.open_sequence([rng.randrange(2) for _ in range(rng.randint(1, 40))]))
            elif choice < 0.5:
                sequences.append(rng.choice(sequences).fork()[0])
            elif choice < 0.8:
                rng.choice(sequences).append_tokens([1] * rng.randint(1, 6))
            elif choice < 0.9:
                sequence = rng.choice(sequences)
                sequence.truncate(rng.randint(1, sequence.num_tokens))
            else:
                sequences.pop(rng.randrange(len(sequences))).release()
        except NotEnoughBlocksAvailable:
            sequences.pop(rng.randrange(len(sequences))).release()
        if rng.random() < 0.2:
            assert examine(PoolDump.of(pool)) == []
    assert pool.status().evictions > 0
    for sequence in sequences:
        sequence.release()


def test_healthy_pool_under_a_workload_has_no_findings():
    simulator = Simulator(2000, 16, hold="service")
    for number, request in enumerate(generate_workload(400, 2).requests):
        simulator.serve(request)
        if number % 20 == 0:
            assert examine(PoolDump.of(simulator.pool), max_age=FOREVER) == []
    assert simulator.pool.status().evictions > 0


def test_a_cycle_is_found_at_the_end_of_a_very_long_chain():
    pool = BlockPool(50_000)
    chain = pool.register_blocks(pool.allocate_blocks(50_000), np.arange(1, 50_001, dtype=np.uint64))
    dump = PoolDump.of(pool)
    assert examine(dump) == []
    first = int(chain.ids[0])
    broken = with_cells(parents={first: int(chain.ids[2])})(dump)
    (finding,) = [finding for finding in examine(broken) if finding.kind == "cycle"]
    assert finding.numbers["blocks"] == 50_000
    chain.release()


def test_pool_that_is_never_quiet_is_not_called_broken():
    pool = BlockPool(256, 4)
    is_over = threading.Event()

    def traffic(seed):
        rng = random.Random(seed)
        held = []
        while not is_over.is_set():
            if rng.random() < 0.6 and len(held) < 20:
                hashes = range(seed * 1000, seed * 1000 + rng.randint(1, 6))
                held.append(pool.register_blocks(pool.allocate_blocks(len(hashes)), hashes))
            elif held:
                held.pop(rng.randrange(len(held))).release()

    threads = [threading.Thread(target=traffic, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    findings = [finding.kind for _ in range(100) for finding in examine(PoolDump.of(pool))]
    is_over.set()
    for thread in threads:
        thread.join()
    assert set(findings) <= {"busy"}
    assert pool.status().allocations > 0
