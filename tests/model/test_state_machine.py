"""The pool against the model, with histories that Hypothesis makes and shrinks."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kvpool.testing import History, check_model
from kvpool.testing.side_by_side import SideBySide

UNIVERSE = (0, 1, 2, 3, 64, 65, 66, 2**64 - 1)
HASHES = st.lists(st.sampled_from(UNIVERSE), max_size=5).map(tuple)
PICKS = st.integers(0, 63)
PRIORITIES = st.none() | st.sampled_from([0, 34, 35, 36, 100])
TTLS = st.none() | st.sampled_from([0.25, 1.0])
SPACES = st.integers(0, 2)
BOUNDS = st.none() | st.integers(-4, 4)


class PoolAndModel(RuleBasedStateMachine):
    """Every rule does one operation on both; what can be seen is compared inside."""

    def __init__(self):
        super().__init__()
        self.side = None
        self.used = 0

    @initialize(
        num_blocks=st.integers(1, 8),
        duplicates=st.sampled_from(["share", "keep"]),
        namespaces=st.just(()) | st.lists(st.tuples(st.integers(0, 2), st.integers(2, 8)), max_size=2),
    )
    def make(self, num_blocks, duplicates, namespaces):
        share = num_blocks // 2
        quotas = tuple((min(floor, share), min(cap, num_blocks)) for floor, cap in namespaces)
        self.side = SideBySide(History(num_blocks, duplicates, universe=UNIVERSE, namespaces=quotas))

    def teardown(self):
        if self.side is not None:
            self.side.finish()
            self.side = None

    def do(self, *operation):
        self.side.step(operation)
        check_model(self.side.model)

    def new(self):
        self.used += 1
        return self.used

    def pick(self, number, *kinds):
        """Return one of the slots of these kinds; one that does not exist if there is none."""
        numbers = [slot for slot, known in self.side.slots.items() if not kinds or known.kind in kinds]
        return numbers[number % len(numbers)] if numbers else 0

    def has(self, *kinds):
        return any(slot.kind in kinds for slot in self.side.slots.values())

    @rule(n=st.integers(0, 9), space=SPACES)
    def allocate(self, n, space):
        self.do("allocate", self.new(), n, None, space)

    @precondition(lambda self: self.has("mutable", "block"))
    @rule(
        number=PICKS,
        hashes=st.lists(st.sampled_from(UNIVERSE), min_size=9, max_size=9),
        parent=st.none() | st.tuples(st.just("hash"), st.sampled_from(UNIVERSE)),
        priority=PRIORITIES,
        ttl=TTLS,
    )
    def register(self, number, hashes, parent, priority, ttl):
        slot = self.pick(number, "mutable", "block")
        count = len(self.side.slots[slot].entries)
        self.do("register", self.new(), slot, tuple(hashes[:count]), parent, priority, ttl)

    @precondition(lambda self: self.has("mutable"))
    @rule(number=PICKS, start=BOUNDS, stop=BOUNDS, hashes=HASHES)
    def register_a_part(self, number, start, stop, hashes):
        slot = self.pick(number, "mutable")
        self.do("register", self.new(), ("slice", slot, start, stop, None), hashes, None, None, None)

    @precondition(lambda self: self.has("mutable"))
    @rule(
        number=PICKS,
        tokens=st.lists(st.integers(0, 1), min_size=18, max_size=18),
        how=st.sampled_from(["fill", "commit"]),
    )
    def register_tokens(self, number, tokens, how):
        slot = self.pick(number, "mutable")
        count = len(self.side.slots[slot].entries)
        self.do("tokens", self.new(), slot, tuple(tokens[: 2 * count]), None, how)

    @rule(how=st.sampled_from(["match", "match", "scatter", "pin"]), hashes=HASHES, space=SPACES)
    def match(self, how, hashes, space):
        self.do(how, self.new(), hashes, space)

    @rule(hashes=HASHES, priority=PRIORITIES, ttl=TTLS)
    def retain(self, hashes, priority, ttl):
        self.do("retain", hashes, priority, ttl)

    @rule(prompts=st.lists(HASHES, max_size=3).map(tuple))
    def protect(self, prompts):
        self.do("protect", prompts)

    @rule(n=st.integers(0, 9))
    def evict_ahead(self, n):
        self.do("evict_ahead", n)

    @rule(mode=st.sampled_from(["NORMAL", "AGGRESSIVE"]))
    def trigger(self, mode):
        self.do("trigger", mode)

    @rule(space=SPACES, floor=st.integers(0, 8), cap=st.integers(0, 8))
    def quota(self, space, floor, cap):
        self.do("quota", space, floor, cap)

    @rule(hashes=HASHES)
    def touch(self, hashes):
        self.do("touch", hashes)

    @rule(requests=st.lists(HASHES, max_size=2).map(tuple))
    def look(self, requests):
        self.do("look", requests)

    @rule(hashes=HASHES)
    def reset_blocks(self, hashes):
        self.do("reset_blocks", hashes)

    @rule()
    def reset(self):
        self.do("reset")

    @precondition(lambda self: self.has("mutable", "immutable"))
    @rule(number=PICKS, start=BOUNDS, stop=BOUNDS, step=st.sampled_from([None, 1, 2, -1]))
    def view(self, number, start, stop, step):
        self.do("view", self.new(), self.pick(number, "mutable", "immutable"), start, stop, step)

    @precondition(lambda self: self.has("mutable", "immutable", "scattered"))
    @rule(number=PICKS, i=st.integers(-2, 4))
    def item(self, number, i):
        self.do("item", self.new(), self.pick(number, "mutable", "immutable", "scattered"), i)

    @precondition(lambda self: self.has("mutable", "immutable"))
    @rule(left=PICKS, right=PICKS)
    def add(self, left, right):
        kinds = "mutable", "immutable"
        self.do("add", self.new(), self.pick(left, *kinds), self.pick(right, *kinds))

    @precondition(lambda self: self.has("item"))
    @rule(number=PICKS)
    def downgrade(self, number):
        self.do("downgrade", self.new(), self.pick(number, "item"))

    @precondition(lambda self: self.has("weak"))
    @rule(number=PICKS)
    def upgrade(self, number):
        self.do("upgrade", self.new(), self.pick(number, "weak"))

    @precondition(lambda self: self.side.slots)
    @rule(number=PICKS, how=st.sampled_from(["release", "leave", "delete", "delete", "walk"]))
    def let_go(self, number, how):
        self.do(how, self.pick(number))

    @rule(seconds=st.sampled_from([0.25, 1.0]))
    def advance(self, seconds):
        self.do("advance", seconds)


TestPoolAndModel = PoolAndModel.TestCase
TestPoolAndModel.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, print_blob=True
)
