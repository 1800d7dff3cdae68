"""Models with a mistake in them: the driver finds each of them, and tells it in a few steps."""

import pytest

from kvpool.testing import Driver, ModelPool, replay


class ForgetsLineage(ModelPool):
    """Does not hold ancestors, nor keep them."""

    def _enter(self, block_id, sequence_hash, parent_hash):
        super()._enter(block_id, sequence_hash, None)


class ReleasesFirstToLast(ModelPool):
    def release(self, ids):
        super().release(ids[::-1])


class GivesBackFirstToLast(ModelPool):
    def release_mutable(self, ids):
        super().release_mutable(ids[::-1])


class ForgetsHints(ModelPool):
    def _hint(self, sequence_hash):
        return None


class KeepsHintsApart(ModelPool):
    def __init__(self, num_blocks, **named):
        super().__init__(num_blocks, **named)
        self.num_hints = 2**64


class ExpiresLate(ModelPool):
    def _expire(self, now):
        super()._expire(now - 1)


class ExpiresAlways(ModelPool):
    def allocate(self, n, now, space=0):
        self._expire(now)
        return super().allocate(n, now, space)


class TouchesOneByOne(ModelPool):
    def touch(self, hashes):
        return sum(super(TouchesOneByOne, self).touch([sequence_hash]) for sequence_hash in hashes)


class ParksAtTheNewestEnd(ModelPool):
    def _leave_parent(self, block_id):
        parent = self.blocks[block_id].parent
        was_parked = parent is not None and self.blocks[parent].is_parked
        super()._leave_parent(block_id)
        if was_parked and not self.blocks[parent].is_parked:
            self._list(parent).append(self._list(parent).pop(0))


class MatchesTheNewestCopy(ModelPool):
    def _enter(self, block_id, sequence_hash, parent_hash):
        super()._enter(block_id, sequence_hash, parent_hash)
        copies = self.registry[sequence_hash]
        copies.insert(0, copies.pop())


class ResetsNoDescendants(ModelPool):
    def _lineage(self, block_id):
        return [block_id]


class ResetsFromTheLargestId(ModelPool):
    def _reset_ids(self, ids):
        return super()._reset_ids(sorted(ids, reverse=True))


class ForgetsGenerations(ModelPool):
    def upgrade(self, block_id, generation, sequence_hash):
        return super().upgrade(block_id, self.blocks[block_id].generation, sequence_hash)


class RetainsOnlyUpwards(ModelPool):
    def _set_level(self, block_id, level):
        super()._set_level(block_id, max(level, self.blocks[block_id].level))


class RefreshesAtTheSameLevel(ModelPool):
    def _set_level(self, block_id, level):
        super()._set_level(block_id, 101)
        super()._set_level(block_id, level)


class PinsWithoutAncestors(ModelPool):
    @property
    def pinned(self):
        return len({block_id for ids in self.pins for block_id in ids})


class PinsOneMore(ModelPool):
    @property
    def max_pinned(self):
        return super().max_pinned + 1


class SparesNothing(ModelPool):
    def protect(self, prompts):
        pass


class ProtectsUntilSpared(ModelPool):
    def _ask_for(self, ids):
        super()._ask_for([block_id for block_id in ids if self.blocks[block_id].is_spared])


class ReturnsTheSparedInReverse(ModelPool):
    def protect(self, prompts):
        self.orders[0][101].reverse()
        super().protect(prompts)
        self.orders[0][101].reverse()


class EvictsTheProtectedForPressure(ModelPool):
    def _evict_some(self, n, highest, reason, now):
        return super()._evict_some(n, 101, reason, now)


class EvictsOfOneNamespaceOnly(ModelPool):
    def _evict_some(self, n, highest, reason, now):
        wealthiest = self._wealthiest
        self._wealthiest = lambda wanted, without=(): None if without else wealthiest(wanted)
        try:
            return super()._evict_some(n, highest, reason, now)
        finally:
            del self._wealthiest


class ExpiresForNothing(ModelPool):
    def set_quota(self, space, floor, cap, now):
        super().set_quota(space, floor, cap, now)
        self._expire(now)


class ForgetsFloors(ModelPool):
    def _wealthiest(self, wanted, without=()):
        floors = [quota.floor for quota in self.quotas]
        return super()._wealthiest([n + floor for n, floor in zip(wanted, floors, strict=True)], without)


class ForgetsCaps(ModelPool):
    def _victim(self, space, n):
        return super()._victim(space, min(n, self.quotas[space].cap - self.held(space) - self.cached(space)))


class HoldsWhateverIsContinued(ModelPool):
    def can_hold(self, block_id, space):
        return True


class MatchesBeyondItsRoom(ModelPool):
    def permitted(self, space, ids, *, is_prefix=True):
        return [block_id >= 0 and self.blocks[block_id].space == space for block_id in ids]


class ContinuesWhatIsAnothers(ModelPool):
    def _enter(self, block_id, sequence_hash, parent_hash):
        super()._enter(block_id, sequence_hash, parent_hash)
        event = self.events[-1]
        if parent_hash in self.registry and event.sequence_hash == sequence_hash:
            self.events[-1] = event._replace(parent_hash=parent_hash)


BUGS = [
    ForgetsLineage,
    ReleasesFirstToLast,
    GivesBackFirstToLast,
    ForgetsHints,
    KeepsHintsApart,
    ExpiresLate,
    ExpiresAlways,
    TouchesOneByOne,
    ParksAtTheNewestEnd,
    MatchesTheNewestCopy,
    ResetsNoDescendants,
    ResetsFromTheLargestId,
    ForgetsGenerations,
    RetainsOnlyUpwards,
    RefreshesAtTheSameLevel,
    PinsWithoutAncestors,
    PinsOneMore,
    SparesNothing,
    ProtectsUntilSpared,
    ReturnsTheSparedInReverse,
    EvictsTheProtectedForPressure,
    EvictsOfOneNamespaceOnly,
    ExpiresForNothing,
    ForgetsFloors,
    ForgetsCaps,
    HoldsWhateverIsContinued,
    MatchesBeyondItsRoom,
    ContinuesWhatIsAnothers,
]


def first_failure(driver, episodes):
    for episode in range(episodes):
        failure = driver.run_episode(episode, ("share", "keep")[episode % 2])
        if failure is not None:
            return failure
    return None


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_seeded_bug_is_found_and_its_history_becomes_short(bug):
    driver = Driver(5, make_model=bug)
    failure = first_failure(driver, 1000)
    assert failure is not None
    shortest = driver.shrink(failure)
    assert len(shortest.history.operations) <= min(16, len(failure.history.operations))
    assert driver.find_difference(shortest.history) == shortest.message
    assert Driver(5).find_difference(shortest.history) is None


def test_a_failure_is_repeated_by_its_seed_and_episode():
    driver = Driver(5, make_model=ForgetsHints)
    failure = first_failure(driver, 100)
    again = Driver(5, make_model=ForgetsHints).run_episode(failure.episode, failure.duplicates)
    assert again == failure


def test_a_printed_history_runs_when_it_is_pasted():
    driver = Driver(5, make_model=ReleasesFirstToLast)
    history = driver.shrink(first_failure(driver, 100)).history
    names = {}
    exec(history.source().replace("replay(\n", "copy = (\n"), names)
    assert names["copy"] == history
    replay(history)
