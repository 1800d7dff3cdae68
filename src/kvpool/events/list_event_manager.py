"""An event manager that keeps the events."""

from __future__ import annotations

from kvpool.events.event_manager import EventManager
from kvpool.types.event_batch import EventBatch
from kvpool.types.pool_event import PoolEvent

__all__ = ["ListEventManager"]


class ListEventManager(EventManager):
    """Keeps all events in a list, for tests and small programs; it grows without bound.

    Attributes
    ----------
    events : list of PoolEvent
    missed : int
        Events that were lost because the pool's ring was full.
    """

    def __init__(self) -> None:
        self.events: list[PoolEvent] = []
        self.missed = 0

    def publish(self, batch: EventBatch) -> None:
        """Append the events."""
        self.missed += batch.missed
        self.events.extend(batch)
