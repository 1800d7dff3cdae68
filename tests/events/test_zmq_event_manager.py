"""Publishing over ZeroMQ."""

import select

import pytest

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed: pip install 'kvpool[events]'")
msgspec = pytest.importorskip("msgspec", reason="msgspec is not installed: pip install 'kvpool[events]'")

from kvpool import BlockPool, BlockPoolError  # noqa: E402 - after the check that there is something to test
from kvpool.events import ZmqEventManager  # noqa: E402

LOOPBACK = "tcp://127.0.0.1:*"
PATIENCE = 30.0  # seconds that a test waits at most


def number_of(message):
    return int.from_bytes(message[1], "big")


def test_a_subscriber_gets_topic_number_and_events(wire, make_batch):
    manager = wire.manager(topic="kv-events", data_parallel_rank=2)
    subscriber = wire.subscriber(manager, "kv")
    stranger = wire.subscriber(manager, "other")
    manager.publish(make_batch(("stored", 1, None, [1, 2, 3, 4]), ("removed", 1)))
    manager.publish(make_batch(("cleared",), timestamp=99.25))
    topic, number, payload = wire.receive(subscriber)
    assert (topic, number) == (b"kv-events", bytes(8))
    seconds, (stored, removed), rank = msgspec.msgpack.decode(payload)
    assert (seconds, stored["token_ids"], removed["block_hashes"], rank) == (1234.5, [1, 2, 3, 4], [1], 2)
    topic, number, payload = wire.receive(subscriber)
    assert (topic, number) == (b"kv-events", bytes((0, 0, 0, 0, 0, 0, 0, 1)))
    assert msgspec.msgpack.decode(payload) == [99.25, [{"type": "AllBlocksCleared"}], 2]
    assert not stranger.poll(0)
    assert (manager.published, manager.published_events, manager.next_sequence_number) == (2, 3, 2)


def test_topics_are_counted_as_they_are_subscribed_to_and_left(wire):
    manager = wire.manager()
    assert manager.subscriptions == 0
    first, _ = wire.subscriber(manager, "a"), wire.subscriber(manager, "b")
    assert manager.subscriptions == 2
    first.close()
    wire.until(lambda: manager.subscriptions == 1, manager.service)


def test_a_port_in_use_is_refused_by_its_name(wire):
    manager = wire.manager(replay_endpoint=LOOPBACK)
    for taken in (manager.endpoint, manager.replay_endpoint):
        with pytest.raises(OSError, match=f"cannot bind {taken}: Address already in use"):
            ZmqEventManager(taken)
        with pytest.raises(OSError, match=f"cannot bind {taken}"):
            ZmqEventManager(LOOPBACK, replay_endpoint=taken)
    # What was bound before the refusal is free again.
    endpoint = manager.endpoint
    manager.close()
    with pytest.raises(OSError, match="cannot bind tcp://nowhere"):
        ZmqEventManager(endpoint, replay_endpoint="tcp://nowhere:what")
    wire.manager(endpoint)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"encoding": "json"}, ValueError, "encoding = 'json' is not one of 'map', 'array'"),
        ({"hash_format": "hex"}, ValueError, "hash_format = 'hex' is not one of 'int', 'bytes'"),
        ({"buffer_batches": 0}, ValueError, "buffer_batches = 0 is not at least 1"),
        ({"high_water_mark": 0}, ValueError, "high_water_mark = 0 is not at least 1"),
        ({"data_parallel_rank": -1}, ValueError, "data_parallel_rank = -1 is not at least 0"),
        ({"data_parallel_rank": "0"}, TypeError, "data_parallel_rank must be an int, not str"),
        ({"endpoint": None}, TypeError, "endpoint must be a str, not NoneType"),
        ({"topic": b"kv"}, TypeError, "topic must be a str, not bytes"),
    ],
)
def test_bad_arguments_are_refused(options, error, says):
    with pytest.raises(error, match=says):
        ZmqEventManager(**{"endpoint": LOOPBACK} | options)


def test_without_replay_the_descriptor_tells_of_subscriptions(wire):
    manager = wire.manager()
    manager.service()
    wire.socket(zmq.SUB, manager.endpoint).subscribe("")
    while manager.subscriptions == 0:
        readable, _, _ = select.select([manager.fileno()], [], [], PATIENCE)
        assert readable, "the descriptor did not get readable"
        manager.service()


def test_a_slow_subscriber_misses_batches_and_the_others_do_not(wire, make_batch):
    manager = wire.manager("inproc://events", context=wire.context, high_water_mark=2, topic="kv")
    slow, fast = wire.subscriber(manager, "k", rcvhwm=2), wire.subscriber(manager, "kv", rcvhwm=1000)
    for stalls in (1, 2):
        for _ in range(10):
            manager.publish(make_batch(("removed", 1)))
            assert number_of(wire.receive(fast)) == manager.published - 1
        assert manager.dropped == stalls
        got = []
        while slow.poll(0):
            got.append(number_of(slow.recv_multipart()))
        assert got == list(range(manager.published - 10, manager.published - 6))
        manager.service()


def test_nothing_is_dropped_where_nobody_listens(wire, make_batch):
    manager = wire.manager(high_water_mark=1)
    for i in range(100):
        manager.publish(make_batch(("removed", i)))
    assert (manager.published, manager.dropped) == (100, 0)


def test_the_last_batches_go_out_when_it_is_closed(wire, make_batch):
    manager = wire.manager()
    subscriber = wire.subscriber(manager)
    for i in range(1000):
        manager.publish(make_batch(("removed", i)))
    manager.close()
    assert [number_of(wire.receive(subscriber)) for _ in range(1000)] == list(range(1000))


def test_a_closed_manager_refuses_to_go_on_and_can_be_closed_again(wire, make_batch):
    manager = wire.manager(replay_endpoint=LOOPBACK)
    manager.close()
    manager.close()
    assert "closed" in repr(manager)
    for call in (lambda: manager.publish(make_batch(("removed", 1))), manager.service, manager.fileno):
        with pytest.raises(BlockPoolError, match="is closed"):
            call()


def test_a_manager_serves_one_pool(wire):
    manager = wire.manager()
    manager.open(BlockPool(4))
    with pytest.raises(BlockPoolError, match="has a pool already"):
        manager.open(BlockPool(4))


def test_a_context_that_was_given_stays_open(wire, make_batch):
    manager = wire.manager(context=wire.context)
    manager.close()
    assert not wire.context.closed


def test_a_pool_publishes_what_happens_to_it(wire):
    manager = wire.manager()
    stream = wire.subscriber(manager)
    with BlockPool(8, 4, event_manager=manager) as pool:
        with pool.open_sequence(range(9)) as request:
            request.commit(9)
            first, second = request.sequence_hashes[:2].tolist()
        pool.allocate_blocks(7).release()
    messages = [wire.receive(stream) for _ in range(manager.published)]
    assert [number_of(message) for message in messages] == list(range(len(messages)))
    events = [event for message in messages for event in msgspec.msgpack.decode(message[2])[1]]
    assert [event["block_hashes"] for event in events] == [[first, second], [second]]
    assert events[0]["token_ids"] == list(range(8))
    assert (manager.published_events, manager.unknown_tokens) == (3, 0)


def test_what_the_pool_had_to_drop_is_made_good_by_a_snapshot(wire):
    manager = wire.manager()
    stream = wire.subscriber(manager)
    with (
        BlockPool(100, 4, event_manager=manager, event_capacity=8) as pool,
        pool.open_sequence(range(200)) as request,
    ):
        request.commit(200)
        hashes = request.sequence_hashes.tolist()
    told = []
    for _ in range(manager.published):
        for event in msgspec.msgpack.decode(wire.receive(stream)[2])[1]:
            told = [] if event["type"] == "AllBlocksCleared" else told + event["block_hashes"]
    assert told == hashes, "parents before children"
    assert pool.event_statistics().missed > 0


def test_kvpool_imports_neither_zmq_nor_msgspec(run_python):
    run_python("""
        import sys
        import kvpool, kvpool.events
        assert not {"zmq", "msgspec"} & set(sys.modules)
        assert "ZmqEventManager" in kvpool.events.__all__
    """)


@pytest.mark.parametrize("missing", ["zmq", "msgspec"])
def test_a_missing_extra_says_how_to_get_it(run_python, missing):
    run_python(f"""
        import sys
        sys.modules[{missing!r}] = None
        try:
            from kvpool.events import ZmqEventManager
        except ImportError as error:
            assert "pip install 'kvpool[events]'" in str(error), error
        else:
            raise AssertionError("it was imported")
    """)
