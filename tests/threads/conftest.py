"""Threads that start at once."""

import sys
import threading

import pytest


@pytest.fixture(autouse=True)
def many_switches():
    """Let threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_all_together(*functions):
    """Run functions in threads that start at once; raise the first error of any."""
    start = threading.Barrier(len(functions))
    errors = []

    def run(function):
        start.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.fixture
def run_together():
    """Run functions in threads that start at once: the function that does it."""
    return run_all_together


@pytest.fixture
def run_beside():
    """Run functions once each in threads, and others over and over until these are done."""

    def run(once, over_and_over):
        done = threading.Event()

        def work():
            try:
                run_all_together(*once)
            finally:
                done.set()

        def repeat(function):
            while not done.is_set():
                function()

        run_all_together(work, *(lambda function=function: repeat(function) for function in over_and_over))

    return run
