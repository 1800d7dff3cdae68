"""An event manager that publishes to routers."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kvpool.errors import BlockPoolError
from kvpool.events.event_manager import EventManager
from kvpool.events.replay_buffer import ReplayBuffer
from kvpool.types.event_batch import EventBatch

try:
    import zmq

    from kvpool.events.replay_server import ReplayServer
    from kvpool.events.wire import EventEncoder
except ModuleNotFoundError as _error:
    raise ImportError("ZmqEventManager needs pyzmq and msgspec: pip install 'kvpool[events]'") from _error

if TYPE_CHECKING:
    from kvpool._core.pool import BlockPool

__all__ = ["ZmqEventManager"]

_LINGER = 1000  # milliseconds
_REPLIES_AHEAD = 1000  # messages that wait for one client of the replay; more are sent when it has read some


class ZmqEventManager(EventManager):
    """Publishes the events of a pool over ZeroMQ, as vLLM does, for Dynamo's router, llm-d, AIBrix and others.

    Each batch is a message of three frames: the topic, a sequence number (8 bytes, big-endian, from 0), and the events
    in MessagePack, ``[timestamp, [event, ...], data_parallel_rank]``. Nothing here waits for a subscriber. One that is
    too slow finds a gap in the numbers, and can ask for what it missed at `replay_endpoint`.

    When the pool had to drop events, the next batch is a snapshot: ``AllBlocksCleared``, then ``BlockStored`` for all
    that is registered, parents before children; so is the first batch of ``pool.subscribe(manager, snapshot=True)``. A
    router is right again by itself. It gets the same in reply to a request for batches that are not kept any more, as a
    router makes that comes late: one message with the number of the last batch that it stands for. Batches after such a
    reply can tell again what it says already.

    Parameters
    ----------
    endpoint : str, default "tcp://*:5557"
        Where to publish; bound at once. Several pools of one machine need an endpoint each.
    replay_endpoint : str, optional
        Where to answer requests for past batches: ``[b"", start]`` from a DEALER, start in 8 bytes. The replies are
        ``[b"", topic, number, payload]``, and ``[b"", b"", -1, b""]`` at the end.
    topic : str, default ""
        The first frame of each message.
    data_parallel_rank : int, optional
        Which of the worker's replicas the pool is; subscribers keep them apart.
    encoding : {"map", "array"}, default "map"
        How an event is encoded: as a map with its ``type`` (vLLM since June 2026), or as an array that begins with it.
    hash_format : {"int", "bytes"}, default "int"
        A sequence hash is an unsigned integer of 64 bits, or its 8 bytes in big-endian order. Dynamo wants integers.
    medium : str, default "GPU"
        Where the blocks are; also ``"CPU"`` and ``"STORAGE"``.
    lora_names : mapping of str to str, optional
        Names of LoRA adapters by the names of the namespaces that have their blocks. Other namespaces are tenants:
        their name goes along as a cache salt, the first of ``extra_keys``, in the form that Dynamo reads.
    buffer_batches : int, default 10,000
        Batches that are kept for replay, at least 1; kept only with a `replay_endpoint`.
    buffer_bytes : int, default 268,435,456
        Bytes that these take at most: at 16 tokens a block, 75 bytes for each that was stored.
    high_water_mark : int, default 100,000
        Messages that wait for one subscriber before it misses some, at least 1.
    context : zmq.Context, optional
        One of its own by default.

    Attributes
    ----------
    published, published_events : int
        Batches and the events in them.
    dropped : int
        Batches at which a subscriber fell behind, its queue being full. It does not get them, nor the following ones
        until it has read half of its queue; those are not counted.
    replayed : int
        Batches sent again.
    unknown_tokens : int
        Blocks that were told without their tokens, since the pool does not know them. Dynamo ignores such a block and
        all that continue it.
    bad_requests : int
        Requests for replay that made no sense, and got no reply.
    subscriptions : int
        Topics that were subscribed to when the last batch went out, each counted once however many subscribe to it.

    Raises
    ------
    ImportError
        pyzmq or msgspec is not installed: ``pip install 'kvpool[events]'``.
    OSError
        An endpoint cannot be bound.
    TypeError, ValueError
        An argument is of the wrong kind or out of its bounds.

    Notes
    -----
    A router looks up prompts by its own hashes of the tokens: it has to know the block size, and the pool the tokens of
    its blocks (``event_tokens``). Whoever reaches the endpoint reads the prompts, so bind it to a network that you
    trust. The numbers begin anew with each process: register a worker that was started again with Dynamo again.
    """

    wants_tokens = True
    wants_snapshots = True

    def __init__(
        self,
        endpoint: str = "tcp://*:5557",
        *,
        replay_endpoint: str | None = None,
        topic: str = "",
        data_parallel_rank: int | None = None,
        encoding: str = "map",
        hash_format: str = "int",
        medium: str = "GPU",
        lora_names: Mapping[str, str] | None = None,
        buffer_batches: int = 10_000,
        buffer_bytes: int = 2**28,
        high_water_mark: int = 100_000,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        _check_choice("encoding", encoding, ("map", "array"))
        _check_choice("hash_format", hash_format, ("int", "bytes"))
        for name, text in (("endpoint", endpoint), ("topic", topic), ("medium", medium)):
            _check_str(name, text)
        if replay_endpoint is not None:
            _check_str("replay_endpoint", replay_endpoint)
        _check_int("buffer_batches", buffer_batches, 1)
        _check_int("buffer_bytes", buffer_bytes, 0)
        _check_int("high_water_mark", high_water_mark, 1)
        if data_parallel_rank is not None:
            _check_int("data_parallel_rank", data_parallel_rank, 0)
        self._encoder = EventEncoder(
            encoding=encoding,
            hash_format=hash_format,
            medium=medium,
            lora_names={} if lora_names is None else lora_names,
            data_parallel_rank=data_parallel_rank,
        )
        self._topic = topic.encode()
        self._pool: weakref.ref[BlockPool] | None = None
        self._is_closed = False
        self._buffer: ReplayBuffer | None = None
        self._server: ReplayServer | None = None
        self._replay_endpoint: str | None = None
        self.published = 0
        self.published_events = 0
        self.dropped = 0
        self.subscriptions = 0

        self._owns_context = context is None
        self._context: zmq.Context[Any] = zmq.Context() if context is None else context
        self._sockets: list[zmq.Socket[bytes]] = []
        try:
            self._publisher = self._bound(zmq.XPUB, endpoint, high_water_mark)
            self._endpoint = self._publisher.getsockopt_string(zmq.LAST_ENDPOINT)
            # With NODROP, a message that some subscriber cannot take is refused: that is how a drop is noticed.
            self._publisher.setsockopt(zmq.XPUB_NODROP, 1)
            if replay_endpoint is not None:
                router = self._bound(zmq.ROUTER, replay_endpoint, _REPLIES_AHEAD)
                self._replay_endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
                self._buffer = ReplayBuffer(buffer_batches, buffer_bytes)
                self._server = ReplayServer(router, self._buffer, self._topic, self._make_snapshot)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        """Say where it publishes."""
        return f"<ZmqEventManager: {self.published} batches at {self._endpoint}{', closed' if self._is_closed else ''}>"

    @property
    def endpoint(self) -> str:
        """Where it publishes; a wildcard port is resolved."""
        return self._endpoint

    @property
    def replay_endpoint(self) -> str | None:
        """Where it answers requests for past batches, or None."""
        return self._replay_endpoint

    @property
    def next_sequence_number(self) -> int:
        """Number of the batch that comes next."""
        return self.published

    @property
    def replayed(self) -> int:
        """Batches sent again."""
        return 0 if self._server is None else self._server.replayed

    @property
    def bad_requests(self) -> int:
        """Requests for replay that made no sense."""
        return 0 if self._server is None else self._server.bad_requests

    @property
    def unknown_tokens(self) -> int:
        """Blocks that were told without their tokens."""
        return self._encoder.unknown_tokens

    def open(self, pool: BlockPool) -> None:
        """Begin. A second pool is refused: its blocks would be taken for the first one's.

        Parameters
        ----------
        pool : BlockPool
        """
        self._check_open()
        if self._pool is not None:
            raise BlockPoolError(f"{self!r} has a pool already; a manager serves one")
        self._pool = weakref.ref(pool)

    def publish(self, batch: EventBatch) -> None:
        """Send a batch to all subscribers that have room for it.

        Parameters
        ----------
        batch : EventBatch
        """
        self._check_open()
        payload = self._encoder.encode(batch)
        frames = (self._topic, self.published.to_bytes(8, "big"), payload)
        try:
            self._publisher.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            self.dropped += 1
            self._publisher.setsockopt(zmq.XPUB_NODROP, 0)
            self._publisher.send_multipart(frames, zmq.DONTWAIT)
            self._publisher.setsockopt(zmq.XPUB_NODROP, 1)
        if self._buffer is not None:
            self._buffer.append(payload, is_snapshot=batch.is_snapshot)
        self.published += 1
        self.published_events += len(batch)

    def fileno(self) -> int:
        """Return the descriptor that tells of requests for replay; without those, of subscriptions."""
        self._check_open()
        return self._publisher.fileno() if self._server is None else self._server.fileno()

    def service(self) -> None:
        """Take note of subscriptions, and answer requests for past batches."""
        self._check_open()
        while int(self._publisher.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            message = self._publisher.recv(zmq.DONTWAIT)
            if message[:1] == b"\x01":
                self.subscriptions += 1
            elif message[:1] == b"\x00":
                self.subscriptions -= 1
        if self._server is not None:
            self._server.service()

    def close(self) -> None:
        """Close the sockets; wait a second at most for subscribers to take what is left."""
        if self._is_closed:
            return
        self._is_closed = True
        for socket in self._sockets:
            socket.close()
        if self._owns_context:
            self._context.term()

    def _bound(self, kind: int, endpoint: str, high_water_mark: int) -> zmq.Socket[bytes]:
        """Return a new socket at an endpoint."""
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        self._sockets.append(socket)
        socket.setsockopt(zmq.LINGER, _LINGER)
        socket.setsockopt(zmq.SNDHWM, high_water_mark)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise OSError(error.errno, f"cannot bind {endpoint}: {zmq.strerror(error.errno or 0)}") from None
        return socket

    def _make_snapshot(self) -> bytes | None:
        """Return all that is registered in the pool by now as a payload, or None: there is no pool any more."""
        pool = None if self._pool is None else self._pool()
        if pool is None:
            return None
        try:
            return self._encoder.encode(pool.snapshot())
        except BlockPoolError:
            return None

    def _check_open(self) -> None:
        if self._is_closed:
            raise BlockPoolError(f"{self!r} is closed")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} = {value!r} is not one of {', '.join(map(repr, choices))}")


def _check_str(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")


def _check_int(name: str, value: object, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < low:
        raise ValueError(f"{name} = {value} is not at least {low}")
