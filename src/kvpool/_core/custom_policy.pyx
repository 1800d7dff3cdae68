"""Asking a policy outside the core which blocks are to go."""

cimport cython
from cpython.pycapsule cimport PyCapsule_CheckExact, PyCapsule_GetContext, PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport int64_t

from kvpool._core.libkvp cimport KVP_RANK_CAPSULE, kvp_candidate, kvp_rank_function

import numpy as np

from kvpool.policies.candidates import Candidates

# The columns of kvp_candidate.
COLUMNS = np.dtype({
    "names": ["hash", "last_access", "id", "generation", "reuse_count", "position", "priority", "is_continued"],
    "formats": [np.uint64, np.int64, np.int32, np.uint32, np.uint32, np.uint32, np.uint32, np.uint32],
    "offsets": [0, 8, 16, 20, 24, 28, 32, 36],
    "itemsize": sizeof(kvp_candidate),
})
FORMS = ("choose", "rank", "should_evict")


cdef object make_chooser(object policy):
    """Return the chooser of a policy, or None if it is none."""
    cdef CustomPolicy self
    capsule = PyCapsule_CheckExact(policy)
    if capsule and not PyCapsule_IsValid(policy, KVP_RANK_CAPSULE):
        return None
    form = "capsule" if capsule else next((name for name in FORMS if callable(getattr(policy, name, None))), None)
    if form is None:
        return None
    window = 1024 if capsule else getattr(policy, "window", 1024)
    if isinstance(window, bool) or not isinstance(window, int):
        raise TypeError(f"the policy's window must be an int, not {type(window).__name__}")
    if window < 1:
        raise ValueError(f"the policy's window = {window} is not at least 1")
    self = CustomPolicy.__new__(CustomPolicy)
    self.policy = policy
    self.form = form
    self.window = min(window, 2**31 - 1)
    return self


@cython.final
@cython.auto_pickle(False)
cdef class CustomPolicy:
    """A policy of a user's, in one of its forms."""

    def name_victims(self, bytes records, int64_t n):
        """Return the records of those that are to go for n blocks, in order, and how many others were named."""
        order, refused = self.order(records, n)
        table = np.frombuffer(records, dtype=COLUMNS)
        # Those that others continue only go after these: as many more are named.
        order = order[:n + int(table["is_continued"][order[:n]].sum())]
        return table[order].tobytes(), refused

    cdef object order(self, bytes records, int64_t n):
        """Return positions of candidates, in the order in which they are to go, and how many others were named."""
        table = np.frombuffer(records, dtype=COLUMNS)
        count = len(table)
        if self.form == "capsule":
            return np.argsort(self.call_capsule(records, count), kind="stable"), 0
        blocks = Candidates(*(readonly(column) for column in (
            table["id"], table["hash"], table["last_access"] / 1e9, table["priority"], table["position"],
            table["reuse_count"])))
        if self.form == "rank":
            scores = np.asarray(self.policy.rank(blocks))
            if scores.shape != (count,) or scores.dtype.kind not in "fiub":
                raise ValueError(f"rank returned {scores.dtype} of shape {scores.shape} for {count} blocks")
            return np.argsort(as_scores(scores), kind="stable"), 0
        if self.form == "should_evict":
            wanted = []
            for block in blocks.each():
                wanted.append(bool(self.policy.should_evict(block)))
            return np.flatnonzero(wanted), 0
        return self.find(blocks, self.policy.choose(blocks, n))

    cdef object find(self, object blocks, object answer):
        """Return the positions of ids, each once, and how many were refused."""
        ids = np.asarray(answer)
        if ids.size == 0:
            return np.empty(0, dtype=np.int64), 0
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ValueError(f"choose returned {ids.dtype} of shape {ids.shape}, not ids")
        places = {block_id: place for place, block_id in enumerate(blocks.ids.tolist())}
        found = list(dict.fromkeys(places[block_id] for block_id in ids.tolist() if block_id in places))
        return np.array(found, dtype=np.int64), ids.size - len(found)

    cdef object call_capsule(self, bytes records, Py_ssize_t count):
        scores = np.empty(count)
        cdef double[::1] view = scores
        cdef kvp_rank_function rank = <kvp_rank_function>PyCapsule_GetPointer(self.policy, KVP_RANK_CAPSULE)
        if count:
            rank(<const kvp_candidate *><const char *>records, count, &view[0], PyCapsule_GetContext(self.policy))
        return as_scores(scores)


cdef object as_scores(object scores):
    scores = scores.astype(np.float64)
    if np.isnan(scores).any():
        raise ValueError(f"block {int(np.isnan(scores).argmax())} of {len(scores)} has NaN for a score")
    return scores


cdef object readonly(object column):
    column = np.ascontiguousarray(column)
    column.flags.writeable = False
    return column
