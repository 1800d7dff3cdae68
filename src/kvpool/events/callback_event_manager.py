"""An event manager that calls a function."""

from __future__ import annotations

from collections.abc import Callable

from kvpool.events.event_manager import EventManager
from kvpool.types.event_batch import EventBatch

__all__ = ["CallbackEventManager"]


class CallbackEventManager(EventManager):
    """Calls a function with each batch.

    Parameters
    ----------
    callback : callable
        Takes an :class:`EventBatch`.
    """

    def __init__(self, callback: Callable[[EventBatch], object]) -> None:
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {type(callback).__name__}")
        self._callback = callback

    def publish(self, batch: EventBatch) -> None:
        """Call the function."""
        self._callback(batch)
