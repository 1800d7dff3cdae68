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
