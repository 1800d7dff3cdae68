"""Serves a scenario with an adapter."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns as now
from typing import Any

from peers import Peer
from scenarios import Scenario
from scenarios.steps import Decode, Start, Step

__all__ = ["serve"]


def serve(peer: Peer, scenario: Scenario) -> Callable[[], float]:
    """Prepare, and return what serves one repetition and returns ns a unit."""
    peer.open(scenario.num_blocks)
    _time(peer, scenario.prepare())
    index = 0

    def run() -> float:
        nonlocal index
        index += 1
        return _time(peer, scenario.repetition(index)) / scenario.units()

    return run


def _time(peer: Peer, steps: list[Step]) -> int:
    """Return ns for all steps, without making the prompts."""
    prompts = [peer.prompt(step.token_ids) if isinstance(step, Start) else None for step in steps]
    answers = [step.token_ids.tolist() if isinstance(step, Decode) else None for step in steps]
    start, decode, finish = peer.start, peer.decode, peer.finish
    running: dict[int, Any] = {}
    begin = now()
    for step, prompt, passes in zip(steps, prompts, answers, strict=True):
        if prompt is not None:
            running[step.key] = start(prompt)
        elif passes is not None:
            requests = list(running.values())
            for token_ids in passes:
                decode(requests, token_ids)
        else:
            finish(running.pop(step.key))
    return now() - begin
