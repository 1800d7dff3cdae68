"""Element types of KV caches, by name."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["DType"]

# Codes of DLPack's DLDataTypeCode.
_DLPACK_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}


class DType(NamedTuple):
    """An element type: one of NumPy's, or one that NumPy does not have.

    Attributes
    ----------
    name : str
        As NumPy, torch and JAX call it: ``"float16"``, ``"bfloat16"``, ``"float8_e4m3fn"``.
    itemsize : int
        Bytes of an element.
    dlpack : tuple of int
        DLPack's type code and bits.
    numpy : numpy.dtype or None
        None for what NumPy does not have: look at such memory as unsigned integers of the same size.
    """

    name: str
    itemsize: int
    dlpack: tuple[int, int]
    numpy: np.dtype[Any] | None = None

    @classmethod
    def of(cls, value: object) -> DType:
        """Return the type that a name, a NumPy dtype, a torch dtype or a DType says.

        Raises
        ------
        ValueError
            There is no such type.

        Examples
        --------
        >>> from kvpool.storage import DType
        >>> DType.of("bfloat16").itemsize
        2
        >>> DType.of(np.float16).name
        'float16'
        """
        if isinstance(value, DType):
            return value
        name = getattr(value, "name", None) or getattr(value, "__name__", None) or str(value)
        name = str(name).removeprefix("torch.")
        if name in _OTHERS:
            return _OTHERS[name]
        try:
            dtype = np.dtype(value if isinstance(value, (np.dtype, type)) else name)
            return cls(dtype.name, dtype.itemsize, (_DLPACK_CODES[dtype.kind], dtype.itemsize * 8), dtype)
        except (TypeError, KeyError):
            raise ValueError(f"dtype = {value!r} is not a number type of NumPy, nor one of {sorted(_OTHERS)}") from None


_OTHERS = {
    dtype.name: dtype
    for dtype in (
        DType("bfloat16", 2, (4, 16)),
        DType("float8_e4m3fn", 1, (10, 8)),
        DType("float8_e5m2", 1, (12, 8)),
    )
}
