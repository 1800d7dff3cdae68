"""A trusted model of the pool, and random histories that hold the pool against it."""

from kvpool.testing.agreement import MismatchError
from kvpool.testing.clock import Clock
from kvpool.testing.driver import Driver, Failure, replay
from kvpool.testing.history import History, Operation
from kvpool.testing.model_block import ModelBlock
from kvpool.testing.model_check import check_model
from kvpool.testing.model_pool import ModelPool
from kvpool.testing.shrink import shrink

__all__ = [
    "Clock",
    "Driver",
    "Failure",
    "History",
    "MismatchError",
    "ModelBlock",
    "ModelPool",
    "Operation",
    "check_model",
    "replay",
    "shrink",
]
