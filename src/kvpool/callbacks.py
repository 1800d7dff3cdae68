"""Calling what users wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvpool._core.unraisable import report_unraisable

__all__ = ["attempt", "call_or_report"]

# In Python on purpose: an except clause of Cython's that goes on afterwards gives back the error's traceback, and
# crashes where there was no memory to make one. A function of Cython's that cannot raise prints an error, and tells the
# hook as well.


def attempt(call: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """Return what a call returns and None, or None and what it raises."""
    try:
        return call(*arguments), None
    except Exception as error:
        return None, error


def call_or_report(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns, or None when it raises, whatever that is: ``sys.unraisablehook`` is told."""
    try:
        return call(*arguments)
    except BaseException as error:
        report_unraisable(error, call)
        return None
