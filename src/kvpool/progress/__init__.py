"""What goes on in the background of a pool."""

from kvpool.progress.progress_engine import ProgressEngine
from kvpool.progress.subscription import Subscription

__all__ = ["ProgressEngine", "Subscription"]
