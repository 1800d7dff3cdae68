"""The driver finds no difference, and finds every one that is put there."""

import pytest

from kvpool import BlockPool
from kvpool.testing import Driver, History, MismatchError, ModelPool, replay, shrink
from kvpool.testing.__main__ import main
from kvpool.testing.history import rename


@pytest.mark.parametrize("duplicates", ["share", "keep"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_pool_and_model_agree(seed, duplicates):
    driver = Driver(seed)
    for episode in range(60):
        failure = driver.run_episode(episode, duplicates)
        if failure is not None:
            failure = driver.shrink(failure)
            pytest.fail(f"{failure.message}\n{failure.command}\n{failure.history.source()}")
    assert driver.steps > 60 * 50


def test_the_same_seed_gives_the_same_history():
    seen = []
    for _ in range(2):
        operations = []
        Driver(9, observe=operations.append).run_episode(3, "share")
        seen.append(operations)
    assert seen[0] == seen[1]
    assert len(seen[0]) >= 50


def test_another_seed_gives_another_history():
    seen = []
    for seed in range(2):
        operations = []
        Driver(seed, observe=operations.append).run_episode(3, "share")
        seen.append(operations)
    assert seen[0] != seen[1]


def test_all_operations_are_drawn():
    drawn = set()
    driver = Driver(1, observe=lambda operation: drawn.add(operation[0]))
    for episode in range(40):
        assert driver.run_episode(episode, "keep") is None
    assert drawn == {
        *("advance", "allocate", "register", "tokens", "match", "scatter", "look", "touch", "view", "item", "add"),
        *("walk", "downgrade", "upgrade", "release", "leave", "delete", "reset_blocks", "reset", "foreign"),
        *("retain", "pin", "protect", "evict_ahead", "trigger", "quota"),
    }


def test_no_handle_outlives_its_history():
    pools = []

    def make_pool(*arguments, **named):
        pools.append(BlockPool(*arguments, **named))
        return pools[-1]

    driver = Driver(4, make_pool=make_pool)
    for episode in range(20):
        assert driver.run_episode(episode, "share") is None
        assert pools[-1].outstanding() == []


def test_a_replayed_history_that_fails_says_what_differs(monkeypatch):
    history = History(3, operations=[("allocate", 1, 2), ("delete", 1)], universe=(1,))
    replay(history)
    monkeypatch.setattr(ModelPool, "release_mutable", lambda pool, ids: [pool._give_back(i) for i in ids])
    with pytest.raises(MismatchError, match=r"step 2: ids: the pool has \[0, 1, 2\], the model \[1, 0, 2\]"):
        replay(history)


@pytest.mark.parametrize("num_blocks", [1, 2, 256, 257, 260, 1024, 1025, 1028, 20_000])
@pytest.mark.parametrize("distance", [32, 64, 128, 256, 512, 1024, 2048, 4096])
def test_hints_displace_each_other_in_both(num_blocks, distance):
    operations = [
        ("allocate", 1, 1),
        ("register", 2, 1, (10,), None, None, None),
        ("match", 3, (10, 5)),
        ("match", 4, (10, 5 + distance)),
        ("allocate", 5, 1),
        ("register", 6, 5, (5,), None, None, None),
    ]
    replay(History(num_blocks, operations=operations))


def test_operations_whose_handles_do_not_exist_do_nothing():
    operations = [
        ("register", 9, 1, (1,), None, None, None),
        ("register", 9, ("slice", 1, 0, 1, None), (1,), None, None, None),
        ("register", 9, ("list", (1, 0)), (1,), None, None, None),
        ("tokens", 9, 1, (1, 2), None, "fill"),
        ("view", 9, 1, None, None, None),
        ("item", 9, 1, 0),
        ("add", 9, 1, 2),
        *((name, 1) for name in ("walk", "release", "leave", "delete")),
        ("downgrade", 9, 1),
        ("upgrade", 9, 1),
        ("foreign", "add", 1),
        ("allocate", 9, 1, None, 1),
        *((name, 9, (1,), 1) for name in ("match", "scatter", "pin")),
        ("quota", 1, 0, 1),
        ("quota", 0, 0, 3),
        ("delete", 9),
    ]
    replay(History(2, operations=operations))


def test_shrinking_leaves_only_what_is_needed():
    operations = [("advance", float(i)) for i in range(100)]

    def fails(history):
        return {("advance", 3.0), ("advance", 77.0)} <= set(history.operations)

    history = shrink(History(8, operations=operations), fails)
    assert history.operations == [("advance", 3.0), ("advance", 77.0)]
    assert history.num_blocks == 1


def test_shrinking_returns_a_history_that_does_not_fail_as_it_is():
    history = History(8, operations=[("reset",)])
    assert shrink(history, lambda _: False) is history


def test_renaming_reaches_every_slot_and_hash():
    def twice(number):
        return 2 * number

    assert rename(("register", 1, ("list", (2, 0), (3, 1)), (4, 5), ("slot", 6), 7, 8.0), twice, str) == (
        *("register", 2, ("list", (4, 0), (6, 1)), ("4", "5"), ("slot", 12)),
        *(7, 8.0),
    )
    assert rename(("register", 1, ("slice", 2, 0, 1, 2), (), ("hash", 3), None, None), twice, str) == (
        *("register", 2, ("slice", 4, 0, 1, 2), (), ("hash", "3")),
        *(None, None),
    )
    assert rename(("add", 1, 2, 3), twice, str) == ("add", 2, 4, 6)
    assert rename(("delete", 1), twice, str) == ("delete", 2)
    assert rename(("foreign", "add", 1), twice, str) == ("foreign", "add", 2)
    assert rename(("look", ((1,), (2, 3))), twice, str) == ("look", (("1",), ("2", "3")))
    assert rename(("match", 1, (2,)), twice, str) == ("match", 2, ("2",))
    assert rename(("pin", 1, (2,), 3), twice, str) == ("pin", 2, ("2",), 3)
    assert rename(("touch", (1,)), twice, str) == ("touch", ("1",))
    assert rename(("retain", (1,), 2, 3.0), twice, str) == ("retain", ("1",), 2, 3.0)
    assert rename(("protect", ((1,), ())), twice, str) == ("protect", (("1",), ()))
    assert rename(("quota", 1, 2, 3), twice, str) == ("quota", 1, 2, 3)
    assert rename(("allocate", 1, 5), twice, str) == ("allocate", 2, 5)
    assert rename(("reset",), twice, str) == ("reset",)


def test_the_command_line_ends_with_the_number_of_steps(capsys):
    assert main(["--steps", "2000", "--seed", "7"]) == 0
    assert "pool and model agree: 2," in capsys.readouterr().out


def test_the_command_line_prints_seed_command_and_history_of_a_failure(capsys, monkeypatch):
    monkeypatch.setattr(ModelPool, "touch", lambda _, hashes: len(list(hashes)) + 1)
    assert main(["--steps", "20000", "--seed", "7", "--duplicates", "keep"]) == 1
    printed = capsys.readouterr().out
    assert "failed: seed 7, episode" in printed
    assert "again: python -m kvpool.testing --seed 7 --duplicates keep --first-episode" in printed
    assert "('touch', ())" in printed


def test_the_command_line_goes_on_for_a_time(capsys):
    assert main(["--hours", "0.0002", "--steps", "1", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert int(printed.split("agree: ")[1].split(" steps")[0].replace(",", "")) > 100


def test_jobs_share_the_steps_and_have_seeds_of_their_own(capfd):
    assert main(["--steps", "3000", "--seed", "7", "--jobs", "2"]) == 0
    printed = capfd.readouterr().out
    assert printed.count("pool and model agree: ") == 2
    assert {line[-6:] for line in printed.splitlines() if "agree" in line} == {"seed 7", "seed 8"}


def test_a_job_that_fails_fails_the_command(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert main(["--steps", "10", "--jobs", "2"]) == 1


def test_the_command_line_can_show_each_operation_before_it_is_done(capsys):
    assert main(["--episodes", "1", "--seed", "7", "--trace"]) == 0
    assert capsys.readouterr().out.count("\n    (") >= 50
