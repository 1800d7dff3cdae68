# What:      one block of a MutableBlocks, with the life of its tokens.
# Cost:      one small object.
# Ownership: keeps the handle it is of alive; owns nothing.
# Locking:   none here; tokens are read and written in the pool's critical section.
# Errors:    using a block that was registered or released raises InvalidMutableBlock.

from kvpool._core.mutable_blocks cimport MutableBlocks


cdef class MutableBlock:
    cdef MutableBlocks root   # kept alive; holds the block
    cdef Py_ssize_t entry     # of root's lease

    cdef object block_id(self)
    cdef Py_ssize_t count_tokens(self) except -1
    cdef bint has_hash(self) except -1
    cdef object view(self, object layer, object outer)


cdef MutableBlock new_mutable_block(MutableBlocks root, Py_ssize_t entry)
