"""One prediction, and what is held for it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kvpool._core.immutable_blocks import ImmutableBlocks
from kvpool._core.mutable_blocks import MutableBlocks
from kvpool._core.namespace import Namespace
from kvpool.progress.once import Once

if TYPE_CHECKING:
    from kvpool.prefetch.prefetcher import Prefetcher

__all__ = ["Prefetch"]


class Prefetch:
    """One prediction, and what is held for it. Made by :meth:`BlockPool.prefetch`.

    Attributes
    ----------
    hashes : array of uint64, shape (n,)
        What was predicted.
    num_cached : int
        Blocks of it that were there.
    num_reserved : int
        Blocks that were allocated for the rest, as far as the limit let.
    num_loaded : int
        Of these, how many the loader has filled.
    error : BaseException or None
        What the loader raised.
    """

    def __init__(
        self,
        prefetcher: Prefetcher,
        hashes: npt.NDArray[np.uint64],
        namespace: Namespace | str | None,
        held: ImmutableBlocks,
        reserved: MutableBlocks | None,
    ) -> None:
        self.hashes = hashes
        self.num_cached = len(held)
        self.num_reserved = 0 if reserved is None else len(reserved)
        self.num_loaded = 0
        self.error: BaseException | None = None
        self._prefetcher = prefetcher
        self._namespace = namespace
        self._held = [held]
        self._reserved = reserved
        self._is_cancelled = False
        self._is_over = False
        self._is_loading = False
        self._loaded = Once()
        self._callbacks: list[Callable[[Prefetch], object]] = []

    def __repr__(self) -> str:
        """Say what it holds."""
        state = "over" if self._is_over else "held" if self._loaded.is_set() else "loading"
        return (
            f"<Prefetch of {len(self.hashes)} blocks: {self.num_cached} cached, {self.num_reserved} reserved, "
            f"{self.num_loaded} loaded, {state}>"
        )

    @property
    def is_over(self) -> bool:
        """Whether it holds nothing any more: taken, cancelled, or its time is over."""
        return self._is_over

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the loader is done with it; at once without one.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether it is done.
        """
        return self._loaded.wait(timeout)

    def add_done_callback(self, callback: Callable[[Prefetch], object]) -> None:
        """Call a function with this object when the loader is done with it; at once if it is.

        Parameters
        ----------
        callback : callable
            Called by the loader's thread; what it raises goes to ``sys.unraisablehook``.
        """
        with self._prefetcher._lock:
            if not self._loaded.is_set():
                self._callbacks.append(callback)
                return
        callback(self)

    def take(self) -> tuple[ImmutableBlocks, MutableBlocks]:
        """Have what was predicted: the request is here.

        Returns
        -------
        cached : ImmutableBlocks
            The longest cached prefix, as of now; counts as a match.
        reserved : MutableBlocks
            Blocks for the rest, as many as were reserved and are not loaded; none when its time is over.
        """
        return self._prefetcher._take(self)

    def cancel(self) -> None:
        """Give everything back now; what is being loaded, when the loader is done. No effect when it is over."""
        self._prefetcher._end(self, is_cancelled=True)

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()
