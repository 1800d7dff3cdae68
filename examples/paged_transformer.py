"""A small transformer whose keys and values live in the blocks of a pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kvpool import BlockPool
from kvpool.storage import HostStorage, LayerSeparate, LayoutConfig, copy_blocks

__all__ = ["PagedTransformer", "choose"]

Array = npt.NDArray[np.float64]


class PagedTransformer:
    """Random weights, causal attention over paged KV, logits for every token that goes in.

    Parameters
    ----------
    num_blocks, block_size : int
        Of the KV cache. What was never written is not a number, so that reading it shows.
    seed : int
        Of the weights: the same seed makes the same model.

    Attributes
    ----------
    storage : HostStorage
        The memory of the KV cache.
    """

    vocabulary = 48
    width = 16
    heads = 2
    layers = 2
    longest = 512

    def __init__(self, num_blocks: int, block_size: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.block_size = block_size
        self.embedding = rng.normal(size=(self.vocabulary, self.width))
        self.positions = rng.normal(size=(self.longest, self.width))
        self.weights = rng.normal(size=(self.layers, 4, self.width, self.width)) / np.sqrt(self.width)
        self.output = rng.normal(size=(self.width, self.vocabulary))
        sizes = LayoutConfig(
            num_blocks, self.layers, 2, block_size, self.width, dtype="float64", num_heads=self.heads, alignment=64
        )
        self.storage = HostStorage(LayerSeparate(sizes))
        self.caches: list[tuple[Array, Array]] = []

    def attach(self, pool: BlockPool) -> None:
        """Have the blocks of a pool in the model's memory, and see it as arrays (blocks, tokens, heads, head size)."""
        pool.attach_storage(self.storage)
        for layer in range(self.layers):
            keys, values = (np.from_dlpack(pool.layer_view(layer, outer)) for outer in range(2))
            keys[:] = values[:] = np.nan
            self.caches.append((keys, values))

    def forward(self, token_ids: Sequence[int], first: int, block_table: npt.NDArray[np.int32]) -> Array:
        """Compute tokens that stand at `first` and behind, write their KV, and return their logits.

        Parameters
        ----------
        token_ids : sequence of int, length n
        first : int
            Position of the first of them; the KV of all before it is written.
        block_table : ndarray of int32
            Blocks of the request, for all positions up to the last.

        Returns
        -------
        ndarray of float64, shape (n, vocabulary)
        """
        count = len(token_ids)
        positions = np.arange(first + count)
        slots = (block_table[positions // self.block_size], positions % self.block_size)
        new_slots = (slots[0][first:], slots[1][first:])
        is_later = positions[None, :] > positions[first:, None]
        hidden = self.embedding[np.asarray(token_ids)] + self.positions[first : first + count]
        for (queries, keys, values, mix), (all_keys, all_values) in zip(self.weights, self.caches, strict=True):
            split = (count, self.heads, self.width // self.heads)
            all_keys[new_slots] = (hidden @ keys).reshape(split)
            all_values[new_slots] = (hidden @ values).reshape(split)
            seen_keys, seen_values = all_keys[slots], all_values[slots]
            scores = np.einsum("nhd,mhd->hnm", (hidden @ queries).reshape(split), seen_keys)
            scores = np.where(is_later, -np.inf, scores / np.sqrt(split[2]))
            scores = np.exp(scores - scores.max(axis=2, keepdims=True))
            scores /= scores.sum(axis=2, keepdims=True)
            attended = np.einsum("hnm,mhd->nhd", scores, seen_values).reshape(count, self.width)
            hidden = hidden + np.tanh(attended @ mix)
        return hidden @ self.output

    def copy_blocks(self, pairs: npt.NDArray[np.int32]) -> None:
        """Copy the KV of the first block of each pair to the second."""
        copy_blocks(self.storage, pairs[:, 0], self.storage, pairs[:, 1])


def choose(logits: Array, rank: int = 0) -> int:
    """Return the token of this rank, 0 for the likeliest; rounded, so that the order of additions does not decide."""
    return int(np.argsort(-np.round(logits, 8), kind="stable")[rank])
