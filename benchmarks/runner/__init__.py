"""Measures implementations side by side, each in a process and an interpreter of its own."""
