"""Policies that users write."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kvpool.policies.candidate import Candidate

__all__ = ["EvictionPolicy"]


class EvictionPolicy(ABC):
    """Says which cached blocks are to go first, by looking at one after the other.

    Give an object of a subclass to ``BlockPool(eviction=...)``. Instead of a subclass, any object will do that has one
    of these methods:

    ``rank(blocks) -> scores``
        For all candidates at once: a float for each of ``blocks`` (:class:`Candidates`, arrays); the lowest goes first.
    ``choose(blocks, n) -> ids``
        The ids of up to n of ``blocks``, the first to go first.

    It is asked before a call that must evict, outside the pool's lock, and told of the ``window`` blocks (an attribute,
    1024 if there is none) that would go first by priority and recency. Of its answer, what is not cached any more, or
    named twice, or not among the candidates, is refused and counted (``pool.policy_refusals``); where it names too few
    blocks, priority and recency decide. No block goes before those that continue it. If it raises, priority and recency
    decide, and the error is counted (``pool.policy_errors``), kept (``pool.last_policy_error``), and the first one is
    given to ``sys.unraisablehook``. A policy may use the pool; evictions of its own calls are by priority and recency.

    Examples
    --------
    >>> from kvpool import BlockPool, EvictionPolicy
    >>> class Stale(EvictionPolicy):
    ...     def should_evict(self, block):
    ...         return block.last_access_time < time - 300
    >>> time = 0.0
    >>> pool = BlockPool(num_blocks=4, eviction=Stale(), clock=lambda: time)
    """

    window: int = 1024
    """Blocks that it is told of, at most; or twice as many as are to go, if that is more."""

    @abstractmethod
    def should_evict(self, block: Candidate) -> bool:
        """Return whether the block may go before those of which this says no."""
