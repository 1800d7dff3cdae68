"""What the driver knows of each handle: the model has ids only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Slot", "TrackedHold"]


@dataclass(slots=True, eq=False)
class TrackedHold:
    """Blocks that one handle owns, whatever number of views of it there are.

    Attributes
    ----------
    ids : list of int
        Block ids; -1 where a scattered match missed.
    live : list of bool
        Which of them are held still.
    kind : {"mutable", "immutable", "pin"}
        As the pool reports it.
    since : int
        Nanoseconds.
    users : int
        Slots that keep the handle alive.
    """

    ids: list[int]
    live: list[bool]
    kind: str
    since: int
    users: int = 0


@dataclass(slots=True, eq=False)
class Slot:
    """One Python object of the real pool.

    Attributes
    ----------
    kind : str
        ``mutable`` (blocks or a view of them), ``block`` (a single mutable one), ``immutable``, ``item`` (a single
        immutable one), ``scattered``, ``pin`` or ``weak``.
    real : object
        The handle.
    hold : TrackedHold
        What it holds or is a view of.
    entries : list of int
        Positions in the hold that it shows.
    weak : tuple of int
        Id, generation and hash that a weak handle remembers.
    """

    kind: str
    real: Any
    hold: TrackedHold
    entries: list[int]
    weak: tuple[int, int, int] = (-1, 0, 0)

    def ids(self) -> list[int]:
        """Return the block ids it shows."""
        ids = self.hold.ids
        return [ids[entry] for entry in self.entries]

    def is_stale(self) -> bool:
        """Tell whether any block it shows is gone; a handle of no blocks never is."""
        live = self.hold.live
        return any(not live[entry] for entry in self.entries)
