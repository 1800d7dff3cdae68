"""Workloads, one module each: seeded requests, independent of the implementation that serves them."""

from scenarios.agent_tree import AgentTree
from scenarios.cold_request import ColdRequest
from scenarios.decode import Decode
from scenarios.multi_turn_chat import MultiTurnChat
from scenarios.scenario import Scenario
from scenarios.warm_request import WarmRequest

__all__ = ["SCENARIOS", "Scenario"]

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (ColdRequest(), WarmRequest(), MultiTurnChat(), AgentTree(), Decode())
}
