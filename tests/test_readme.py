"""What README.md says is true: its code runs, its commands are those of the build, the tests it names exist.

Each Python block of the README runs in a namespace of its own; one that follows the comment `<!-- continues -->` goes
on in the namespace of the block before it.
"""

import ast
import re
import shlex
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
RUN = ROOT / ".ci" / "run"

BLOCK = re.compile(
    r"(?P<continues><!-- continues -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
SEPARATORS = {"&&", "||", ";", "|", "&", "(", ")"}


def blocks(language):
    """Return the line, the code and whether it continues, of each block of a language."""
    text = README.read_text()
    return [
        (text.count("\n", 0, match.start("code")) + 1, match["code"], match["continues"] is not None)
        for match in BLOCK.finditer(text)
        if match["language"] == language
    ]


def runs():
    """Return the Python blocks, those that share a namespace in one list."""
    shared = []
    for line, code, continues in blocks("python"):
        if continues:
            shared[-1].append((line, code))
        else:
            shared.append([(line, code)])
    return shared


def commands(script):
    """Return the commands of a shell script, each a tuple of words."""
    found = []
    for line in script.replace("\\\n", " ").splitlines():
        try:
            words = shlex.shlex(line, posix=True, punctuation_chars=True)
            words.whitespace_split = True
            parts = list(words)
        except ValueError:  # a quote that goes on in the next line: no command of the README's
            continue
        found += [tuple(part) for is_end, part in groupby(parts, SEPARATORS.__contains__) if not is_end]
    return found


@pytest.mark.parametrize("shared", runs(), ids=lambda shared: f"line {shared[0][0]}")
def test_python_code_of_the_readme_runs(shared):
    namespace = {"__name__": "readme"}
    for line, code in shared:
        exec(compile("\n" * (line - 1) + code, str(README), "exec"), namespace)


def test_every_block_says_its_language():
    text = README.read_text()
    assert text.count("```") == 2 * len(BLOCK.findall(text))
    assert {match["language"] for match in BLOCK.finditer(text)} == {"python", "sh", "text", "mermaid"}


def test_readme_sets_up_with_two_commands():
    assert [code.strip() for _, code, _ in blocks("sh")] == [
        "pip install '.[cli]' && python -m kvpool replay",
        "pip install '.[test]' && pytest",
    ]


def test_commands_of_the_readme_are_those_that_the_build_runs():
    if not RUN.is_file():
        pytest.skip(".ci/run is not part of this source tree")
    run = commands(RUN.read_text())
    for _, code, _ in blocks("sh"):
        for command in commands(code):
            assert command in run


def test_commands_are_found_in_a_script():
    script = "set -e\n. venv/bin/activate && pip install '.[test]' && pytest  # all\nexec \\\n  true\n"
    assert commands(script) == [
        ("set", "-e"),
        (".", "venv/bin/activate"),
        ("pip", "install", ".[test]"),
        ("pytest",),
        ("exec", "true"),
    ]


def test_readme_maps_every_section_of_the_reference_page_to_its_tests():
    folder = ROOT / "tests" / "reference"
    nodes = [
        node
        for name in ("test_page_coverage.py", "test_reference_page.py")
        for node in ast.parse((folder / name).read_text()).body
    ]
    expected = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SECTIONS":
            expected = {section: [] for section in ast.literal_eval(node.value)}
        elif isinstance(node, ast.FunctionDef) and ast.get_docstring(node) in expected:
            expected[ast.get_docstring(node)].append(node.name)
    table = README.read_text().partition("| section of the page |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines()[2:]]
    assert {section: re.findall(r"`(\w+)`", tests) for section, tests, _ in rows} == expected
    assert all(tests or not_yet for _, tests, not_yet in rows)


def test_every_file_that_the_readme_links_to_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target
