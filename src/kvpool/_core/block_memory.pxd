# What:      the memory of a storage's blocks as the core sees it: where every region is, on which device, and what
#            keeps it alive.
# Cost:      one object and 8 bytes a part; nothing is kept for a block.
# Ownership: keeps the owner of the memory alive, so whoever keeps this object may use the addresses. A storage that is
#            closed lets go of it; the memory goes with the last one who has it.
# Locking:   none; read-only. The bytes of a block belong to who holds the block.
# Errors:    TypeError, ValueError, IndexError, MemoryError.

from kvpool._core.geometry cimport Geometry
from kvpool._core.libkvp_storage cimport kvp_block_memory


cdef class BlockMemory:
    cdef kvp_block_memory memory      # owned; its addresses are owner's
    cdef readonly Geometry geometry
    cdef readonly object owner        # kept alive for the addresses
    cdef readonly tuple device        # DLPack's (device type, device id)
    cdef readonly bint is_writable
    cdef readonly bint is_host        # the processor can read (and, if is_writable, write) at the addresses
