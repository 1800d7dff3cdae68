"""Every section of the reference design's page has its counterpart, in the page's order."""

import ast
from pathlib import Path

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


def sections_run():
    """Return the section of each test of the page, in the order of the file."""
    functions = [node for node in ast.parse(PAGE.read_text()).body if isinstance(node, ast.FunctionDef)]
    return [ast.get_docstring(node) for node in functions if node.name.startswith("test_")]


def test_every_section_runs_in_the_order_of_the_page():
    assert list(dict.fromkeys(sections_run())) == SECTIONS
