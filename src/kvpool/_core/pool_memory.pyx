"""The memory of the blocks."""

cimport cython
from libc.stdint cimport uint32_t

from kvpool._core.attachment cimport Attachment, new_attachment
from kvpool._core.block_view cimport view_layer
from kvpool._core.pool_prefetch cimport PoolPrefetch
from kvpool._core.scrub_ledger cimport ScrubLedger

from kvpool.errors import BlockPoolError, StorageInUse


cdef class PoolMemory(PoolPrefetch):
    """The memory of a pool's blocks. Base of :class:`BlockPool`; not useful by itself."""

    cdef object detach(self):
        cdef Attachment attachment
        cdef uint32_t views
        with cython.critical_section(self):
            attachment = self.attachment
            if attachment is None:
                raise BlockPoolError("the pool has no memory for its blocks: there is nothing to take from it")
            views = attachment.num_views()
            if views > 0:
                raise StorageInUse(views)
            self.attachment = None
            self.ledger = None
            self.has_ledger = False
        return attachment.storage

    @property
    def storage(self):
        """The :class:`~kvpool.storage.Storage` that has the blocks' memory; None: the pool knows of none."""
        with cython.critical_section(self):
            attachment = self.attachment
        return None if attachment is None else (<Attachment>attachment).storage

    @property
    def num_views(self):
        """Views of the blocks' memory that are alive: those that arrays were made from count while an array lives."""
        with cython.critical_section(self):
            attachment = self.attachment
        return 0 if attachment is None else (<Attachment>attachment).num_views()

    def attach_storage(self, storage, *, scrub=None):
        """Give the blocks the memory of a storage, so that handles can show it.

        Parameters
        ----------
        storage : Storage
            Of as many blocks as the pool, each of as many tokens.
        scrub : {"never", "namespaces", "free", "allocate"}, optional
            When blocks are filled with zeros, by the call that hands them out, so that nobody reads what others left:
            never; when a block comes to another namespace than it was of; when a mutable block is released, or else
            when it is next handed out; whenever one is handed out. By default ``"namespaces"`` in a pool that may have
            any, and ``"never"`` in others, and where the storage cannot be filled: because it is read-only, or of a
            device and without a ``scrub_hook``.

        Raises
        ------
        BlockPoolError
            The pool has a storage already.
        ValueError
            The storage is of other sizes, or closed.
        """
        from kvpool.storage.scrubbing import new_scrub_ledger  # it is built on the core

        cdef Attachment attachment
        if not hasattr(storage, "memory") or not hasattr(storage, "layout"):
            raise TypeError(f"storage must be a Storage, not {type(storage).__name__}")
        attachment = new_attachment(storage, self.num_blocks, self.block_size)
        can_fill = storage.is_writable and (storage.is_host or storage.scrub_hook is not None)
        if scrub is None:
            scrub = "namespaces" if self.max_namespaces > 0 and can_fill else "never"
        ledger = new_scrub_ledger(storage, scrub)
        with cython.critical_section(self):
            if self.attachment is not None:
                raise BlockPoolError(f"the pool has a storage already: {self.attachment.storage!r}")
            self.attachment = attachment
            self.ledger = None if scrub == "never" else ledger
            self.has_ledger = self.ledger is not None

    def detach_storage(self):
        """Take the storage from the pool and return it.

        Raises
        ------
        StorageInUse
            Views of it are alive; says how many.
        BlockPoolError
            The pool has none.
        """
        return self.detach()

    @property
    def scrub(self):
        """The rule by which blocks are filled with zeros; see :meth:`attach_storage`."""
        cdef ScrubLedger ledger = self.known_ledger()
        return "never" if ledger is None else ledger.rule

    def register_buffer(self, tensors, *, layout, scrub=None):
        """Let the blocks live in tensors that others have allocated.

        Parameters
        ----------
        tensors : tensor, sequence of tensors, or sequence of (keys, values)
            The parts of the layout, in their order: one tensor, one for each layer, or two for each layer. Anything
            that speaks DLPack or ``__cuda_array_interface__``, on any device. They are kept alive, and never read or
            written by the pool itself.
        layout : Layout
            How the blocks lie in them. Each tensor has the shape ``layout.part_shape`` (or the axes of a region as
            one, or (tokens, elements)), no gaps but those of the layout, the layout's element type (or unsigned
            integers of the same size), and begins at a multiple of its alignment.
        scrub : str, optional
            As in :meth:`attach_storage`. Tensors of a device need the storage's ``scrub_hook``, which is set later:
            attach the storage anew then.

        Returns
        -------
        ExternalStorage
            Which is attached to the pool.

        Raises
        ------
        ValueError
            A tensor is not as the layout says; the message says what is and what should be.
        BlockPoolError
            The pool has a storage already.
        """
        from kvpool.storage.external_storage import ExternalStorage  # it is built on the core

        storage = ExternalStorage(tensors, layout)
        self.attach_storage(storage, scrub=scrub)
        return storage

    def unregister_buffer(self):
        """Let go of the tensors of :meth:`register_buffer`.

        Raises
        ------
        StorageInUse
            Views of them are alive; says how many.
        BlockPoolError
            The pool has none.
        """
        from kvpool.storage.external_storage import ExternalStorage

        if not isinstance(self.storage, ExternalStorage):
            raise BlockPoolError("no buffer is registered with the pool")
        self.detach().close()

    def layer_view(self, layer, outer=0):
        """Return the memory that all blocks have of one layer, as attention kernels take it.

        Parameters
        ----------
        layer : int
        outer : int, default 0
            0 for keys, 1 for values, where they are apart.

        Returns
        -------
        BlockView
            Of the shape (num_blocks,) and that of a region. It holds no blocks: whoever writes to it must hold those
            that are written to. It can be written if the storage can.
        """
        return view_layer(self, layer, outer)
