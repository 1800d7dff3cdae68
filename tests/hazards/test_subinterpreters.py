"""One interpreter of a process has kvpool; the others are told so when they import it, and do no harm."""

import sys

import pytest

PROGRAM = """
    import sys
    import {module} as interpreters
    from kvpool import BlockPool

    pool = BlockPool(8, 4)
    held = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
    attempt = '''if True:
        import warnings
        warnings.simplefilter("ignore")  # NumPy warns that it may not work here, either
        try:
            import {name}
        except ImportError as error:
            print("refused:", error)
        else:
            print("imported")
    '''
    for _ in range(3):
        other = interpreters.create({arguments})
        failed = interpreters.run_string(other, attempt)
        assert failed is None, failed
        interpreters.destroy(other)
    assert pool.match_sequence_hashes([1, 2]).ids.tolist() == held.ids.tolist()
    pool.check_invariants()
    """

MODULE = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
NAMES = ["kvpool._core.pool", "kvpool._core.handle", "kvpool._core.hashing"]
SHARING = "'legacy'" if sys.version_info >= (3, 13) else "isolated=False"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no interpreters with a GIL of their own before 3.12")
@pytest.mark.parametrize("name", NAMES)
def test_an_interpreter_with_a_gil_of_its_own_is_refused(run_python, name):
    printed = run_python(PROGRAM.format(module=MODULE, name=name, arguments="")).splitlines()
    assert len(printed) == 3
    assert all("refused: module kvpool._core" in line for line in printed)
    assert all("does not support loading in subinterpreters" in line for line in printed)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_interpreter_that_shares_the_gil_is_refused(run_python, name):
    printed = run_python(PROGRAM.format(module=MODULE, name=name, arguments=SHARING)).splitlines()
    assert (
        printed
        == ["refused: Interpreter change detected - this module can only be loaded into one interpreter per process."]
        * 3
    )
