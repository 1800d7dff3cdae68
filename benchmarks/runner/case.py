"""What is measured: one operation at one size, or one scenario."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from scenarios import SCENARIOS

from runner.operations import OPERATIONS

__all__ = ["Case", "cases"]


@dataclass(frozen=True)
class Case:
    """A row of the report."""

    name: str
    pool: int = 0  # blocks; 0 for a scenario, which has its own
    n: int = 0  # blocks a call

    @property
    def unit(self) -> str:
        """What the time is for."""
        return SCENARIOS[self.name].unit if self.name in SCENARIOS else "block"

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON; `Case(**...)` makes it again."""
        return asdict(self)


def cases(operations: list[str], scenarios: list[str], pool: int, batches: list[int], leaves: list[int]) -> list[Case]:
    """Return every case: operations for each batch that fits twice, evictions for each number of leaves, scenarios."""
    found = []
    for name in operations:
        if OPERATIONS[name].by_leaves:
            found += [Case(name, cached, 8) for cached in leaves]
        else:
            found += [Case(name, pool, n) for n in batches if 2 * n <= pool]
    return found + [Case(name) for name in scenarios]
