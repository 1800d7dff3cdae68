"""Calling what users wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["attempt"]


def attempt(call: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """Return what a call returns and None, or None and what it raises.

    In Python on purpose: an except clause of Cython's that goes on afterwards gives back the error's traceback, and
    crashes where there was no memory to make one.
    """
    try:
        return call(*arguments), None
    except Exception as error:
        return None, error
