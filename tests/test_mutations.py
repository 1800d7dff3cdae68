"""What .ci/mutants changes in a C source, so that it does not count changes of comments or changes that are none."""

import importlib.util
import sys
from pathlib import Path

import pytest

PLACE = Path(__file__).resolve().parents[1] / ".ci" / "mutants" / "mutations.py"


@pytest.fixture(scope="module")
def mutations():
    if not PLACE.is_file():
        pytest.skip("this is not the repository")
    spec = importlib.util.spec_from_file_location("mutations", PLACE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def changed(module, text):
    """The bodies that come of `text` in a function."""
    source = f"int f(int a, int b) {{ /* a < b */\n{text}\n}}\n"
    return {m.apply(source).splitlines()[1] for m in module.mutations_of("f.c", source)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("return a < b;", {"return a <= b;", "return a >= b;", "return 0;", "return !(a < b);"}),
        ("if (a)\n;", {"if (!(a))"}),
        ("b = a - 1;", {"b = a + 1;", "b = a - 2;", "b = a - 0;", ";"}),
        ("b = -a;", {";"}),
        ("b = !a;", {"b = a;", ";"}),
        ("int *p = &b;", set()),
        ("int q[4];", set()),
        ("a++;", {"a--;", ";"}),
        ("KVP_ASSERT(a < b);", set()),
        ('puts("a < b");', {";"}),
        ("#define X 1", set()),
        ("break;", {";"}),
    ],
)
def test_each_operator_constant_condition_result_and_statement_is_changed_by_itself(mutations, text, expected):
    assert changed(mutations, text) == expected


def test_lines_keep_their_numbers(mutations):
    source = "void f(int a) {\n    g(a,\n      a);\n    h();\n}\n"
    for mutation in mutations.mutations_of("f.c", source):
        assert mutation.apply(source).count("\n") == source.count("\n")


def test_what_stands_outside_functions_is_left_alone(mutations):
    assert (
        mutations.mutations_of("f.c", "enum { A = 1 };\nstatic const int t[] = {1, 2};\nstruct s { int a; };\n") == []
    )


def test_a_sample_stays_the_same_when_lines_are_added_before(mutations):
    source = "int f(int a) {\n    return a < 1;\n}\n"
    before, after = mutations.mutations_of("f.c", source), mutations.mutations_of("f.c", "\n\n" + source)
    assert [m.rank(1) for m in before] == [m.rank(1) for m in after]
    assert len({m.rank(1) for m in before}) == len(before)
    assert [m.rank(2) for m in before] != [m.rank(1) for m in before]


def test_inline_functions_of_a_header_are_found_with_what_they_use(mutations):
    found = mutations.inline_functions("static inline int f(int a) {\n    return g(a);\n}\nint h(int b);\n")
    assert found == {"f": {"return", "g", "a"}}
