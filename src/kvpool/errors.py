"""What can go wrong: every error the pool raises of its own is a :class:`BlockPoolError`."""

from __future__ import annotations

from collections.abc import Sequence

from kvpool.types.hold import Hold

__all__ = [
    "AllocationTimeout",
    "BlockNotComplete",
    "BlockPoolError",
    "CorruptionError",
    "ForeignHandle",
    "IndexFileError",
    "InvalidMutableBlock",
    "NotEnoughBlocksAvailable",
    "PinLimitExceeded",
    "ResetError",
    "StaleHandle",
    "StorageInUse",
]


def _name(owner: object) -> str:
    """Return an owner as text; an owner that cannot be shown must not hide the error that names it."""
    if owner is None:
        return "unnamed"
    try:
        return repr(owner)
    except Exception:
        return f"<{type(owner).__name__} without a usable repr>"


def _list_holders(holders: Sequence[Hold]) -> str:
    """Return the five largest holders as text."""
    named = [f"{_name(hold.owner)} {hold.blocks} {hold.kind} ({hold.age:.1f} s)" for hold in holders[:5]]
    if len(holders) > 5:
        named.append(f"and {len(holders) - 5} more")
    return ", ".join(named)


class BlockPoolError(Exception):
    """Base of all errors of the pool. A call that raises one has changed nothing."""


class NotEnoughBlocksAvailable(BlockPoolError):
    """Fewer blocks are available than were asked for.

    Parameters
    ----------
    requested : int
        Blocks asked for.
    available : int
        Blocks that could have been handed out at that moment, empty and cached.
    total : int, optional
        Blocks of the pool.
    holders : sequence of Hold, optional
        Who holds the rest, largest first: one for each owner and kind, with the number of blocks and the age of its
        oldest hold.

    Attributes
    ----------
    requested, available, total : int
    holders : tuple of Hold
    rows : tuple of int
        Rows of a :class:`SequenceBatch` that could not be served; empty for other calls.
    """

    def __init__(self, requested: int, available: int, total: int | None = None, holders: Sequence[Hold] = ()) -> None:
        self.requested = requested
        self.available = available
        self.total = total
        self.holders = tuple(holders)
        self.rows: tuple[int, ...] = ()
        super().__init__(requested, available, total, self.holders)

    def __str__(self) -> str:
        noun, verb = "block" if self.requested == 1 else "blocks", "is" if self.available == 1 else "are"
        requested = self.requested
        shown = requested if requested.bit_length() <= 128 else f"an int of {requested.bit_length()} bits"
        text = f"requested {shown} {noun}, but {self.available} {verb} available"
        if self.total is not None:
            text += f" of {self.total}"
        if self.holders:
            text += "; held by " + self.describe_holders()
        return text

    def describe_holders(self) -> str:
        """Return the five largest holders as text."""
        return _list_holders(self.holders)


class AllocationTimeout(NotEnoughBlocksAvailable, TimeoutError):
    """The blocks did not become available before the timeout."""


class PinLimitExceeded(BlockPoolError):
    """More blocks would be pinned than the pool allows.

    Parameters
    ----------
    wanted : int
        Blocks that would be pinned in all.
    limit : int
        Blocks that may be pinned.
    pinned : int
        Blocks that are pinned.
    holders : sequence of Hold
        Who has pinned them, largest first.

    Attributes
    ----------
    wanted, limit, pinned : int
    holders : tuple of Hold
    """

    def __init__(self, wanted: int, limit: int, pinned: int, holders: Sequence[Hold] = ()) -> None:
        self.wanted = wanted
        self.limit = limit
        self.pinned = pinned
        self.holders = tuple(holders)
        super().__init__(wanted, limit, pinned, self.holders)

    def __str__(self) -> str:
        text = f"{self.wanted} blocks would be pinned, but at most {self.limit} may be; {self.pinned} are"
        return text + (f", by {_list_holders(self.holders)}" if self.holders else "")


class BlockNotComplete(BlockPoolError):
    """A block that is not full of tokens, or not committed, was to be registered or committed."""


class InvalidMutableBlock(BlockPoolError):
    """A mutable block that was registered or released already, or is in the wrong state for the call."""


class StaleHandle(BlockPoolError):
    """A handle that has been released was used."""


class ForeignHandle(BlockPoolError):
    """A handle of one pool was given to another."""


class ResetError(BlockPoolError):
    """The pool cannot be reset while blocks are held, nor have an index loaded unless all its blocks are empty."""


class IndexFileError(BlockPoolError):
    """A file is not an index that the pool can load: cut short, damaged, of another version, or of another pool."""


class StorageInUse(BlockPoolError):
    """A storage cannot be taken from the pool while views of its memory are alive.

    Parameters
    ----------
    views : int
        How many.

    Attributes
    ----------
    views : int
    """

    def __init__(self, views: int) -> None:
        self.views = views
        super().__init__(views)

    def __str__(self) -> str:
        noun, verb = ("view", "is") if self.views == 1 else ("views", "are")
        return f"{self.views} {noun} of the storage {verb} alive, as such or as an array made from it"


class CorruptionError(BlockPoolError):
    """An internal count or link contradicts another: a bug, or a write into the pool's memory."""
