import doctest
import gc
import sys
from array import array

import numpy as np
import pytest

from kvpool import sequence_hashes
from kvpool._core import token_buffer
from kvpool._core.token_buffer import TokenBuffer, as_token_buffer

INTEGER_DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def taken(token_ids):
    return memoryview(as_token_buffer(token_ids)).tolist()


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Tensor:
    """Has ``__array__`` and nothing else, as tensors do."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_arrays_of_every_integer_dtype_are_taken(dtype):
    values = [0, 1, 7, 100, int(min(np.iinfo(dtype).max, 2**32 - 1))]
    assert taken(np.array(values, dtype=dtype)) == values


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_strided_arrays_are_taken(dtype):
    values = np.arange(100, dtype=dtype)
    assert taken(values[::3]) == values[::3].tolist()
    assert taken(values[::-1]) == values[::-1].tolist()
    assert taken(values[50:50:2]) == []


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64"])
def test_unaligned_arrays_are_taken_as_a_copy(dtype):
    raw = np.zeros(1 + 10 * np.dtype(dtype).itemsize, dtype=np.uint8)
    unaligned = raw[1:].view(dtype)
    unaligned[:] = range(10)
    assert not unaligned.flags.aligned
    buffer = as_token_buffer(unaligned)
    unaligned[:] = 0
    assert memoryview(buffer).tolist() == list(range(10))


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_standard_arrays_and_memoryviews_are_taken(code):
    values = array(code, [3, 1, 4, 1, 5])
    assert taken(values) == [3, 1, 4, 1, 5]
    assert taken(memoryview(values)) == [3, 1, 4, 1, 5]
    assert taken(memoryview(values)[1::2]) == [1, 1]


def test_a_memoryview_of_bytes_is_taken_as_uint8():
    assert taken(memoryview(b"\x00\xff")) == [0, 255]


@pytest.mark.parametrize("form", [list, tuple, iter, lambda v: (x for x in v), lambda v: dict.fromkeys(v).keys()])
def test_iterables_are_taken(form):
    assert taken(form([0, 5, 2**32 - 1])) == [0, 5, 2**32 - 1]


def test_a_range_is_taken():
    assert taken(range(3, 9, 2)) == [3, 5, 7]


def test_subclasses_of_list_are_taken():
    class Tokens(list):
        pass

    assert taken(Tokens([1, 2])) == [1, 2]


def test_objects_with_an_array_are_taken():
    assert taken(Tensor([1, 2, 3])) == [1, 2, 3]
    with pytest.raises(TypeError, match="float64"):
        as_token_buffer(Tensor([1.0]))


def test_elements_are_anything_with_an_index():
    assert taken([1, Index(2), np.int64(3), np.uint8(4), True, np.array(5)]) == [1, 2, 3, 4, 1, 5]


@pytest.mark.parametrize("form", [list, tuple, lambda v: np.array(v, dtype=np.int32), lambda v: np.array(v)[::2]])
def test_no_tokens_are_taken(form):
    assert taken(form([])[:0] if form in (list, tuple) else form([1])[:0]) == []


def test_a_token_buffer_is_taken_as_it_is():
    buffer = as_token_buffer([1, 2, 3])
    assert as_token_buffer(buffer) is buffer
    assert sequence_hashes(buffer, 3).tolist() == sequence_hashes([1, 2, 3], 3).tolist()
    assert len(buffer) == 3


def test_an_empty_token_buffer_has_no_tokens():
    assert len(TokenBuffer()) == 0
    assert taken(TokenBuffer()) == []


def test_a_token_buffer_is_a_read_only_buffer_of_uint32():
    view = memoryview(as_token_buffer([1, 2, 3]))
    assert (view.format, view.itemsize, view.shape, view.strides, view.readonly) == ("I", 4, (3,), (4,), True)
    assert np.frombuffer(as_token_buffer([1, 2]), dtype=np.uint32).tolist() == [1, 2]


def test_a_token_buffer_gives_its_tokens_as_bytes():
    expected = b"\x01\0\0\0\x02\0\0\0"
    assert as_token_buffer([1, 2]).tobytes() == expected
    assert bytes(as_token_buffer([1, 2])) == expected
    assert TokenBuffer().tobytes() == b""


def test_a_token_buffer_cannot_be_written():
    with pytest.raises(TypeError, match="read-only"):
        memoryview(as_token_buffer([1, 2]))[0] = 3


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_thirty_two_bit_arrays_are_not_copied(dtype):
    values = np.array([1, 2, 3], dtype=dtype)
    buffer = as_token_buffer(values)
    values[1] = 9
    assert memoryview(buffer).tolist() == [1, 9, 3]


@pytest.mark.parametrize("values", [np.array([1, 2, 3]), np.array([1, 0, 2, 0, 3], dtype=np.int32)[::2], [1, 2, 3]])
def test_converted_tokens_are_a_copy(values):
    buffer = as_token_buffer(values)
    values[1] = 9
    assert memoryview(buffer).tolist() == [1, 2, 3]


def test_a_borrowed_array_stays_exported_until_the_buffer_goes():
    values = array("i", [1, 2, 3])
    buffer = as_token_buffer(values)
    with pytest.raises(BufferError):
        values.append(4)
    del buffer
    values.append(4)
    assert len(values) == 4


@pytest.mark.parametrize("bad", [array("i", [1, -1]), array("q", [1, -1]), array("d", [1.0])])
def test_a_rejected_array_is_not_exported_any_more(bad):
    with pytest.raises((TypeError, ValueError)):
        as_token_buffer(bad)
    bad.append(1)
    assert len(bad) in (2, 3)


def test_a_copied_array_is_not_exported_any_more():
    values = array("q", [1, 2])
    buffer = as_token_buffer(values)
    values.append(3)
    assert len(buffer) == 2


@pytest.mark.parametrize("position", [0, 17, 40])
@pytest.mark.parametrize(
    "form", [list, tuple, iter, np.array, lambda v: np.array(v, dtype=np.int32), lambda v: np.array(v, dtype=np.int8)]
)
def test_negative_token_is_named_with_its_position(form, position):
    tokens = [1] * 41
    tokens[position] = -3
    with pytest.raises(ValueError, match=rf"^token_ids\[{position}\] = -3 is not in \[0, 4294967295\]$"):
        as_token_buffer(form(tokens))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_negative_token_is_found_in_strided_arrays(dtype):
    tokens = np.ones(20, dtype=dtype)
    tokens[7] = -128
    assert taken(tokens[::2]) == [1] * 10
    with pytest.raises(ValueError, match=r"token_ids\[3\] = -128 is not in"):
        as_token_buffer(tokens[1::2])
    with pytest.raises(ValueError, match=r"token_ids\[12\] = -128 is not in"):
        as_token_buffer(tokens[::-1])


@pytest.mark.parametrize("value", [2**32, 2**63 - 1, 2**63, 2**64 - 1])
def test_too_large_token_is_named_with_its_position(value):
    message = rf"^token_ids\[2\] = {value} is not in \[0, 4294967295\]$"
    with pytest.raises(ValueError, match=message):
        as_token_buffer([1, 2, value])
    with pytest.raises(ValueError, match=message):
        as_token_buffer(np.array([1, 2, value], dtype=np.uint64))
    with pytest.raises(ValueError, match=message):
        as_token_buffer([1, 2, Index(value)])


@pytest.mark.parametrize("value", [2**64, -(2**64), 2**127])
def test_tokens_beyond_64_bits_are_named(value):
    with pytest.raises(ValueError, match=rf"token_ids\[0\] = {value} is not in"):
        as_token_buffer([value])


def test_a_huge_token_is_described_by_its_length():
    with pytest.raises(ValueError, match=r"token_ids\[0\] = an int of 100001 bits is not in"):
        as_token_buffer([2**100000])


def test_the_first_of_several_bad_tokens_is_named():
    with pytest.raises(ValueError, match=r"token_ids\[1\] = -5 "):
        as_token_buffer([1, -5, 2**40, "x"])
    with pytest.raises(ValueError, match=r"token_ids\[1\] = -5 "):
        as_token_buffer(np.array([1, -5, 2**40]))


@pytest.mark.parametrize("value", [1.0, "1", None, b"1", [1], np.float32(1)])
def test_element_that_is_no_int_is_named_with_its_position(value):
    with pytest.raises(TypeError, match=rf"^token_ids\[1\] must be an int, not {type(value).__name__}$"):
        as_token_buffer([1, value])


@pytest.mark.parametrize(
    "given", [None, 7, 1.5, "1 2", b"12", bytearray(b"12"), {1: 2}, {1, 2}, frozenset({1}), object()]
)
def test_what_is_no_run_of_ints_is_named(given):
    message = (
        r"^token_ids must be a 1-D array of integers or an iterable of ints, "
        rf"not {type(given).__name__}$"
    )
    with pytest.raises(TypeError, match=message):
        as_token_buffer(given)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "bool", "complex128", "object", "M8[s]", "S4", "U4"]
)
def test_array_of_another_dtype_is_named(dtype):
    given = np.zeros(4, dtype=dtype)
    with pytest.raises(TypeError, match="ndarray of dtype") as caught:
        as_token_buffer(given)
    assert str(caught.value).endswith(str(given.dtype))


def test_array_in_foreign_byte_order_is_rejected():
    with pytest.raises(TypeError, match="ndarray of dtype >i4"):
        as_token_buffer(np.ones(4, dtype=">i4"))


@pytest.mark.parametrize("shape", [(), (2, 2), (1, 4), (0, 3)])
def test_array_that_is_not_one_dimensional_is_named(shape):
    with pytest.raises(TypeError, match=rf"must be a 1-D array .* with {len(shape)} dimensions$"):
        as_token_buffer(np.zeros(shape, dtype=np.int32))


def test_a_released_memoryview_is_rejected():
    view = memoryview(array("i", [1]))
    view.release()
    with pytest.raises(ValueError, match="released memoryview"):
        as_token_buffer(view)


def test_an_exception_from_the_iterable_goes_through():
    def broken():
        yield 1
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        as_token_buffer(broken())


def test_an_exception_from_an_element_goes_through():
    class Broken:
        def __index__(self):
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        as_token_buffer([1, Broken()])


@pytest.mark.parametrize("change", [list.clear, lambda tokens: tokens.extend(range(1000))])
def test_a_list_that_changes_while_it_is_read_is_taken_as_it_was(change):
    class Changing:
        def __index__(self):
            change(tokens)
            return 2

    tokens = [1, Changing(), 3]
    assert taken(tokens) == [1, 2, 3]


@pytest.mark.parametrize(
    "given", [[1, 2, 3], (1, 2, 3), [1, -1], [1, None], np.arange(4), np.arange(4, dtype=np.int32), np.ones(3)]
)
def test_no_reference_is_kept_or_lost(given):
    elements = list(given) if isinstance(given, (list, tuple)) else []

    def convert():
        try:
            as_token_buffer(given)
        except (TypeError, ValueError):
            return

    convert()
    gc.collect()
    before = sys.getrefcount(given), [sys.getrefcount(element) for element in elements]
    for _ in range(50):
        convert()
    assert (sys.getrefcount(given), [sys.getrefcount(element) for element in elements]) == before


def test_the_documented_examples_are_true():
    result = doctest.testmod(token_buffer)
    assert result.attempted > 0
    assert result.failed == 0
