"""An event manager that does nothing."""

from __future__ import annotations

from kvpool.events.event_manager import EventManager
from kvpool.types.event_batch import EventBatch

__all__ = ["NullEventManager"]


class NullEventManager(EventManager):
    """Lets all events go: for measuring what it costs to have them."""

    def publish(self, batch: EventBatch) -> None:
        """Do nothing."""
