from array import array

import numpy as np
import pytest

from kvpool import positional_lineage_hashes

SEQUENCE_HASHES = [14643705804678351452, 4945711292740353085, 12583592247330656132]
LINEAGE_HASHES = [
    0x32CE3935FECB729700000000000000,
    0x5128AC8DE75B4F0F78E4D7FB2DCA5C,
    0xABA8799E9B2033E122B2379D6D3C3D,
]


def packed(sequence_hash, parent, position):
    """The layout, written as a sum of fields."""
    mode, position_bits, parent_bits = next(
        (mode, 8 * (mode + 1), 54 - 8 * mode) for mode in range(3) if position < 2 ** (8 * (mode + 1))
    )
    assert 2 + position_bits + 64 + parent_bits == 128
    return mode * 2**126 + position * 2 ** (64 + parent_bits) + sequence_hash * 2**parent_bits + parent % 2**parent_bits


@pytest.mark.parametrize("form", [list, tuple, iter, lambda h: np.array(h, dtype=np.uint64), lambda h: array("Q", h)])
def test_lineage_hashes_are_dynamos(form):
    assert positional_lineage_hashes(form(SEQUENCE_HASHES)) == LINEAGE_HASHES


def test_parent_and_position_continue_a_sequence():
    rest = positional_lineage_hashes(SEQUENCE_HASHES[1:], parent=SEQUENCE_HASHES[0], position=1)
    assert rest == LINEAGE_HASHES[1:]


def test_parent_and_position_are_taken_as_arrays_give_them():
    hashes = np.array(SEQUENCE_HASHES, dtype=np.uint64)
    assert positional_lineage_hashes(hashes[2:], parent=hashes[1], position=np.int64(2)) == LINEAGE_HASHES[2:]


def test_no_blocks_have_no_lineage_hashes():
    assert positional_lineage_hashes([]) == []


@pytest.mark.parametrize("position", [1, 255, 256, 257, 65535, 65536, 2**24 - 1])
def test_the_mode_is_the_smallest_that_holds_the_position(position):
    parent, sequence_hash = 2**64 - 1, 2**63 + 12345
    assert positional_lineage_hashes([sequence_hash], parent=parent, position=position) == [
        packed(sequence_hash, parent, position)
    ]


def test_a_chain_crosses_from_one_mode_to_the_next():
    hashes = [hash_ * 0x9E3779B97F4A7C15 % 2**64 for hash_ in range(1, 301)]
    expected = [packed(hashes[i], hashes[i - 1] if i else 0, i) for i in range(300)]
    assert positional_lineage_hashes(hashes) == expected


def test_a_lineage_hash_is_sixteen_bytes_big_endian():
    assert LINEAGE_HASHES[0].to_bytes(16, "big").hex() == "0032ce3935fecb729700000000000000"
    assert positional_lineage_hashes([2**64 - 1], parent=2**64 - 1, position=2**24 - 1)[0] < 2**128


@pytest.mark.parametrize("position", [-1, 2**24, 2**80])
def test_position_out_of_range_is_named_with_its_bound(position):
    with pytest.raises(ValueError, match=rf"position = {position} is not in \[0, 2\*\*24\)"):
        positional_lineage_hashes(SEQUENCE_HASHES, parent=1, position=position)


def test_a_block_beyond_the_last_position_is_named():
    assert len(positional_lineage_hashes(SEQUENCE_HASHES[:2], parent=1, position=2**24 - 2)) == 2
    with pytest.raises(ValueError, match=r"sequence_hashes\[2\] is at position 16777216"):
        positional_lineage_hashes(SEQUENCE_HASHES, parent=1, position=2**24 - 2)


def test_position_without_parent_is_rejected():
    with pytest.raises(ValueError, match="position = 3 needs a parent"):
        positional_lineage_hashes(SEQUENCE_HASHES, position=3)


def test_parent_at_position_zero_is_rejected():
    with pytest.raises(ValueError, match="a block at position 0 has no parent"):
        positional_lineage_hashes(SEQUENCE_HASHES, parent=1)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_hash_out_of_range_is_named_with_its_position(value):
    with pytest.raises(ValueError, match=rf"sequence_hashes\[1\] = {value} is not in \[0, 2\*\*64\)"):
        positional_lineage_hashes([1, value])


@pytest.mark.parametrize("value", [True, 1.5, "1", None, [1]])
def test_a_hash_that_is_no_int_is_named_with_its_position(value):
    with pytest.raises(TypeError, match=rf"sequence_hashes\[1\] must be an int, not {type(value).__name__}"):
        positional_lineage_hashes([1, value])


def test_an_array_of_floats_is_rejected():
    with pytest.raises(TypeError, match=r"sequence_hashes\[0\] must be an int, not float"):
        positional_lineage_hashes(np.ones(3))
