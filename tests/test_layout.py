"""The rules of the tree: which layer may know of which, where the lock is, what a header and a stub must have."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "src" / "kvpool"
CORE = PACKAGE / "_core"

HEADERS = sorted((CSRC / "include" / "kvp").glob("*.h"))
C_SOURCES = sorted((CSRC / "src").glob("*.c"))
POLICIES = sorted((CSRC / "src" / "policies").glob("*.c"))
C_FILES = HEADERS + sorted((CSRC / "src").glob("**/*.[ch]"))
PYX = sorted(CORE.glob("*.pyx"))
PYTHON = sorted(PACKAGE.rglob("*.py"))
ALL_FILES = sorted(path for folder in ("csrc", "src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*"))
SOURCE_SUFFIXES = {".c", ".h", ".py", ".pyx", ".pxd", ".pyi"}
OPENING = ["What:", "Cost:", "Ownership:", "Locking:", "Errors:"]

# Who may be included by whom: a header sees those of its own layer and of the layers before it.
C_LAYERS = [
    {"types", "status", "check", "memory", "candidate"},
    {
        "block_table",
        "free_list",
        "lru_list",
        "seq_hash",
        "lineage_hash",
        "event_ring",
        "block_tokens",
        "expiry_heap",
        "hint_table",
        "protection",
        "foresight",
        "layout",
        "block_memory",
        "arena",
        "index_columns",
        "key_checks",
        "key_hash",
    }
    | {"hash_index", "priority_buckets", "stats", "lease"},
    {"prefix_search", "hash_ring", "reuse_sampler", "block_copy", "block_checksum", "scrub_ledger"},
    {"policy"},
    {"eviction"},
    {"namespaces"},
    {"pool"},
    {"sequence"},
    {"sequence_batch"},
    {"lock", "bell", "waiter", "latency"},
    {"shared_pool"},
    {"anchor", "keeper"},
    {"tether"},
    {"tensor"},
]
# pool.h is one subject in several sources.
POOL_PARTS = {"pool_chain", "pool_check", "pool_match", "pool_register", "pool_reset", "pool_retention"}
POOL_PARTS |= {"pool_restore", "pool_save", "pool_snapshot", "pool_views"}

# Parts of kvpool, lowest first; a module imports from its own layer and from those before it. __init__ is the public
# face, `from kvpool import BlockPool`.
PYTHON_LAYERS = [
    {"errors", "types", "policies", "events"},
    {"_core", "callbacks", "tokens", "progress", "prefetch", "persistence"},
    {"pressure", "metrics", "aio", "storage"},
    {"__init__"},
    {"replay", "testing", "diagnosis"},
    {"report"},
    {"cli"},
    {"__main__"},
]
PARTS = set().union(*PYTHON_LAYERS)

# More than one class in a file, and why.
SEVERAL_CLASSES = {
    "errors.py": "the exceptions are one table: name, base, attributes",
    "pool_event.py": "an event and its kinds are read together",
    "trace.py": "a trace is a list of requests, and nothing else is",
    "faults.py": "what makes things fail, and the errors that it makes them fail with",
    "soak.py": "what the soak does, and what it says when something is left",
    "driver.py": "what the driver does, and what it says when pool and model differ",
    "slots.py": "a slot is a list of tracked holds",
}

# In the tests but not in the package, and why.
TESTS_WITHOUT_A_PACKAGE = {
    "model": "the model is kvpool.testing",
    "hashing": "kvpool._core.hashing has a folder of its own",
    "core": "kvpool._core",
    "threads": "one pool from many threads",
    "sequences": "requests, and batches of them",
    "examples": "what examples/ has",
    "fuzz": "all that reads bytes from elsewhere",
    "views": "what other libraries see of the memory of blocks",
    "typing": "files that must type-check",
    "packaging": "sdist and wheel",
    "reference": "the page of the reference design",
    "hazards": "what interpreters do to extension modules",
    "security": "what SECURITY.md says",
}


def name_of(path):
    return str(path.relative_to(ROOT))


def each(paths):
    """Run a test for each of the files, and fail when there is none."""
    return pytest.mark.parametrize("path", paths, ids=name_of)


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL)


def layer_of(name, layers):
    (level,) = (level for level, names in enumerate(layers) if name in names)
    return level


def test_there_is_something_to_look_at():
    assert len(HEADERS) >= 15
    assert len(C_SOURCES) >= 10
    assert len(PYX) >= 5
    assert len(PYTHON) >= 10


@each(C_FILES)
def test_the_c_core_knows_nothing_of_python(path):
    assert not re.search(r'#\s*include\s*[<"](Python|structmember|frameobject)', path.read_text())
    assert "PyObject" not in path.read_text()


@each(HEADERS)
def test_c_layers_point_one_way(path):
    own = layer_of(path.stem, C_LAYERS)
    for included in re.findall(r'#include "kvp/(\w+)\.h"', path.read_text()):
        assert layer_of(included, C_LAYERS) <= own, f"{path.name} includes {included}.h"


@each(C_SOURCES)
def test_c_sources_include_nothing_above_their_header(path):
    own = layer_of("pool" if path.stem in POOL_PARTS else path.stem, C_LAYERS)
    for included in re.findall(r'#include "kvp/(\w+)\.h"', path.read_text()):
        assert layer_of(included, C_LAYERS) <= own, f"{path.name} includes {included}.h"


def variables_of(text):
    """The declarations of variables at file scope, and those of static ones in functions."""
    text = re.sub(r"^\s*#(.*\\\n)*.*$", "", without_comments(text), flags=re.MULTILINE)
    found = [line.strip() for line in text.splitlines() if re.match(r"\s+(static|_Thread_local)\b", line)]
    while (folded := re.sub(r"\{[^{}]*\}", "<>", text)) != text:
        text = folded
    text = re.sub(r"\)\s*<>", ");", text)
    for statement in text.split(";"):
        words = statement.split("=")[0].split()
        is_other = not words or words[0] in {"typedef", "_Static_assert"} or "(" in statement.split("=")[0]
        if not is_other and (words[0] not in {"struct", "enum", "union"} or words[-1] != "<>"):
            found.append(" ".join(words))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int f(int a,\n      int b);\nenum { A = 1 };\ntypedef struct s {\n    int a;\n} s;\n", []),
        ("static inline int f(void) {\n    int a = 1;\n    return a;\n}\n", []),
        ("#define X \\\n    static int y;\n", []),
        ("static int counter;\n", ["static int counter"]),
        ("int f(void) {\n    static int counter = 1;\n}\n", ["static int counter = 1;"]),
        ("static const int table[] = {1, 2};\n", ["static const int table[]"]),
    ],
)
def test_variables_are_found_in_c(text, expected):
    assert variables_of(text) == expected


@each(C_FILES)
def test_the_c_core_keeps_no_statics(path):
    """Each extension module has its own copy of the core: a variable would exist once in each."""
    assert [variable for variable in variables_of(path.read_text()) if "const" not in variable.split()] == []


@each(HEADERS)
def test_a_header_opens_with_what_cost_ownership_locking_errors(path):
    comment = path.read_text().partition("*/")[0]
    assert comment.startswith("/*\n * What:")
    labels = [word for word in re.findall(r"^ \* ([A-Z]\w+:) ", comment, flags=re.MULTILINE) if word in OPENING]
    assert labels == OPENING
    assert sum(comment.count(label) for label in OPENING) == len(OPENING)


def has_structure(path):
    """Whether the header has a structure with a life of its own: something to make and to destroy."""
    return re.search(r"\bkvp_\w+_init\(kvp_\w+ \*self", path.read_text()) is not None


@each([path for path in HEADERS if path.stem in set().union(*C_LAYERS[1:4]) - {"prefix_search"}])
def test_a_structure_states_its_invariants_and_checks_them(path):
    text = path.read_text()
    if path.stem == "lease":
        # A lease is checked with the pool whose blocks it names.
        assert "Invariants" in text
    else:
        assert re.search(rf"\bkvp_{path.stem}_check\(", text)
        assert "Invariants" in text or not has_structure(path)


@each(C_SOURCES)
def test_a_source_has_its_header_and_includes_it_first(path):
    first = re.search(r'#include "([^"]+)"', path.read_text())[1]
    expected = {"pool_transitions.h", "kvp/pool.h", "kvp/check.h"} if "pool" in path.stem else {f"kvp/{path.stem}.h"}
    if path.stem == "shared_pool":
        expected = {"kvp/shared_pool.h"}
    assert first in expected
    assert path.stem in POOL_PARTS or (CSRC / "include" / "kvp" / f"{path.stem}.h").is_file()


@each([path for path in HEADERS if layer_of(path.stem, C_LAYERS) > 0 or path.stem == "memory"])
def test_each_structure_has_its_c_tests(path):
    assert (CSRC / "tests" / f"test_{path.stem}.c").is_file()


# Which fuzz target has a structure that has none of its own, or why there is none.
FUZZED_ELSEWHERE = {
    "anchor": "tether",
    "bell": "shared_pool",
    "block_table": "lru_list",
    "keeper": "tether",
    "latency": "counts alone",
    "lease": "pool",
    "lock": "one thread has nothing to find there",
    "memory": "all of them",
    "policy": "eviction",
    "waiter": "shared_pool",
}


@each([path for path in HEADERS if re.search(r"\bkvp_\w+_(init|new)\(", path.read_text())])
def test_each_structure_is_fuzzed(path):
    assert (CSRC / "fuzz" / f"fuzz_{path.stem}.c").is_file() != (path.stem in FUZZED_ELSEWHERE)


@each(sorted((CSRC / "fuzz").glob("fuzz_*.c")))
def test_each_fuzz_target_has_a_corpus(path):
    assert any((CSRC / "fuzz" / "corpus" / path.stem.removeprefix("fuzz_")).iterdir())


@each(sorted((CSRC / "tests").glob("test_*.c")))
def test_every_c_test_that_is_written_is_run(path):
    text = path.read_text()
    assert re.findall(r"KVP_TEST\((\w+)\)", text) == re.findall(r"KVP_RUN\((\w+)\)", text) != []


@each(sorted(CORE.glob("*.p[yx]x")) + sorted(CORE.glob("*.pxd")) + PYTHON)
def test_the_lock_is_taken_in_three_modules(path):
    uses = re.findall(r"\bkvp_(?:shared_pool_enter|shared_pool_leave|lock_\w+)\(", path.read_text())
    if path.name in {"pool_core.pyx", "pool_waiting.pyx", "pool_events.pyx"}:
        assert uses
    elif path.name != "libkvp.pxd":  # declares what they call
        assert not uses


@each([path for path in ALL_FILES if path.suffix in SOURCE_SUFFIXES and "third_party" not in path.parts])
def test_no_file_is_longer_than_500_lines(path):
    assert len(path.read_text().splitlines()) <= 500


def classes_in(path):
    text = path.read_text()
    if path.suffix == ".pyx":
        return re.findall(r"^(?:cdef )?class (\w+)", text, flags=re.MULTILINE)
    return [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]


@each([path for path in PYTHON + PYX if classes_in(path)])
def test_a_file_has_one_class(path):
    public = [name for name in classes_in(path) if not name.startswith("_")]
    if path.name in SEVERAL_CLASSES:
        assert len(public) > 1, "it has one class by now: take it off the list"
    else:
        assert len(public) <= 1


@each(PYX)
def test_a_cython_module_has_its_stub_and_its_declarations(path):
    assert path.with_suffix(".pyi").is_file()
    if re.search(r"^cdef class ", path.read_text(), flags=re.MULTILINE):
        assert path.with_suffix(".pxd").is_file()


def list_comprehensions_in(code):
    """Yield each comprehension of a list, also within ``tuple(... for ...)``; not other generators."""
    for match in re.finditer(r"\S for \w[\w, ]* in ", code):
        depth, i = 0, match.start()
        while i >= 0 and not (depth == 0 and code[i] in "[({"):
            depth += (code[i] in "])}") - (code[i] in "[({")
            i -= 1
        if i >= 0 and (code[i] == "[" or re.search(r"\b(tuple|list|sorted)$", code[:i])):
            yield code[i : match.end()]


@each(PYX)
def test_compiled_code_builds_its_lists_in_loops(path):
    """Where a list cannot grow, Cython 3.3 gives the item of a comprehension back twice."""
    code = re.sub(r'"""(?:.|\n)*?"""|#.*', "", path.read_text())
    assert list(list_comprehensions_in(code)) == []


def bases_in_the_core():
    """The classes from which others of the core are derived."""
    found = (re.findall(r"^cdef class \w+\((\w+)\)", path.read_text(), flags=re.MULTILINE) for path in PYX)
    return {base for bases in found for base in bases}


def except_clauses_of(text):
    """The bodies of the except clauses of a Cython module, as stripped lines."""
    lines = [re.sub(r" *#.*", "", line) for line in text.splitlines()]
    lines = [line for line in lines if line.strip()]
    for number, line in enumerate(lines):
        if match := re.match(r"( *)except\b.*:$", line):
            rest = lines[number + 1 :]
            end = next((i for i, each in enumerate(rest) if not each.startswith(match[1] + " ")), len(rest))
            yield [each.strip() for each in rest[:end]]


@each([path for path in PYX if path.name != "arrays.pyx"])  # which has one that runs when it is imported
def test_an_except_clause_of_cython_raises_or_does_nothing(path):
    """One that goes on gives back the error's traceback, and crashes where there was no memory to make one."""
    for body in except_clauses_of(path.read_text()):
        assert body == ["pass"] or any(line.startswith("raise") for line in body[-3:])


@each([path for path in PYX if classes_in(path)])
def test_cython_classes_are_final_unless_others_are_derived_from_them(path):
    """So that a call of a method is a call of a C function."""
    for match in re.finditer(r"^((?:@.*\n)*)cdef class (\w+)", path.read_text(), flags=re.MULTILINE):
        is_final = re.search(r"@(cython\.)?final\b", match[1]) is not None
        assert is_final == (match[2] not in bases_in_the_core()), match[2]


def imports_of(path):
    """The parts of kvpool that a module imports or cimports when it is loaded."""
    if path.suffix != ".py":
        return set(re.findall(r"^(?:from|c?import) kvpool\.(\w+)", path.read_text(), flags=re.MULTILINE))
    names = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    parts = [name.split(".")[1] for name in names if name.startswith("kvpool.")]
    return {part if part in PARTS else "__init__" for part in parts}


@each(PYTHON + PYX + sorted(CORE.glob("*.pxd")))
def test_packages_do_not_import_upwards(path):
    own = layer_of(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), PYTHON_LAYERS)
    for imported in imports_of(path):
        assert layer_of(imported, PYTHON_LAYERS) <= own, f"{path.name} imports kvpool.{imported}"


def test_every_folder_of_tests_has_its_package():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert folders - packages - set(TESTS_WITHOUT_A_PACKAGE) == set()


def test_every_package_has_its_tests():
    packages = {path.name for path in PACKAGE.iterdir() if any(path.glob("*.py")) and path.name != "__pycache__"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    tested_elsewhere = {
        "_core": "core, hashing",
        "testing": "model",
        "types": "core: what the pool returns",
    }
    assert packages - folders - set(tested_elsewhere) == set()
