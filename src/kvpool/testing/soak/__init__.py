"""Requests without end, with everything that can go wrong in between, and a look at what is left of them."""

from kvpool.testing.soak.footprint import Footprint
from kvpool.testing.soak.soak import LeakError, Soak

__all__ = ["Footprint", "LeakError", "Soak"]
