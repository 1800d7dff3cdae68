import itertools
import resource
import signal
import subprocess
import sys

import pytest
from storage_model import config_of, lazy

from kvpool.storage import FullyContiguous, HostStorage, LayoutConfig, OuterSeparate

WRITE = """
import ctypes, sys
from kvpool.storage import FullyContiguous, HostStorage, LayerSeparate, LayoutConfig
layout = {layout}(LayoutConfig(8, 2, 2, page_size=16, inner_dim=64, dtype="float16"))
storage = HostStorage(layout, populate=False)
part = {part}
end = storage.memory.bases[part] + layout.part_bytes
ctypes.memset(end - 1, 1, 1)
print("wrote the last byte", flush=True)
ctypes.{call}
print("went on", flush=True)
"""


@pytest.mark.parametrize("call", ["memset(end, 1, 1)", "string_at(end, 1)"])
@pytest.mark.parametrize(("layout", "part"), [("FullyContiguous", 0), ("LayerSeparate", 0), ("LayerSeparate", 1)])
def test_the_first_byte_behind_a_part_faults(layout, part, call):
    program = WRITE.format(layout=layout, part=part, call=call)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout == "wrote the last byte\n"
    assert -run.returncode in (signal.SIGSEGV, signal.SIGBUS)


def test_more_memory_than_the_machine_has_is_refused_before_it_is_touched():
    layout = FullyContiguous(LayoutConfig(2**30, 64, 2, page_size=16, inner_dim=1024))
    with pytest.raises(MemoryError, match=f"{layout.nbytes} bytes are more than the machine has"):
        HostStorage(layout)


def test_more_address_space_than_there_is_is_refused():
    layout = FullyContiguous(LayoutConfig(2**31 - 103, 64, 2, page_size=16, inner_dim=1024))
    with pytest.raises(MemoryError, match=f"no memory for {layout.nbytes} bytes"):
        lazy(layout)


@pytest.mark.own_memory
@pytest.mark.parametrize("huge_pages", [False, True])
def test_populated_memory_is_there_and_lazy_memory_is_not(huge_pages):
    layout = FullyContiguous(LayoutConfig(64, 4, 2, page_size=16, inner_dim=1024))  # 16 MiB

    source = b"\1" * layout.nbytes  # made before: new memory has faults of its own

    def faults(storage):
        target = memoryview(storage.memory.owner[0])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        target[:] = source
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages = layout.nbytes // 4096
    populated = faults(HostStorage(layout, huge_pages=huge_pages))
    lazily = faults(HostStorage(layout, huge_pages=False, populate=False))
    assert populated < pages // 4
    assert lazily > pages * 3 // 4


def test_memory_goes_with_the_storage():
    """A thousand times a terabyte of address space would not be there at once."""
    layout = OuterSeparate(LayoutConfig(2**20, 2, 2, page_size=16, inner_dim=16384))
    assert layout.nbytes == 2**41
    for _ in range(300):
        lazy(layout).address(2**20 - 1, 1, 1)


def test_parts_are_apart_from_each_other():
    storage = lazy(OuterSeparate(config_of()))
    bases = sorted(storage.memory.bases)
    assert all(two - one > storage.layout.part_bytes for one, two in itertools.pairwise(bases))
