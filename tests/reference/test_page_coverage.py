"""Every section of the reference design's page has its counterpart, in the page's order, or says what is not yet.

What the page shows and kvpool does not have yet is in `NOT_YET`, and a test keeps that table true.
"""

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

import kvpool

PAGE = Path(__file__).with_name("test_reference_page.py")

SECTIONS = [
    "Core Operations / Block Allocation",
    "Core Operations / Block Registration",
    "Core Operations / Block Matching",
    "Pool Configuration / Basic Pool Setup",
    "Pool Configuration / Advanced Pool Configuration",
    "Block Lifecycle Management / 1. Allocation Phase",
    "Block Lifecycle Management / 2. Registration Phase",
    "Block Lifecycle Management / 3. Usage Phase",
    "Block Lifecycle Management / 4. Cleanup Phase",
    "Eviction Strategies / LRU (Least Recently Used)",
    "Eviction Strategies / Priority-Based Eviction",
    "Eviction Strategies / Memory Pressure Eviction",
    "Performance Optimizations / Block Reuse",
    "Performance Optimizations / Memory Efficiency",
    "Performance Optimizations / Async Operations",
    "Error Handling / Allocation Errors",
    "Error Handling / Registration Errors",
    "Monitoring and Metrics / Pool Metrics",
    "Monitoring and Metrics / Performance Metrics",
    "Thread Safety",
    "Advanced Features / Custom Eviction Policies",
    "Advanced Features / Block Prefetching",
    "Advanced Features / Memory Pressure Handling",
    "Best Practices / 1. Efficient Block Usage",
    "Best Practices / 2. Memory Management",
    "Best Practices / 3. Error Recovery",
]


class Missing(NamedTuple):
    """What a section shows that is not there yet, and the names that will be there when it is."""

    reason: str
    names: tuple[str, ...]


NOT_YET = {
    "Block Lifecycle Management / 3. Usage Phase": Missing(
        "the pool knows block ids, not their memory: views come with storage",
        (
            "ImmutableBlock.layer_view",
            "ImmutableBlock.block_view",
            "MutableBlock.layer_view",
            "MutableBlock.block_view",
        ),
    ),
}


def sections_run():
    """Return the section of each test of the page, in the order of the file."""
    functions = [node for node in ast.parse(PAGE.read_text()).body if isinstance(node, ast.FunctionDef)]
    return [ast.get_docstring(node) for node in functions if node.name.startswith("test_")]


def test_every_section_runs_in_the_order_of_the_page():
    assert list(dict.fromkeys(sections_run())) == SECTIONS


def test_what_does_not_run_is_named_as_not_yet():
    assert set(NOT_YET) <= set(SECTIONS)


@pytest.mark.parametrize("name", sorted({name for missing in NOT_YET.values() for name in missing.names}))
def test_what_is_not_yet_is_absent_from_the_public_face(name):
    assert not is_public(name), f"{name} exists: write its test and take it out of NOT_YET"


@pytest.mark.parametrize("name", ["BlockPool", "BlockPool.usage_rate", "BlockPool(event_capacity=)"])
def test_what_is_there_is_found_by_the_same_look(name):
    assert is_public(name)


def is_public(name):
    """Whether the package has `Name`, `Name.attribute` or `Name(keyword=)`."""
    if name.endswith("=)"):
        owner, _, keyword = name[:-2].partition("(")
        try:
            getattr(kvpool, owner)(1, **{keyword: 0})
        except TypeError as error:
            return "unexpected keyword" not in str(error)
        return True
    owner, _, attribute = name.partition(".")
    return hasattr(kvpool, owner) and (not attribute or hasattr(getattr(kvpool, owner), attribute))
