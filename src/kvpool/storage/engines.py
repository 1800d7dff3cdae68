"""The layouts in which serving engines keep their caches."""

from __future__ import annotations

from typing import Literal

from kvpool.storage.fully_contiguous import FullyContiguous
from kvpool.storage.layer_separate import LayerSeparate
from kvpool.storage.layout import Layout
from kvpool.storage.layout_config import LayoutConfig
from kvpool.storage.outer_separate import OuterSeparate

__all__ = ["flashinfer_layout", "sglang_layout", "vllm_layout"]


def _config(
    num_blocks: int,
    num_layers: int,
    outer_dim: int,
    page_size: int,
    heads: int,
    head_dim: int,
    dtype: object,
    order: str,
) -> LayoutConfig:
    return LayoutConfig(
        num_blocks,
        num_layers,
        outer_dim,
        page_size,
        heads * head_dim,
        dtype,
        num_heads=heads,
        order=order,
    )


def vllm_layout(
    num_blocks: int,
    num_layers: int,
    block_size: int,
    num_kv_heads: int,
    head_size: int,
    dtype: object = "bfloat16",
    *,
    blocks_first: bool = False,
    order: Literal["NHD", "HND"] = "NHD",
    mla: bool = False,
    across_layers: bool = False,
) -> Layout:
    """Return the layout of vLLM's caches: a tensor for each layer.

    Parameters
    ----------
    num_blocks, num_layers, block_size, num_kv_heads, head_size : int
        As vLLM calls them.
    dtype : str or dtype, default "bfloat16"
    blocks_first : bool, default False
        False: ``(2, num_blocks, block_size, num_kv_heads, head_size)``. True: ``(num_blocks, 2, ...)``, as the
        FlashInfer backend has it. What `get_kv_cache_shape` of the backend says decides.
    order : {"NHD", "HND"}, default "NHD"
        ``VLLM_KV_CACHE_LAYOUT``: HND has the heads before the tokens in memory.
    mla : bool, default False
        ``(num_blocks, block_size, head_size)``: one vector a token, one head.
    across_layers : bool, default False
        One tensor for all layers, the blocks first: ``(num_blocks, num_layers, 2, ...)``, NHD only.

    Raises
    ------
    ValueError
        The sizes are out of their bounds; `across_layers` with HND, which has the layers within the heads.

    Examples
    --------
    >>> from kvpool.storage import vllm_layout
    >>> vllm_layout(100, 32, 16, 8, 128).part_shape
    (2, 100, 16, 8, 128)
    """
    if across_layers and order == "HND":
        raise ValueError("order = 'HND' across layers has the layers within the heads: a region is not in one piece")
    if mla and num_kv_heads != 1:
        raise ValueError(f"num_kv_heads = {num_kv_heads} is not 1, as it is with MLA")
    outer_dim = 1 if mla else 2
    config = _config(num_blocks, num_layers, outer_dim, block_size, num_kv_heads, head_size, dtype, order)
    if across_layers:
        return FullyContiguous(config)
    return LayerSeparate(config, outer_contiguous=not blocks_first)


def sglang_layout(
    size: int, num_layers: int, page_size: int, head_num: int, head_dim: int, dtype: object = "bfloat16"
) -> OuterSeparate:
    """Return the layout of SGLang's ``MHATokenToKVPool``: a part for each ``k_buffer[layer]`` and ``v_buffer[layer]``.

    Each is ``(size + page_size, head_num, head_dim)``, a slot for each token. Block b has the slots
    ``[b * page_size, (b + 1) * page_size)``; block 0 is the page for padding, which SGLang hands out to nobody.

    Parameters
    ----------
    size : int
        Tokens of the pool, a multiple of `page_size`.
    num_layers, page_size, head_num, head_dim : int
    dtype : str or dtype, default "bfloat16"

    Raises
    ------
    ValueError
        The sizes are out of their bounds, or `size` is not a multiple of `page_size`.

    Examples
    --------
    >>> from kvpool.storage import sglang_layout
    >>> layout = sglang_layout(1024, 32, 16, 8, 128)
    >>> layout.num_parts, layout.part_shape
    (64, (65, 16, 8, 128))
    """
    if size % page_size:
        raise ValueError(f"size = {size} is not a multiple of page_size = {page_size}")
    return OuterSeparate(_config(size // page_size + 1, num_layers, 2, page_size, head_num, head_dim, dtype, "NHD"))


def flashinfer_layout(
    num_pages: int,
    num_layers: int,
    page_size: int,
    num_kv_heads: int,
    head_dim: int,
    dtype: object = "bfloat16",
    *,
    kv_layout: Literal["NHD", "HND"] = "NHD",
    separate: bool = False,
) -> Layout:
    """Return the layout of FlashInfer's ``paged_kv_cache``, one for each layer.

    Parameters
    ----------
    num_pages, num_layers, page_size, num_kv_heads, head_dim : int
    dtype : str or dtype, default "bfloat16"
    kv_layout : {"NHD", "HND"}, default "NHD"
        ``(num_pages, 2, page_size, num_kv_heads, head_dim)``, or ``(num_pages, 2, num_kv_heads, page_size, head_dim)``.
    separate : bool, default False
        A tuple ``(k_cache, v_cache)`` of tensors without the axis of 2.

    Raises
    ------
    ValueError
        The sizes are out of their bounds.

    Examples
    --------
    >>> from kvpool.storage import flashinfer_layout
    >>> flashinfer_layout(100, 32, 16, 8, 128, kv_layout="HND").part_shape
    (100, 2, 8, 16, 128)
    """
    config = _config(num_pages, num_layers, 2, page_size, num_kv_heads, head_dim, dtype, kv_layout)
    return OuterSeparate(config) if separate else LayerSeparate(config, outer_contiguous=False)
