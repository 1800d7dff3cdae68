"""Who gets the events of a pool."""

from typing import TYPE_CHECKING

from kvpool.events.callback_event_manager import CallbackEventManager
from kvpool.events.event_manager import EventManager
from kvpool.events.list_event_manager import ListEventManager
from kvpool.events.null_event_manager import NullEventManager

if TYPE_CHECKING:
    from kvpool.events.zmq_event_manager import ZmqEventManager

__all__ = ["CallbackEventManager", "EventManager", "ListEventManager", "NullEventManager", "ZmqEventManager"]


def __getattr__(name: str) -> object:
    # It needs pyzmq and msgspec, which most do without.
    if name == "ZmqEventManager":
        from kvpool.events.zmq_event_manager import ZmqEventManager

        return ZmqEventManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
