"""Producers of every age: what they are asked, and that what they give is taken once and ended once."""

import gc

import numpy as np
import pytest

from kvpool import BlockPool
from kvpool._core.external_tensor import ExternalTensor
from kvpool.storage import FullyContiguous, LayoutConfig

ADDRESS = 0x7F0000000000
SHAPE = (8, 2, 2, 4, 16)
FULL = {"max_version": (1, 3), "copy": False}


@pytest.mark.parametrize(
    ("knows", "asked"),
    [
        (("max_version", "copy"), [FULL]),
        (("max_version",), [FULL, {"max_version": (1, 3)}]),
        ((), [FULL, {"max_version": (1, 3)}, {}]),
    ],
)
@pytest.mark.parametrize("major", [0, 1])
def test_a_producer_is_asked_in_words_that_it_knows(producer, knows, asked, major):
    tensor = producer((2, 3), ADDRESS, knows=knows, major=major, device=(1, 0))
    taken = ExternalTensor(tensor)
    assert tensor.asked == [{"stream": None, **words} for words in asked]
    assert (taken.shape, taken.strides, taken.dtype, taken.address) == ((2, 3), (3, 1), (2, 32), ADDRESS)
    assert (tensor.given, tensor.ended) == (1, 0)
    del taken
    assert tensor.ended == 1


def test_an_error_of_the_producer_is_the_callers(producer):
    class Broken(producer):
        def __dlpack__(self, **arguments):
            raise BufferError("it requires grad")

    with pytest.raises(BufferError, match="it requires grad"):
        ExternalTensor(Broken((2,), ADDRESS))


def test_a_tensor_of_another_major_version_is_ended_unread(producer):
    tensor = producer((2, 3), ADDRESS, major=2)
    with pytest.raises(BufferError, match="DLPack 2, which is not 1"):
        ExternalTensor(tensor)
    assert (tensor.given, tensor.ended) == (1, 1)


def test_elements_of_several_lanes_are_refused(producer):
    tensor = producer((2, 3), ADDRESS, lanes=4)
    with pytest.raises(BufferError, match="elements of 4 lanes"):
        ExternalTensor(tensor)
    assert tensor.ended == 1


def test_missing_strides_mean_one_behind_the_other(producer):
    assert ExternalTensor(producer((2, 3, 4), ADDRESS, without_strides=True)).strides == (12, 4, 1)
    assert ExternalTensor(producer((), ADDRESS, without_strides=True)).strides == ()


def test_read_only_is_a_flag_of_versions(producer):
    assert ExternalTensor(producer((2,), ADDRESS, flags=1)).is_readonly
    assert not ExternalTensor(producer((2,), ADDRESS, flags=2)).is_readonly
    assert not ExternalTensor(producer((2,), ADDRESS, major=0)).is_readonly


def test_what_is_no_capsule_is_refused(producer):
    class Wrong(producer):
        answer = None

        def __dlpack__(self, **arguments):
            return self.answer

    wrong = Wrong((2,), ADDRESS)
    with pytest.raises((BufferError, TypeError)):
        ExternalTensor(wrong)
    right = producer((2,), ADDRESS)
    Wrong.answer = right.__dlpack__(stream=None)
    first = ExternalTensor(wrong)
    with pytest.raises(BufferError, match="taken already"):
        ExternalTensor(wrong)
    del first
    assert right.ended == 1


@pytest.mark.parametrize("strides", [None, (16, 4), (64, 4)])
def test_an_interface_of_cuda_is_read_as_it_is_meant(cuda_array, strides):
    tensor = ExternalTensor(cuda_array((3, 4), ADDRESS, "<f4", strides, True))
    assert tensor.strides == ((4, 1) if strides in (None, (16, 4)) else (16, 1))
    assert (tensor.address, tensor.dtype, tensor.device, tensor.is_readonly) == (ADDRESS, (2, 32), (2, 0), True)


@pytest.mark.parametrize(("typestr", "strides"), [(">f4", None), ("|V2", None), ("<f4", (6, 3))])
def test_an_interface_of_what_is_no_number_is_refused(cuda_array, typestr, strides):
    with pytest.raises(BufferError, match=r"typestr|strides"):
        ExternalTensor(cuda_array((3, 4), ADDRESS, typestr, strides))


def test_tensors_of_a_pool_are_ended_once_when_they_are_unregistered(producer):
    layout = FullyContiguous(LayoutConfig(8, 2, 2, 4, 16, dtype="float32"))
    tensor = producer(SHAPE, ADDRESS)
    pool = BlockPool(8, 4)
    pool.register_buffer(tensor, layout=layout)
    pool.unregister_buffer()
    assert (tensor.given, tensor.ended) == (1, 1)
    pool.register_buffer(tensor, layout=layout)
    view = pool.allocate_blocks(1)[0].layer_view(0)
    del pool
    gc.collect()
    assert tensor.ended == 1
    del view
    assert tensor.ended == 2


def test_the_table_of_c_functions_is_used_where_a_type_has_one():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        pytest.skip("this torch has no table")

    class Watched(torch.Tensor):
        def __dlpack__(self, *arguments, **named):
            raise AssertionError("the slow way")

    tensor = torch.zeros(2, 3).as_subclass(Watched)
    taken = ExternalTensor(tensor)
    assert (taken.address, taken.shape) == (tensor.data_ptr(), (2, 3))


def test_numpy_arrays_of_every_order_are_described():
    array = np.zeros((4, 6), np.float64, order="F")
    assert ExternalTensor(array).strides == (1, 4)
    assert ExternalTensor(array[::2, 1:]).strides == (2, 4)
