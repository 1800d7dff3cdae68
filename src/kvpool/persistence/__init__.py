"""The index of a pool's blocks as a file, for storage that outlives the process."""

from kvpool.persistence.block_index import BlockIndex
from kvpool.persistence.index_file import read_index, write_index
from kvpool.persistence.namespace_record import NamespaceRecord

__all__ = ["BlockIndex", "NamespaceRecord", "read_index", "write_index"]
