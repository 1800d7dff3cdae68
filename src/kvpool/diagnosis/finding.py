"""What is wrong with a pool, or may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["SEVERITIES", "Finding"]

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a pool, or may be.

    Attributes
    ----------
    severity : {"error", "warning", "note"}
        The pool contradicts itself; somebody uses it in a way that will cost blocks or events; worth knowing.
    kind : str
        Which check found it, one of ``FINDING_KINDS``.
    what : str
        A sentence.
    numbers : dict
        What the sentence says, by name.
    """

    severity: Literal["error", "warning", "note"]
    kind: str
    what: str
    numbers: dict[str, int | float | str | None] = field(default_factory=dict, hash=False)

    @property
    def is_grave(self) -> bool:
        """Whether the pool is not healthy: an error, or blocks that may never come back."""
        return self.severity == "error" or self.kind == "leak"

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"severity": self.severity, "kind": self.kind, "what": self.what, "numbers": self.numbers}
