"""Errors of others that must not stop what goes on."""

from cpython.exc cimport PyErr_SetObject, PyErr_WriteUnraisable


def report_unraisable(error, culprit):
    """Hand an error to ``sys.unraisablehook``.

    Parameters
    ----------
    error : BaseException
    culprit : object
        What raised it.
    """
    PyErr_SetObject(type(error), error)
    PyErr_WriteUnraisable(culprit)


def without_frames(error):
    """Return an error without tracebacks, its own and those of its causes: they keep frames, and what these hold.

    Parameters
    ----------
    error : BaseException
    """
    seen = set()
    pending = [error]
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            pending += (each.__cause__, each.__context__)
    return error
