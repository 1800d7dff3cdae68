"""What wakes those who wait on a descriptor."""

cimport cython

from kvpool._core.interpreter cimport kvp_forget_section
from kvpool._core.libkvp cimport KVP_OK, kvp_bell_destroy, kvp_bell_init, kvp_bell_silence, kvp_bell_write


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class Bell:
    """A descriptor that gets readable when there is something to do: an eventfd, or a pipe."""

    def __cinit__(self):
        if kvp_bell_init(&self.bell) != KVP_OK:
            raise OSError("no file descriptor is left to wait on")
        self.is_open = True

    def __dealloc__(self):
        self.close()

    cpdef void close(self) noexcept:
        """Give the descriptor back: nobody waits on it any more, and no pool rings it. No effect when that was done."""
        with cython.critical_section(self):  # or the descriptor could be another's by the time it is written to
            if self.is_open:
                self.is_open = False
                kvp_bell_destroy(&self.bell)

    def __reduce__(self):
        raise TypeError("Bell cannot be copied or pickled: it is a descriptor of this process")

    def _forget_others(self):
        """In a forked child: who was about to ring is in the parent."""
        kvp_forget_section(self)

    def fileno(self):
        """Return the descriptor to wait on."""
        return self.bell.read_fd

    def ring(self):
        """Make the descriptor readable, unless it was closed."""
        with cython.critical_section(self):
            if self.is_open:
                kvp_bell_write(&self.bell)

    def silence(self):
        """Make it unreadable, before looking at what there is to do."""
        with cython.critical_section(self):
            if self.is_open:
                kvp_bell_silence(&self.bell)
