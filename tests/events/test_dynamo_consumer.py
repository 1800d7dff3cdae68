"""Dynamo's router follows a pool, and finds in it what the pool itself finds."""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import functools
import http.client
import importlib.util
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time

import pytest

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed: pip install 'kvpool[events]'")
msgspec = pytest.importorskip("msgspec", reason="msgspec is not installed: pip install 'kvpool[events]'")
if importlib.util.find_spec("dynamo") is None or importlib.util.find_spec("dynamo._core") is None:
    pytest.skip("Dynamo is not installed: pip install ai-dynamo-runtime", allow_module_level=True)

from kvpool import BlockPool, EvictionMode, sequence_hashes  # noqa: E402 - after the checks that there is something to test
from kvpool.events import ZmqEventManager  # noqa: E402

LOOPBACK = "tcp://127.0.0.1:*"
PATIENCE = 30.0  # seconds that a test waits at most
BLOCK = 4
ADAPTERS = {"tuned": "adapter-7"}
# How a router asks for the blocks of each namespace.
SPACES = {"": {}, "acme": {"cache_salt": "acme"}, "tuned": {"lora_name": "adapter-7"}}
PORT = 8090  # of the indexer, in a network of its own


class Tree:
    """Dynamo's index in this process, fed from a socket as its router does it."""

    def __init__(self):
        from dynamo._core import RadixTree, compute_block_hash_for_seq

        self._hash = compute_block_hash_for_seq
        self._tree = RadixTree()

    def apply(self, worker, payload):
        _, events, rank = msgspec.msgpack.decode(payload)
        for event in events:
            told = json.dumps({"event_id": 0, "data": self.converted(event), "dp_rank": rank or 0})
            self._tree.apply_event(worker, told.encode())

    def converted(self, event):
        if event["type"] == "AllBlocksCleared":
            return "cleared"
        if event["type"] == "BlockRemoved":
            return {"removed": {"block_hashes": event["block_hashes"]}}
        salts = [key for key in (event.get("extra_keys") or [[]])[0] if key.startswith("dynamo-cache-salt:")]
        salt = salts[0].partition(":")[2] if salts else None
        own = self._hash(event["token_ids"], event["block_size"], lora_name=event["lora_name"], cache_namespace=salt)
        blocks = [
            {"block_hash": name, "tokens_hash": tokens_hash}
            for name, tokens_hash in zip(event["block_hashes"], own, strict=False)
        ]
        return {"stored": {"parent_hash": event["parent_block_hash"], "blocks": blocks}}

    def matches(self, prompt, lora_name=None, cache_salt=None):
        """Return the tokens of the prompt that each worker has cached."""
        hashes = self._hash(list(prompt), BLOCK, lora_name=lora_name, cache_namespace=cache_salt)
        return {worker: count * BLOCK for (worker, _), count in self._tree.find_matches(hashes).scores.items() if count}


class Follower:
    """Feeds what a worker publishes to the tree."""

    def __init__(self, tree, worker, pool, manager):
        self.pool = pool
        self._manager = manager
        self._tree = tree
        self._worker = worker
        self._next = 0
        self._context = zmq.Context()
        self._stream = self._context.socket(zmq.SUB)
        self._stream.connect(manager.endpoint)
        self._stream.subscribe("")
        until(lambda: manager.subscriptions == 1, "the subscription has arrived")
        for name in SPACES:
            pool.namespace(name)

    def catch_up(self):
        told(self.pool, self._manager)
        while self._next < self._manager.next_sequence_number:
            assert self._stream.poll(PATIENCE * 1000), "a batch is missing"
            _, number, payload = self._stream.recv_multipart()
            assert int.from_bytes(number, "big") == self._next
            self._tree.apply(self._worker, payload)
            self._next += 1

    def close(self):
        self._context.destroy(linger=0)


class Indexer:
    """``python -m dynamo.indexer`` in a process of its own."""

    def __init__(self, output):
        command = [sys.executable, "-m", "dynamo.indexer", "--port", str(PORT), "--threads", "1"]
        self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        until(self._is_up, f"the indexer runs: {output.name}")

    def _is_up(self):
        assert self._process.poll() is None, "the indexer ended"
        try:
            return self.call("GET", "/workers") == []
        except OSError:
            return False

    def call(self, method, path, **body):
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            assert response.status in {200, 201}, answer
            return json.loads(answer)

    def follow(self, worker, manager, pool, rank=0):
        """Have a worker's events followed; return when they arrive."""
        self.call(
            "POST",
            "/register",
            instance_id=worker,
            endpoint=manager.endpoint,
            replay_endpoint=manager.replay_endpoint,
            model_name="model",
            block_size=BLOCK,
            dp_rank=rank,
        )
        markers = iter(range(10**6, 10**7))

        def arrives():
            # What is told before the indexer has subscribed is lost, until something comes after it.
            marker = [next(markers)] * BLOCK
            cache(pool, marker)
            told(pool, manager)
            return self.matches(marker).get((worker, rank)) == BLOCK

        until(arrives, "the indexer follows")

    def matches(self, prompt, **query):
        """Return the tokens of the prompt that each worker's replicas have cached."""
        scores = self.call("POST", "/query", token_ids=list(prompt), model_name="model", **query)["scores"]
        return {(int(worker), int(rank)): n for worker, ranks in scores.items() for rank, n in ranks.items() if n}

    def close(self):
        self._process.terminate()
        self._process.wait(PATIENCE)


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)


def in_a_network_of_its_own(test):
    """Run a test in a thread whose only network is a loopback device that nobody else has."""

    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(0x40000000) != 0:  # CLONE_NEWNET, which holds for this thread and those that it starts
            pytest.skip(f"no network of its own can be made: {os.strerror(ctypes.get_errno())}")
        with socket.socket() as any_socket:
            up = struct.pack("16sH22x", b"lo", 0x1)  # IFF_UP
            fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS

    @functools.wraps(test)
    def run(*args, **kwargs):
        def body():
            enter()
            test(*args, **kwargs)

        if not sys.platform.startswith("linux"):
            pytest.skip("networks of their own are made on Linux only")
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            executor.submit(body).result()

    return run


@contextlib.contextmanager
def indexer_of(tmp_path):
    with open(tmp_path / "indexer.log", "w") as output, contextlib.closing(Indexer(output)) as indexer:
        yield indexer


@contextlib.contextmanager
def worker_of(num_blocks=64, pool_options=(), replay_endpoint=LOOPBACK, **options):
    """A pool and the manager that publishes its events."""
    manager = ZmqEventManager(LOOPBACK, replay_endpoint=replay_endpoint, lora_names=ADAPTERS, **options)
    with BlockPool(num_blocks, BLOCK, event_manager=manager, event_interval=0.001, **dict(pool_options)) as pool:
        yield pool, manager


def cache(pool, prompt, **options):
    """Have a prompt's full blocks cached, as far as there is room."""
    with pool.open_sequence(prompt, **options) as request:
        request.commit(len(prompt))


def told(pool, manager):
    """Wait until all that happened has been published."""
    until(lambda: manager.published_events >= pool.event_statistics().recorded, "everything is published")


def random_prompt(chooser):
    """A prompt of one to six blocks, of which there are few, so that prompts share prefixes."""
    return [token for _ in range(chooser.randint(1, 6)) for token in [chooser.randint(1, 3)] * BLOCK]


def cached_tokens(pool, prompts, namespace=""):
    """How many tokens of each prompt the pool has cached, as it says itself."""
    hashes = [pool.namespaces[namespace].sequence_hashes(prompt) for prompt in prompts]
    return (pool.match_lengths(hashes) * BLOCK).tolist()


def agree(indexer, workers, prompts, **query):
    """Wait until the indexer finds what the pools find; ``workers`` has the pools by worker and rank."""
    found = {key: cached_tokens(pool, prompts) for key, pool in workers.items()}
    expected = [{key: counts[i] for key, counts in found.items() if counts[i]} for i in range(len(prompts))]
    seen = []

    def is_so():
        seen[:] = [indexer.matches(prompt, **query) for prompt in prompts]
        return seen == expected

    with contextlib.suppress(AssertionError):
        until(is_so, "the same matches")
    assert seen == expected
    return expected


@pytest.mark.parametrize("seed", range(3))
def test_dynamos_index_finds_what_the_pools_find(seed):
    chooser = random.Random(seed)
    tree, longest = Tree(), 0
    options = {"replay_endpoint": None, "pool_options": {"max_namespaces": 3}}
    with contextlib.ExitStack() as stack:
        followers = {}
        for worker in (7, 8):
            pool, manager = stack.enter_context(worker_of(40, **options))
            followers[worker] = stack.enter_context(contextlib.closing(Follower(tree, worker, pool, manager)))
        for step in range(150):
            pool = chooser.choice(list(followers.values())).pool
            action = chooser.random()
            if action < 0.9:
                cache(pool, random_prompt(chooser), namespace=chooser.choice(list(SPACES)))
            elif action < 0.95:
                pool.allocate_blocks(chooser.randint(1, pool.available_blocks)).release()
            elif action < 0.98:
                pool.trigger_eviction(EvictionMode.AGGRESSIVE)
            else:
                pool.reset()
            if step % 5:
                continue
            for follower in followers.values():
                follower.catch_up()
            prompts = [random_prompt(chooser) for _ in range(20)]
            for space, query in SPACES.items():
                counts = {worker: cached_tokens(each.pool, prompts, space) for worker, each in followers.items()}
                for i, prompt in enumerate(prompts):
                    expected = {worker: found[i] for worker, found in counts.items() if found[i]}
                    assert tree.matches(prompt, **query) == expected
                    longest = max(longest, *expected.values(), 0)
        assert longest >= 4 * BLOCK, "there was something to find"


@pytest.mark.parametrize("encoding", ["map", "array"])
@in_a_network_of_its_own
def test_the_indexer_finds_the_longest_match_of_each_worker(tmp_path, encoding):
    chooser = random.Random(encoding)
    with (
        indexer_of(tmp_path) as indexer,
        worker_of(30, encoding=encoding) as (pool, manager),
        worker_of(30, encoding=encoding) as (other_pool, other_manager),
    ):
        indexer.follow(1, manager, pool)
        indexer.follow(2, other_manager, other_pool)
        workers = {(1, 0): pool, (2, 0): other_pool}
        prompts = [random_prompt(chooser) for _ in range(8)]

        for prompt in prompts[:4]:
            cache(pool, prompt)
        for prompt in prompts[2:]:
            cache(other_pool, prompt)
        stored = agree(indexer, workers, prompts)
        assert stored[0][1, 0] == len(prompts[0])
        assert stored[-1][2, 0] == len(prompts[-1])

        pool.allocate_blocks(25).release()
        evicted = agree(indexer, workers, prompts)
        assert sum(found.get((1, 0), 0) for found in evicted) < sum(found.get((1, 0), 0) for found in stored)
        pool.allocate_blocks(30).release()
        assert all((1, 0) not in found for found in agree(indexer, workers, prompts))

        cache(pool, prompts[0])
        agree(indexer, workers, prompts)
        other_pool.reset()
        cleared = agree(indexer, workers, prompts)
        assert cleared[0] == {(1, 0): len(prompts[0])}
        assert cleared[-1].get((2, 0)) is None
        assert (manager.dropped, other_manager.dropped) == (0, 0)


@pytest.mark.parametrize("buffer_batches", [10_000, 1], ids=["replayed", "from a snapshot"])
@in_a_network_of_its_own
def test_an_indexer_that_comes_late_gets_what_is_there(tmp_path, buffer_batches):
    with indexer_of(tmp_path) as indexer, worker_of(buffer_batches=buffer_batches) as (pool, manager):
        prompts = [[i] * BLOCK + [100] * BLOCK for i in range(5)]
        for prompt in prompts:
            cache(pool, prompt)
            told(pool, manager)
        assert manager.published >= 5
        indexer.follow(1, manager, pool)
        assert agree(indexer, {(1, 0): pool}, prompts) == [{(1, 0): 2 * BLOCK}] * 5
        assert manager.replayed > 0


@in_a_network_of_its_own
def test_the_indexer_is_right_again_after_the_pool_had_to_drop_events(tmp_path):
    with indexer_of(tmp_path) as indexer, worker_of(200, {"event_capacity": 16}) as (pool, manager):
        indexer.follow(1, manager, pool)
        lost, kept = [1] * BLOCK, [token for i in range(100) for token in [i + 2] * BLOCK]
        cache(pool, lost)
        agree(indexer, {(1, 0): pool}, [lost])
        # More at once than the ring has room for: among it, that the first is gone.
        pool.reset()
        cache(pool, kept)
        found = agree(indexer, {(1, 0): pool}, [lost, kept])
        assert found == [{}, {(1, 0): len(kept)}]
        assert pool.event_statistics().missed > 0


@in_a_network_of_its_own
def test_the_indexer_keeps_tenants_and_adapters_apart(tmp_path):
    with indexer_of(tmp_path) as indexer, worker_of(64, {"max_namespaces": 3}) as (pool, manager):
        pool.namespace("acme")
        pool.namespace("tuned")
        indexer.follow(1, manager, pool)
        prompt = [5] * (3 * BLOCK)
        lengths = {"": 1, "acme": 2, "tuned": 3}
        for space, blocks in lengths.items():
            cache(pool, prompt[: blocks * BLOCK], namespace=space)
        for space, blocks in lengths.items():
            until(
                lambda space=space, n=blocks: indexer.matches(prompt, **SPACES[space]) == {(1, 0): n * BLOCK},
                f"{blocks} blocks of {space or 'nobody'}",
            )


@in_a_network_of_its_own
def test_clearing_one_replica_leaves_the_others(tmp_path):
    with (
        indexer_of(tmp_path) as indexer,
        worker_of(data_parallel_rank=0) as (pool, manager),
        worker_of(data_parallel_rank=1) as (other_pool, other_manager),
    ):
        indexer.follow(1, manager, pool, rank=0)
        indexer.follow(1, other_manager, other_pool, rank=1)
        workers, prompt = {(1, 0): pool, (1, 1): other_pool}, [5] * (2 * BLOCK)
        cache(pool, prompt)
        cache(other_pool, prompt)
        agree(indexer, workers, [prompt])
        pool.reset()
        assert agree(indexer, workers, [prompt]) == [{(1, 1): 2 * BLOCK}]


@in_a_network_of_its_own
def test_blocks_without_tokens_are_nothing_to_the_indexer(tmp_path):
    with indexer_of(tmp_path) as indexer, worker_of() as (pool, manager):
        indexer.follow(1, manager, pool)
        known, unknown = [5] * (2 * BLOCK), [6] * (2 * BLOCK)
        pool.register_blocks(pool.allocate_blocks(2), sequence_hashes(unknown, block_size=BLOCK)).release()
        cache(pool, known)
        until(lambda: indexer.matches(known) == {(1, 0): 2 * BLOCK}, "the known blocks")
        assert indexer.matches(unknown) == {}
        assert manager.unknown_tokens == 2
