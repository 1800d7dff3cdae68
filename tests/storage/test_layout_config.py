import numpy as np
import pytest
from storage_model import config_of

from kvpool.storage import DType, LayoutConfig


def test_a_config_keeps_its_sizes_and_names_its_type():
    config = LayoutConfig(8, 2, 1, 16, 512, "bfloat16", 256)
    assert (config.num_blocks, config.num_layers, config.outer_dim) == (8, 2, 1)
    assert (config.page_size, config.inner_dim, config.alignment) == (16, 512, 256)
    assert config.dtype == DType("bfloat16", 2, (4, 16))
    assert config == LayoutConfig(8, 2, 1, 16, 512, DType.of("bfloat16"), 256)
    assert LayoutConfig(np.int64(8), 2, 1, 16, 512).num_blocks == 8


def test_a_config_cannot_be_changed():
    with pytest.raises(AttributeError):
        config_of().num_blocks = 8


@pytest.mark.parametrize("name", ["num_blocks", "num_layers", "outer_dim", "page_size", "inner_dim", "alignment"])
@pytest.mark.parametrize("value", [0, -1, 2**64, 10**40])
def test_a_size_out_of_its_bounds_is_named_with_the_bounds(name, value):
    shown = f"{value}" if value.bit_length() <= 128 else "an int of"
    with pytest.raises(ValueError, match=rf"{name} = {shown}.*\[1, \d+\]"):
        config_of(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("num_blocks", 2**31 - 102), ("num_layers", 4097), ("outer_dim", 3)])
def test_the_first_size_beyond_the_bound_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        config_of(**{name: value})
    assert getattr(config_of(**{name: value - 1}), name) == value - 1


@pytest.mark.parametrize("name", ["num_blocks", "num_layers", "outer_dim", "page_size", "inner_dim", "alignment"])
@pytest.mark.parametrize("value", [True, 1.5, "1", None])
def test_a_size_that_is_not_an_int_is_refused(name, value):
    with pytest.raises(TypeError, match=name):
        config_of(**{name: value})


@pytest.mark.parametrize("alignment", [3, 6, 2**62 - 1])
def test_an_alignment_is_a_power_of_two(alignment):
    with pytest.raises(ValueError, match=f"alignment = {alignment} is not a power of two"):
        config_of(alignment=alignment)


def test_the_shape_of_a_region_follows_heads_and_order():
    assert config_of().region_shape == (4, 10)
    assert config_of(num_heads=5).region_shape == (4, 5, 2)
    assert config_of(num_heads=5, order="HND").region_shape == (5, 4, 2)
    assert config_of(num_heads=5, order="HND", dtype="float32").region_strides == (32, 8, 4)
    assert config_of(dtype="uint8").region_strides == (10, 1)


def test_heads_must_divide_the_inner_dimension():
    with pytest.raises(ValueError, match="inner_dim = 10 is not a multiple of num_heads = 3"):
        config_of(num_heads=3)
    with pytest.raises(ValueError, match=r"num_heads = 11 is not in \[1, 10\]"):
        config_of(num_heads=11)


def test_an_order_is_one_of_two_and_needs_heads():
    with pytest.raises(ValueError, match="order = 'DHN'"):
        config_of(order="DHN", num_heads=5)
    with pytest.raises(ValueError, match="needs num_heads"):
        config_of(order="HND")


@pytest.mark.parametrize("name", ["bool", "int8", "uint16", "float16", "float32", "float64", "complex64"])
def test_the_types_of_numpy_are_known_by_name_dtype_and_class(name):
    dtype = DType.of(name)
    assert dtype == DType.of(np.dtype(name)) == DType.of(np.dtype(name).type) == DType.of(dtype)
    assert (dtype.name, dtype.itemsize, dtype.numpy) == (name, np.dtype(name).itemsize, np.dtype(name))
    assert dtype.dlpack[1] == 8 * dtype.itemsize


@pytest.mark.parametrize(("name", "itemsize"), [("bfloat16", 2), ("float8_e4m3fn", 1), ("float8_e5m2", 1)])
def test_types_that_numpy_does_not_have_are_known_by_name(name, itemsize):
    dtype = DType.of(name)
    assert (dtype.name, dtype.itemsize, dtype.numpy) == (name, itemsize, None)
    assert DType.of(f"torch.{name}") == dtype


def test_a_type_of_torch_is_taken_by_its_name():
    class TorchType:
        def __str__(self):
            return "torch.float8_e5m2"

    assert DType.of(TorchType()).name == "float8_e5m2"


@pytest.mark.parametrize("value", ["float7", "str", "object", "datetime64[s]", None, 3, "i4,i4"])
def test_what_is_no_number_type_is_refused(value):
    with pytest.raises(ValueError, match="dtype = "):
        DType.of(value)
