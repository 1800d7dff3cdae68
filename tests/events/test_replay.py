"""Replay for subscribers that missed something."""

import random
import select

import pytest

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed: pip install 'kvpool[events]'")
msgspec = pytest.importorskip("msgspec", reason="msgspec is not installed: pip install 'kvpool[events]'")

from kvpool import BlockPool, EvictionMode  # noqa: E402 - after the check that there is something to test

LOOPBACK = "tcp://127.0.0.1:*"
PATIENCE = 30.0  # seconds that a test waits at most
END = (-1).to_bytes(8, "big", signed=True)


class Pool:
    """Stands in for a pool: it has a snapshot, and counts how often that is wanted."""

    def __init__(self, snapshot):
        self._snapshot = snapshot
        self.asked = 0

    def snapshot(self):
        self.asked += 1
        return self._snapshot


class Mirror:
    """A registry at the other end of the wire, which asks for what it missed."""

    def __init__(self, wire, manager):
        self.hashes = set()
        self.gaps = 0
        self.next = 0
        self._wire = wire
        self._stream = wire.subscriber(manager)
        self._client = wire.client(manager)

    def catch_up(self, loses=lambda: False):
        """Take what is there, but for what gets lost."""
        while self._stream.poll(0):
            message = self._stream.recv_multipart()
            if loses():
                continue
            number = number_of(message)
            if number > self.next:
                self.gaps += 1
                self.recover()
            if number >= self.next:
                self._apply(number, message[2])

    def recover(self):
        """Ask for all that came since."""
        self._wire.ask(self._client, self.next)
        while (message := self._wire.receive(self._client)[1:])[1] != END:
            assert number_of(message) >= self.next
            self._apply(number_of(message), message[2])

    def _apply(self, number, payload):
        self.next = number + 1
        for event in msgspec.msgpack.decode(payload)[1]:
            if event["type"] == "BlockStored":
                self.hashes.update(event["block_hashes"])
            elif event["type"] == "BlockRemoved":
                self.hashes.difference_update(event["block_hashes"])
            else:
                self.hashes.clear()


def numbers(found):
    return [number for number, _ in found]


def hashes_of(events):
    return [event.get("block_hashes") for event in events]


def number_of(message):
    return int.from_bytes(message[1], "big")


def test_a_gap_is_replayed(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK, topic="kv")
    for i in range(5):
        manager.publish(make_batch(("stored", i + 1, None, [i] * 4)))
    client = wire.client(manager)
    wire.ask(client, 2)
    found = wire.replies(client, manager)
    assert numbers(found) == [2, 3, 4]
    assert [hashes_of(events) for _, events in found] == [[[3]], [[4]], [[5]]]
    assert manager.replayed == 3


def test_replies_have_the_frames_of_the_stream(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK, topic="kv")
    subscriber = wire.subscriber(manager)
    manager.publish(make_batch(("stored", 1, None, [1, 2, 3, 4])))
    client = wire.client(manager)
    wire.ask(client, 0)
    wire.until(lambda: client.poll(1), manager.service)
    assert wire.receive(client) == [b"", *wire.receive(subscriber)]
    assert wire.receive(client) == [b"", b"", b"\xff" * 8, b""]


@pytest.mark.parametrize("start", [3, 4, 2**64 - 1])
def test_a_replay_of_what_is_to_come_is_only_its_end(wire, make_batch, start):
    manager = wire.manager(replay_endpoint=LOOPBACK)
    for _ in range(3):
        manager.publish(make_batch(("removed", 1)))
    client = wire.client(manager)
    wire.ask(client, start)
    assert wire.replies(client, manager) == []


def test_a_gap_that_the_buffer_no_longer_covers_is_visible(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK, buffer_batches=3)
    for i in range(10):
        manager.publish(make_batch(("removed", i)))
    client = wire.client(manager)
    wire.ask(client, 4)
    found = wire.replies(client, manager)
    assert numbers(found) == [7, 8, 9]
    assert [hashes_of(events) for _, events in found] == [[[7]], [[8]], [[9]]]


def test_large_batches_are_kept_for_as_long_as_they_fit(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK, buffer_bytes=1000)
    client = wire.client(manager)
    for i in range(50):
        manager.publish(make_batch(("removed", i)))
    wire.ask(client, 0)
    found = wire.replies(client, manager)
    assert numbers(found) == list(range(50 - len(found), 50))
    assert 2 < len(found) < 50
    manager.publish(make_batch(*[("removed", i) for i in range(1000)]))
    wire.ask(client, 0)
    assert numbers(wire.replies(client, manager)) == [50], "the last one is kept whatever its size"


def test_who_comes_late_gets_a_snapshot_in_place_of_what_is_not_kept_any_more(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK, buffer_batches=3)
    pool = Pool(make_batch(("stored", 1, None, [1, 2, 3, 4]), ("stored", 2, 1, [5, 6, 7, 8]), is_snapshot=True))
    manager.open(pool)
    for i in range(10):
        manager.publish(make_batch(("removed", i)))
    client = wire.client(manager)
    wire.ask(client, 7)
    assert numbers(wire.replies(client, manager)) == [7, 8, 9]
    assert pool.asked == 0

    wire.ask(client, 0)
    ((number, (cleared, stored)),) = wire.replies(client, manager)
    assert (number, cleared["type"], stored["block_hashes"]) == (9, "AllBlocksCleared", [1, 2])
    # It serves others, and later, as long as the batches since then are kept.
    manager.publish(make_batch(("removed", 10)))
    manager.publish(make_batch(("removed", 11)))
    manager.publish(make_batch(("removed", 12)))
    for start in (0, 9):
        wire.ask(client, start)
        found = wire.replies(client, manager)
        assert numbers(found) == [9, 10, 11, 12]
        assert hashes_of(found[0][1]) == [None, [1, 2]]
    assert pool.asked == 1
    manager.publish(make_batch(("removed", 13)))
    wire.ask(client, 0)
    assert numbers(wire.replies(client, manager)) == [13]
    assert pool.asked == 2


def test_a_snapshot_in_the_stream_serves_who_comes_late(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK, buffer_batches=2)
    pool = Pool(None)
    manager.open(pool)
    subscriber = wire.subscriber(manager)
    for i in range(3):
        manager.publish(make_batch(("removed", i)))
    manager.publish(make_batch(("stored", 1, None, [1, 2, 3, 4]), first=90, missed=80, is_snapshot=True))
    manager.publish(make_batch(("removed", 1)))
    events = [msgspec.msgpack.decode(wire.receive(subscriber)[2])[1] for _ in range(4)][-1]
    assert hashes_of(events) == [None, [1]]
    client = wire.client(manager)
    wire.ask(client, 0)
    assert numbers(wire.replies(client, manager)) == [3, 4]
    assert pool.asked == 0


def test_a_pool_that_is_gone_leaves_the_gap_visible(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK, buffer_batches=1)
    pool = Pool(None)
    manager.open(pool)
    del pool
    for i in range(3):
        manager.publish(make_batch(("removed", i)))
    client = wire.client(manager)
    wire.ask(client, 0)
    assert numbers(wire.replies(client, manager)) == [2]


@pytest.mark.parametrize(
    "request_frames",
    [[b"", b"7"], [b"", bytes(9)], [b"x", bytes(8)], [bytes(8)], [b"", bytes(8), b""], [b""]],
    ids=["short", "long", "no delimiter", "one frame", "four frames", "empty"],
)
def test_a_request_that_makes_no_sense_is_ignored_and_counted(wire, make_batch, request_frames):
    manager = wire.manager(replay_endpoint=LOOPBACK)
    manager.publish(make_batch(("removed", 1)))
    client = wire.client(manager)
    client.send_multipart(request_frames)
    wire.ask(client, 0)
    assert numbers(wire.replies(client, manager)) == [0]
    assert (manager.bad_requests, manager.replayed) == (1, 1)


def test_requests_of_a_client_are_answered_one_after_the_other(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK)
    for i in range(3):
        manager.publish(make_batch(("removed", i)))
    client = wire.client(manager)
    for start in (1, 0, 2):
        wire.ask(client, start)
    assert [numbers(wire.replies(client, manager)) for _ in range(3)] == [[1, 2], [0, 1, 2], [2]]


def test_the_descriptor_tells_of_requests(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK)
    manager.publish(make_batch(("removed", 1)))
    manager.service()
    client = wire.client(manager)
    wire.ask(client, 0)
    while manager.replayed == 0:
        readable, _, _ = select.select([manager.fileno()], [], [], PATIENCE)
        assert readable, "the descriptor did not get readable"
        manager.service()
    assert numbers(wire.replies(client, manager)) == [0]


def test_a_client_that_stops_reading_gets_the_rest_when_it_goes_on(wire, make_batch):
    manager = wire.manager("inproc://events", replay_endpoint="inproc://replay", context=wire.context)
    for i in range(3000):
        manager.publish(make_batch(("removed", i)))
    stalled, other = wire.client(manager, rcvhwm=1), wire.client(manager)
    wire.ask(stalled, 0)
    wire.until(lambda: manager.replayed, manager.service)
    assert manager.replayed < 3000
    # Others are served meanwhile, and the stream goes on.
    wire.ask(other, 2990)
    assert numbers(wire.replies(other, manager)) == list(range(2990, 3000))
    manager.publish(make_batch(("removed", 3000)))
    # From here on only the descriptor says when to go on.
    found, is_over = [], False
    while not is_over:
        while stalled.poll(0):
            number = stalled.recv_multipart()[2]
            is_over = number == END
            found.append(int.from_bytes(number, "big"))
        if not is_over:
            readable, _, _ = select.select([manager.fileno()], [], [], PATIENCE)
            assert readable, "the descriptor did not get readable"
            manager.service()
    assert found[:-1] == list(range(3001))


def test_a_client_that_stalls_for_longer_than_the_buffer_lasts_sees_the_gap(wire, make_batch):
    manager = wire.manager(
        "inproc://events", replay_endpoint="inproc://replay", context=wire.context, buffer_batches=1500
    )
    for i in range(1500):
        manager.publish(make_batch(("removed", i)))
    client = wire.client(manager, rcvhwm=1)
    wire.ask(client, 0)
    wire.until(lambda: manager.replayed, manager.service)
    for i in range(1500, 3000):
        manager.publish(make_batch(("removed", i)))
    found = numbers(wire.replies(client, manager))
    last = found.index(1500) - 1
    assert found == [*range(last + 1), *range(1500, 3000)]
    assert last < 1499


def test_a_client_that_asks_too_much_at_once_is_cut_short(wire, make_batch):
    manager = wire.manager("inproc://events", replay_endpoint="inproc://replay", context=wire.context)
    manager.publish(make_batch(("removed", 0)))
    client = wire.client(manager)
    for _ in range(30):
        wire.ask(client, 0)
    manager.service()
    assert (manager.replayed, manager.bad_requests) == (8, 22)


def test_a_flood_of_requests_is_taken_bit_by_bit(wire):
    manager = wire.manager("inproc://events", replay_endpoint="inproc://replay", context=wire.context)
    clients = [wire.client(manager) for _ in range(250)]
    for client in clients:
        client.send_multipart([b"", b"what?"])
    seen = []
    for _ in range(4):
        manager.service()
        seen.append(manager.bad_requests)
    assert seen == [100, 200, 250, 250]


def test_a_client_that_went_away_is_forgotten(wire, make_batch):
    manager = wire.manager("inproc://events", replay_endpoint="inproc://replay", context=wire.context)
    for i in range(3000):
        manager.publish(make_batch(("removed", i)))
    gone, other = wire.client(manager, rcvhwm=1), wire.client(manager)
    wire.ask(gone, 0)
    wire.until(lambda: manager.replayed, manager.service)
    sent = manager.replayed
    gone.close()
    wire.ask(other, 2999)
    assert numbers(wire.replies(other, manager)) == [2999]
    assert manager.replayed == sent + 1 < 3000


def test_a_pool_that_does_nothing_answers_requests(wire):
    manager = wire.manager(replay_endpoint=LOOPBACK)
    with BlockPool(8, 4, event_manager=manager) as pool:
        with pool.open_sequence(range(4)) as request:
            request.commit(4)
        wire.until(lambda: manager.published == 1)
        client = wire.client(manager)
        for _ in range(3):
            wire.ask(client, 0)
            assert [wire.receive(client)[2] for _ in range(2)] == [bytes(8), END]


@pytest.mark.parametrize("seed", range(4))
def test_who_loses_batches_and_asks_for_them_knows_what_is_registered(wire, seed):
    chooser = random.Random(seed)
    manager = wire.manager(replay_endpoint=LOOPBACK, buffer_batches=chooser.choice([1, 3, 10]))
    mirror = Mirror(wire, manager)
    with BlockPool(32, 4, event_manager=manager, event_interval=0, event_capacity=chooser.choice([8, 1000])) as pool:
        for step in range(300):
            action = chooser.random()
            if action < 0.8:
                prompt = [token for _ in range(chooser.randint(1, 6)) for token in [chooser.randint(1, 4)] * 4]
                with pool.open_sequence(prompt) as request:
                    request.commit(len(prompt))
            elif action < 0.95:
                pool.allocate_blocks(chooser.randint(1, 20)).release()
            elif action < 0.99:
                pool.trigger_eviction(EvictionMode.AGGRESSIVE)
            else:
                pool.reset()
            if step % 5 == 0:
                before = manager.published
                with pool.open_sequence([step + 100] * 4) as request:
                    request.commit(4)
                wire.until(lambda n=before: manager.published > n)
                mirror.catch_up(loses=lambda: chooser.random() < 0.3)
        registered = set(pool.snapshot().hashes.tolist())
        wire.until(lambda: mirror.catch_up() or mirror.hashes == registered, mirror.recover)
        # A message can be here before it is counted there.
        wire.until(lambda: mirror.next == manager.published)
    assert mirror.gaps > 0
    assert manager.replayed > 0
