# What:      a C layout as an object: where each (block, layer, outer) is, as part and offset.
# Cost:      one small object, whatever the number of blocks.
# Ownership: none.
# Locking:   none; read-only.
# Errors:    TypeError, ValueError: an argument or index that is not in its bounds, a product beyond 2**63 - 1.

from kvpool._core.libkvp_storage cimport kvp_layout


cdef class Geometry:
    cdef kvp_layout layout

    # Each in its bounds, or an IndexError that names the value and the bound.
    cdef int parse_indices(self, object block, object layer, object outer, Py_ssize_t *indices) except -1
