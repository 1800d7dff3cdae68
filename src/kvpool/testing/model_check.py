"""What must hold between the parts of the model."""

from __future__ import annotations

from collections import Counter

from kvpool.errors import CorruptionError
from kvpool.testing.model_pool import ModelPool

__all__ = ["check_model"]


def check_model(pool: ModelPool) -> None:
    """Check that blocks, stack, lists and registry tell the same story; CorruptionError if they do not."""
    listed = [block_id for ids in pool.levels.values() for block_id in ids]
    parked = [i for i, block in enumerate(pool.blocks) if block.is_parked]
    registered = [i for i, block in enumerate(pool.blocks) if block.sequence_hash is not None]
    parents = Counter(pool.blocks[i].parent for i in registered)
    inactive = [i for i, block in enumerate(pool.blocks) if block.refs == 0]
    facts = {
        "every inactive block is in one place": sorted(pool.empty + listed + parked) == inactive,
        "the empty blocks have no identity": all(pool.blocks[i].sequence_hash is None for i in pool.empty),
        "a list has the blocks of its level": all(
            pool.blocks[i].level == level for level, ids in pool.levels.items() for i in ids
        ),
        "a parked block has children": all(pool.blocks[i].children > 0 for i in parked),
        "children are counted": all(pool.blocks[i].children == parents[i] for i in registered),
        "a parent is registered": all(i is None or pool.blocks[i].sequence_hash is not None for i in parents),
        "a held block holds its parent": all(
            parent is None or pool.blocks[parent].refs > 0
            for parent in (pool.blocks[i].parent for i in registered if pool.blocks[i].refs)
        ),
        "the registry has the registered blocks": sorted(i for ids in pool.registry.values() for i in ids)
        == registered,
    }
    for fact, holds in facts.items():
        if not holds:
            raise CorruptionError(f"not so: {fact}")
