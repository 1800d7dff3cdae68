"""The order in which cached blocks go."""

from kvpool.policies.candidate import Candidate
from kvpool.policies.candidates import Candidates
from kvpool.policies.eviction_policy import EvictionPolicy
from kvpool.policies.native import EVICTION_POLICIES

__all__ = ["EVICTION_POLICIES", "Candidate", "Candidates", "EvictionPolicy"]
