"""The tenants of a pool."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.hashing cimport parse_hash
from kvpool._core.libkvp cimport KVP_FULL, KVP_NOT_ENOUGH, kvp_quota, kvp_status
from kvpool._core.namespace cimport Namespace, new_namespace
from kvpool._core.pool_reports cimport PoolReports

from kvpool._core.hashing import hash_bytes
from kvpool.errors import BlockPoolError, ForeignHandle


cdef class PoolNamespaces(PoolReports):
    """Who shares a pool, and what each of them can have. Base of :class:`BlockPool`; not useful by itself."""

    def __cinit__(self, *args, **kwargs):
        self.salts = {"": 0}
        self.indices = {"": 0}

    def namespace(self, name, *, floor=None, cap=None, salt_hash=None):
        """Return the namespace of this name; make it, or change its quotas, as the arguments say.

        Parameters
        ----------
        name : str
            That of calls without ``namespace=`` is ``""``.
        floor : int, optional
            Blocks that are the namespace's whenever it wants them: what it has cached up to its floor is not evicted
            for others, and others do not come to hold so many that it could not hold its floor. 0 for a new one.
        cap : int, optional
            Blocks that it can have, held and cached together, at least `floor`: at its cap it evicts its own. All of
            the pool for a new one. What it has cached beyond a cap that is lowered goes at once.
        salt_hash : int, optional
            Seed of the sequence hashes of a new one, in [0, 2**64); by default 1337 plus XXH3-64 of the name under seed
            1, as a Dynamo router salts a tenant's blocks (``router_salt_hash(salt=name)``). Secret, random ones keep
            tenants from making hashes that collide with others'.

        Returns
        -------
        Namespace

        Raises
        ------
        BlockPoolError
            The pool has ``max_namespaces`` already, or was made without.
        ValueError
            The other floors, and what is held beyond them, leave less than `floor`; the cap is less than the floor or
            more than the pool; a namespace that is there has another salt.
        """
        cdef uint64_t salt
        cdef int32_t wanted_floor = -1, wanted_cap = -1
        cdef int64_t now
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        if self.max_namespaces == 0:
            raise BlockPoolError("the pool has no namespaces: make it with max_namespaces=")
        if salt_hash is None:
            salt = 1337 + <uint64_t>hash_bytes(name.encode(), 1)
        else:
            salt = parse_hash(salt_hash, "salt_hash")
        if cap is not None:
            wanted_cap = parse_int(cap, "cap", 0, self.num_blocks)
        if floor is not None:
            wanted_floor = parse_int(floor, "floor", 0, self.num_blocks)
        now = self.now()
        with cython.critical_section(self):  # nothing of the caller's runs here: no two names get one number
            result = self.have_namespace(name, wanted_floor, wanted_cap, salt, salt_hash is not None, now)
        return result

    cdef Namespace have_namespace(self, str name, int32_t wanted_floor, int32_t wanted_cap, uint64_t salt,
                                  bint is_given, int64_t now):
        """The namespace of this name, made or changed; -1 for a quota that is not given."""
        cdef int32_t index
        cdef kvp_quota quota
        cdef kvp_status status
        cdef bint is_changed = wanted_floor >= 0 or wanted_cap >= 0
        known = self.indices.get(name)
        index = len(self.indices) if known is None else known
        if known is None:
            quota.floor, quota.cap = 0, self.num_blocks
        else:
            quota = self.read_quota(index)
            if is_given and salt != self.salts[name]:
                raise ValueError(f"salt_hash = {salt} is not that of namespace {name!r}, {self.salts[name]}")
            salt = self.salts[name]
        if wanted_cap < 0:
            wanted_cap = quota.cap
        if wanted_floor < 0:
            wanted_floor = quota.floor
        if wanted_floor > wanted_cap:
            raise ValueError(f"floor = {wanted_floor} is more than cap = {wanted_cap}")
        if known is None or is_changed:
            status = self.set_quota(index, wanted_floor, wanted_cap, now)
            if status == KVP_FULL:
                raise BlockPoolError(f"namespace {name!r} would be number {index}, but max_namespaces = "
                                     f"{self.max_namespaces}")
            if status == KVP_NOT_ENOUGH:
                raise ValueError(f"floor = {wanted_floor} is more than the other namespaces leave of {self.num_blocks} "
                                 f"blocks, by their floors and what they hold")
        if known is None:
            self.namespace_names += (name,)
        self.indices[name] = index
        self.salts[name] = salt
        return new_namespace(self, name, index, salt)

    @property
    def namespaces(self):
        """The pool's namespaces by name, a dict of str to :class:`Namespace`; the default one is ``""``."""
        cdef list items = []
        with cython.critical_section(self):
            for name, index in self.indices.items():
                items.append((name, index, self.salts[name]))
        return {name: new_namespace(self, name, index, salt) for name, index, salt in items}

    cdef int32_t space_of(self, object namespace) except -1:
        if namespace is None:
            return 0
        if isinstance(namespace, Namespace):
            if (<Namespace>namespace).pool is not self:
                raise ForeignHandle(f"namespace {(<Namespace>namespace).name!r} is of another pool")
            return (<Namespace>namespace).index
        if not isinstance(namespace, str):
            raise TypeError(f"namespace must be a Namespace or a name, not {type(namespace).__name__}")
        with cython.critical_section(self):
            index = self.indices.get(namespace)
        if index is None:
            raise ValueError(f"namespace = {namespace!r} is not one of the pool's: make it with BlockPool.namespace")
        return index

    cdef uint64_t salt_of(self, object namespace, uint64_t salt) except? 0xFFFFFFFFFFFFFFFF:
        """Seed of the hashes of a call; that of a router's adapter and tenant is their sum, too."""
        if namespace is None:
            return salt
        if isinstance(namespace, Namespace):
            return (<Namespace>namespace).salt_hash + salt
        with cython.critical_section(self):
            own = self.salts.get(namespace, 0)
        return <uint64_t>own + salt
