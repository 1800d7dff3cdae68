"""What an adapter must do, so that every implementation is measured on the same work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from scenarios.steps import Tokens

__all__ = ["Peer"]


class Peer(ABC):
    """One implementation, driven through its own best calls.

    The primitives make many calls each, in a loop of the adapter's own, so that no shared layer is timed with them.
    What is *held* is whatever the implementation gives for blocks that it may not take away; a *prefix* is what it
    looks blocks up by. `version`, `open`, `prefixes`, `count` and `prompt` are not timed.
    """

    name: ClassVar[str]

    @abstractmethod
    def version(self) -> str:
        """Return what is measured."""

    @abstractmethod
    def open(self, num_blocks: int) -> None:
        """Begin anew with a pool of empty blocks."""

    @abstractmethod
    def prefixes(self, token_ids: Tokens) -> Sequence[Any]:
        """Return one prefix, hashed if hashes are used, for each row; all rows are whole blocks."""

    @abstractmethod
    def count(self, held: Any) -> int:
        """Return how many blocks are held."""

    # Primitives of a block pool

    @abstractmethod
    def allocate(self, n: int, calls: int) -> list[Any]:
        """Take n blocks, `calls` times; evict what is cached where none are empty."""

    @abstractmethod
    def register(self, allocated: list[Any], prefixes: Sequence[Any]) -> list[Any]:
        """Let others find allocated blocks; they stay held. Empties `allocated`."""

    @abstractmethod
    def match(self, prefixes: Sequence[Any]) -> list[Any]:
        """Find and hold the longest cached prefix of each."""

    @abstractmethod
    def release(self, registered: list[Any]) -> None:
        """Give back registered blocks, which stay cached. Empties the list."""

    @abstractmethod
    def release_allocated(self, allocated: list[Any]) -> None:
        """Give back blocks that were never registered. Empties the list."""

    @abstractmethod
    def match_and_release(self, prefixes: Sequence[Any]) -> None:
        """Match and give back, one after the other."""

    # Requests

    @abstractmethod
    def prompt(self, token_ids: Tokens) -> Any:
        """Return the prompt in the form that `start` likes best, not hashed."""

    @abstractmethod
    def start(self, prompt: Any) -> Any:
        """Admit a request: hash, match, hold room for the rest, register what is full. Returns its state."""

    @abstractmethod
    def decode(self, running: list[Any], token_ids: list[int]) -> None:
        """Append one token to each of the running requests; hold and register blocks as they fill."""

    @abstractmethod
    def finish(self, running: Any) -> None:
        """Give back all blocks of a request."""
