"""Numbers as callers give them."""

from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, int64_t

import operator

import numpy as np

cdef tuple BOOLS = (bool, np.bool_)


cdef object parse_int(object value, str name, object low, object high):
    """Return an argument as an int in [low, high] (no bound if None); a bool is taken for a mistake."""
    if isinstance(value, BOOLS):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None
    if number < low or (high is not None and number > high):
        shown = number if number.bit_length() <= 128 else f"an int of {number.bit_length()} bits"
        raise ValueError(f"{name} = {shown} is not {f'at least {low}' if high is None else f'in [{low}, {high}]'}")
    return number


cdef int64_t parse_seconds(object value, str name, bint zero_is_allowed) except -1:
    """Nanoseconds of a positive number of seconds; INT64_MAX for more than fit."""
    cdef double seconds = 0
    cdef bint fits = False
    if isinstance(value, (bool, str)):
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}")
    try:
        seconds = value
        fits = True
    except TypeError:
        raise TypeError(f"{name} must be a number of seconds, not {type(value).__name__}") from None
    except OverflowError:
        pass
    if not fits:
        if value > 0:
            return INT64_MAX
        raise ValueError(f"{name} = a number below -1e308 is not {'at least' if zero_is_allowed else 'above'} 0 "
                         f"seconds")
    if isnan(seconds) or seconds < 0 or (seconds == 0 and not zero_is_allowed):
        raise ValueError(f"{name} = {value} is not {'at least' if zero_is_allowed else 'above'} 0 seconds")
    return INT64_MAX if seconds >= 9.2e9 else <int64_t>(seconds * 1e9 + 0.5)


cdef double parse_share(object value, str name, double low, double high, bint low_is_allowed) except? -1:
    """Return a number in (low, high], or in [low, high]."""
    cdef double share
    if isinstance(value, (bool, str)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    try:
        share = value
    except TypeError:
        raise TypeError(f"{name} must be a number, not {type(value).__name__}") from None
    if isnan(share) or not low <= share <= high or (share == low and not low_is_allowed):
        raise ValueError(f"{name} = {value} is not in {'[' if low_is_allowed else '('}{low:g}, {high:g}]")
    return share


def as_seconds(value, name):
    """Return a number of seconds, at least 0, as a float; inf for more than nine thousand million."""
    cdef int64_t nanoseconds = parse_seconds(value, name, True)
    return float("inf") if nanoseconds == INT64_MAX else nanoseconds * 1e-9


def as_int(value, name, low, high):
    """Return an int in [low, high] (no bound if None); a bool is taken for a mistake."""
    return parse_int(value, name, low, high)
