"""Pools whose blocks have memory, and tensors of libraries that are not there."""

import ctypes

import numpy as np
import pytest

from kvpool import BlockPool
from kvpool.storage import FullyContiguous, LayerSeparate, LayoutConfig, OuterSeparate

NUM_BLOCKS, LAYERS, OUTERS, PAGE, INNER = 8, 3, 2, 4, 16

LAYOUTS = {
    "contiguous": FullyContiguous,
    "layers": LayerSeparate,
    "layers, blocks first": lambda config: LayerSeparate(config, outer_contiguous=False),
    "layers and outers": OuterSeparate,
}


def sizes(dtype="float32", **options):
    """Return the sizes that all tests use."""
    return LayoutConfig(NUM_BLOCKS, LAYERS, OUTERS, PAGE, INNER, dtype=dtype, **options)


def numbered_parts(layout, dtype=np.float32):
    """Return an array for each part, in which no two elements are the same."""
    size = int(np.prod(layout.part_shape))
    return [
        np.arange(part * size, (part + 1) * size).astype(dtype).reshape(layout.part_shape)
        for part in range(layout.num_parts)
    ]


def region_of(layout, parts, block, layer, outer):
    """Return the region as NumPy finds it, from the layout's own words."""
    part, offset, size = layout.region(block, layer, outer)
    raw = parts[part].view(np.uint8).reshape(-1)[offset : offset + size]
    return raw.view(parts[part].dtype).reshape(layout.config.region_shape)


class DLTensor(ctypes.Structure):
    """As in dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class Versioned(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    )


class Legacy(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = (("tensor", DLTensor), ("manager_ctx", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


python = ctypes.pythonapi
python.PyCapsule_New.restype = ctypes.py_object
python.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
python.PyCapsule_GetPointer.restype = ctypes.c_void_p
python.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
python.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)
python.PyCapsule_IsValid.argtypes = (ctypes.py_object, ctypes.c_char_p)

NAMES = {True: b"dltensor_versioned", False: b"dltensor"}


class Consumer:
    """Takes tensors out of capsules as a C library does, and ends them when it is told to."""

    def __init__(self):
        self.used_names = []  # a capsule does not copy its name

    def take(self, capsule, versioned=True):
        """Return the managed tensor of a capsule; the capsule is used then."""
        address = python.PyCapsule_GetPointer(capsule, NAMES[versioned])
        self.used_names.append(b"used_" + NAMES[versioned])
        python.PyCapsule_SetName(capsule, self.used_names[-1])
        return (Versioned if versioned else Legacy).from_address(address)

    @staticmethod
    def end(managed):
        """Call the deleter; ctypes gives the GIL up for it."""
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(managed.deleter)(ctypes.addressof(managed))

    @staticmethod
    def end_in_c_thread(managed):
        """Call the deleter in a thread that Python has never seen."""
        libc = ctypes.CDLL(None)
        thread = ctypes.c_ulong()
        begun = libc.pthread_create(
            ctypes.byref(thread), None, ctypes.c_void_p(managed.deleter), ctypes.c_void_p(ctypes.addressof(managed))
        )
        assert begun == 0
        assert libc.pthread_join(thread, None) == 0


_given = {}  # what consumers have, by its address: it stays until they end it


class Producer:
    """A library's tensor at an address that nobody may read: on a CUDA device, say.

    ``knows`` is what its ``__dlpack__`` takes: ``"copy"`` and ``"max_version"``, ``"max_version"`` alone, or nothing,
    and ``major`` the version of what it returns (0: the older form).
    """

    def __init__(self, shape, address, code=2, bits=32, device=(2, 0), knows=("max_version", "copy"), **options):
        self.shape = (ctypes.c_int64 * len(shape))(*shape)
        strides = options.get("strides") or [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        self.strides = (ctypes.c_int64 * len(shape))(*strides)
        self.tensor = DLTensor(
            address, *device, len(shape), code, bits, options.get("lanes", 1), self.shape, self.strides, 0
        )
        if options.get("without_strides"):
            self.tensor.strides = None
        self.knows = knows
        self.major = options.get("major", 1)
        self.flags = options.get("flags", 0)
        self.asked = []  # arguments of __dlpack__
        self.given = 0
        self.ended = 0
        self.deleter = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(self._end)
        self.managed = None

    def _end(self, address):
        self.ended += 1
        _given.pop(address, None)

    def __dlpack_device__(self):
        return (self.tensor.device_type, self.tensor.device_id)

    def __dlpack__(self, *, stream=None, **arguments):
        self.asked.append({"stream": stream, **arguments})
        if set(arguments) - set(self.knows):
            raise TypeError("unexpected keyword")
        self.given += 1
        deleter = ctypes.cast(self.deleter, ctypes.c_void_p)
        if self.major == 0:
            self.managed = Legacy(self.tensor, None, deleter)
        else:
            self.managed = Versioned(self.major, 0, None, deleter, self.flags, self.tensor)
        _given[ctypes.addressof(self.managed)] = self, self.managed
        return python.PyCapsule_New(ctypes.addressof(self.managed), NAMES[self.major > 0], None)


class CudaArray:
    """An object that only has ``__cuda_array_interface__``."""

    def __init__(self, shape, address, typestr="<f4", strides=None, readonly=False):
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": typestr,
            "data": (address, readonly),
            "strides": strides,
            "version": 3,
        }


@pytest.fixture(params=LAYOUTS)
def layout(request):
    """Return each layout in turn, of float32."""
    return LAYOUTS[request.param](sizes())


@pytest.fixture
def parts(layout):
    """Return an array for each part of the layout, in which no two elements are the same."""
    return numbered_parts(layout)


@pytest.fixture
def viewed(layout, parts):
    """Return a pool whose blocks are in `parts`; intact when the test is over."""
    pool = BlockPool(NUM_BLOCKS, PAGE)
    pool.register_buffer(parts, layout=layout)
    yield pool
    pool.check_invariants()


@pytest.fixture
def held():
    """Make a pool of the layout with each layer apart, of another element type: the function that does it."""

    def make(dtype="float32", raw=np.float32):
        layout = LayerSeparate(sizes(dtype))
        parts = [np.zeros(layout.part_shape, raw) for _ in range(layout.num_parts)]
        pool = BlockPool(NUM_BLOCKS, PAGE)
        pool.register_buffer(parts, layout=layout)
        return pool

    return make


@pytest.fixture
def find_region():
    """Find a region by the layout's own words: the function that does it."""
    return region_of


@pytest.fixture
def consumer():
    """Return what takes tensors as a C library does."""
    return Consumer()


@pytest.fixture
def producer():
    """Return the class of tensors that nobody may read."""
    return Producer


@pytest.fixture
def cuda_array():
    """Return the class of objects that only have ``__cuda_array_interface__``."""
    return CudaArray
