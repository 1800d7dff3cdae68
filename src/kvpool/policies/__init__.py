"""The order in which cached blocks go."""

from kvpool.policies.native import EVICTION_POLICIES

__all__ = ["EVICTION_POLICIES"]
