"""The memory of a storage's blocks."""

cimport cython
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from kvpool._core.arguments cimport parse_int
from kvpool._core.geometry cimport Geometry
from kvpool._core.libkvp cimport KVP_OK
from kvpool._core.libkvp_storage cimport (kvp_block_memory_at, kvp_block_memory_check, kvp_block_memory_destroy,
                                          kvp_block_memory_init)
from kvpool._core.status cimport raise_status


@cython.final
@cython.auto_pickle(False)
cdef class BlockMemory:
    """Where every region of a storage's blocks is, on which device, and what keeps it alive.

    Parameters
    ----------
    geometry : Geometry
    bases : sequence of int
        Address of each part.
    owner : object
        What keeps the memory alive.
    device : tuple of int, default (1, 0)
        DLPack's device type and id; (1, 0) is the memory of the host.
    is_writable : bool, default True
    is_host : bool, default True
        Whether the processor can read at the addresses, and write if `is_writable`.

    Raises
    ------
    ValueError
        The number of addresses is not that of the parts, one is 0, or parts overlap.
    """

    def __cinit__(self, Geometry geometry not None, bases, owner, device=(1, 0), bint is_writable=True,
                  bint is_host=True):
        cdef uint64_t num_parts = geometry.layout.num_parts
        cdef uint64_t *addresses
        cdef const char *broken
        cdef Py_ssize_t part
        cdef list addresses_given = []
        for base in bases:
            addresses_given.append(parse_int(base, "base", 0, 2**64 - 1))
        if len(addresses_given) != num_parts:
            raise ValueError(f"{len(addresses_given)} addresses are given for {num_parts} parts")
        self.geometry = geometry
        self.owner = owner
        device_type, device_id = device
        self.device = (parse_int(device_type, "device type", 0, 2**31 - 1),
                       parse_int(device_id, "device id", 0, 2**31 - 1))
        self.is_writable = is_writable
        self.is_host = is_host
        addresses = <uint64_t *>malloc(num_parts * sizeof(uint64_t))
        if addresses == NULL:
            raise MemoryError
        for part, base in enumerate(addresses_given):
            addresses[part] = base
        status = kvp_block_memory_init(&self.memory, &geometry.layout, addresses)
        free(addresses)
        if status != KVP_OK:
            raise_status(status, f"no memory for {num_parts} addresses")
        broken = kvp_block_memory_check(&self.memory)
        if broken != NULL:
            raise ValueError(f"{broken.decode()}: parts of {geometry.layout.part_bytes} bytes at {addresses_given}")

    def __dealloc__(self):
        kvp_block_memory_destroy(&self.memory)

    def __reduce__(self):
        raise TypeError("BlockMemory cannot be copied or pickled: its addresses are those of this process")

    def address(self, block, layer, outer):
        """Return the address at which a region begins."""
        cdef Py_ssize_t indices[3]
        self.geometry.parse_indices(block, layer, outer, indices)
        return <uint64_t>kvp_block_memory_at(&self.memory, indices[0], indices[1], indices[2])

    @property
    def bases(self):
        """Address of each part, a tuple of int."""
        cdef uint64_t part
        cdef list bases = []
        for part in range(self.memory.layout.num_parts):
            bases.append(<uint64_t>self.memory.bases[part])
        return tuple(bases)
