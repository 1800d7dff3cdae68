"""Typed Cython over the C core."""
