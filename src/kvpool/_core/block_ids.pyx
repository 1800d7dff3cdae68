"""Block ids as callers give them."""

import numpy as np

cdef object INT32 = np.dtype(np.int32)


cdef object parse_ids(object ids, str name, object num_blocks):
    given = getattr(ids, "ids", ids)  # a handle
    array = np.array(given)  # of our own: who has the other could write to it after it was checked
    if array.size == 0:
        array = array.astype(INT32)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name} has {array.ndim} dimensions, not 1")
    outside = (array < 0) | (array >= num_blocks)
    if outside.any():
        at = int(outside.argmax())
        raise IndexError(f"{name}[{at}] = {array[at]} is not in [0, {num_blocks - 1}]")
    return np.ascontiguousarray(array, INT32)


def as_ids(ids, name, num_blocks):
    """Return block ids, given as an array, a sequence or a handle, as an int32 array."""
    return parse_ids(ids, name, num_blocks)
