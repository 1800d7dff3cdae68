"""A small transformer whose keys and values live in the blocks of a pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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
        shape = (self.layers, num_blocks * block_size, self.heads, self.width // self.heads)
        self.keys = np.full(shape, np.nan)
        self.values = np.full(shape, np.nan)

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
        slots = block_table[positions // self.block_size].astype(np.int64) * self.block_size
        slots += positions % self.block_size
        is_later = positions[None, :] > positions[first:, None]
        hidden = self.embedding[np.asarray(token_ids)] + self.positions[first : first + count]
        for layer in range(self.layers):
            queries, keys, values, mix = self.weights[layer]
            split = (count, self.heads, self.width // self.heads)
            self.keys[layer, slots[first:]] = (hidden @ keys).reshape(split)
            self.values[layer, slots[first:]] = (hidden @ values).reshape(split)
            seen_keys, seen_values = self.keys[layer, slots], self.values[layer, slots]
            scores = np.einsum("nhd,mhd->hnm", (hidden @ queries).reshape(split), seen_keys)
            scores = np.where(is_later, -np.inf, scores / np.sqrt(split[2]))
            scores = np.exp(scores - scores.max(axis=2, keepdims=True))
            scores /= scores.sum(axis=2, keepdims=True)
            attended = np.einsum("hnm,mhd->nhd", scores, seen_values).reshape(count, self.width)
            hidden = hidden + np.tanh(attended @ mix)
        return hidden @ self.output

    def copy_blocks(self, pairs: npt.NDArray[np.int32]) -> None:
        """Copy the KV of the first block of each pair to the second."""
        offsets = np.arange(self.block_size)
        for source, destination in pairs.astype(np.int64) * self.block_size:
            self.keys[:, destination + offsets] = self.keys[:, source + offsets]
            self.values[:, destination + offsets] = self.values[:, source + offsets]


def choose(logits: Array, rank: int = 0) -> int:
    """Return the token of this rank, 0 for the likeliest; rounded, so that the order of additions does not decide."""
    return int(np.argsort(-np.round(logits, 8), kind="stable")[rank])
