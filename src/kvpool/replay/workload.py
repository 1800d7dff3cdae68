"""A seeded workload for those who have no trace at hand."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

import numpy as np

from kvpool import sequence_hashes
from kvpool.replay.trace import Request, Trace

__all__ = ["WorkloadParameters", "generate_workload"]


@dataclass(frozen=True)
class WorkloadParameters:
    """What a generated workload is made of.

    Attributes
    ----------
    requests, seed : int
    block_size : int
        Tokens.
    rate : float
        Requests a second, on average.
    system_prompts : int
        Different system prompts; sessions choose among them by Zipf's law.
    system_tokens : int
        Length of a system prompt, on average.
    agent_share : float
        Share of the sessions that are agents: a long shared tool description, many short turns, and branches that
        start again from an earlier turn. The others are chats.
    chat_turns, agent_turns : int
        Turns of a session, on average.
    turn_tokens, answer_tokens : int
        User's or tool's tokens of a turn, and answer's, on average.
    think_seconds : float
        Between an answer and a chat's next turn, on average; a tenth of it for an agent.
    """

    requests: int = 4000
    seed: int = 0
    block_size: int = 16
    rate: float = 8.0
    system_prompts: int = 12
    system_tokens: int = 600
    agent_share: float = 0.3
    chat_turns: int = 5
    agent_turns: int = 12
    turn_tokens: int = 120
    answer_tokens: int = 220
    think_seconds: float = 60.0


class _Session:
    """One conversation: the tokens so far, and where an agent may branch off."""

    def __init__(self, dice: random.Random, parameters: WorkloadParameters, prompts: list[list[int]]) -> None:
        self.is_agent = dice.random() < parameters.agent_share
        weights = [1 / (rank + 1) for rank in range(len(prompts))]
        self.tokens = list(dice.choices(prompts, weights)[0])
        self.turns = 1 + int(dice.expovariate(1 / (parameters.agent_turns if self.is_agent else parameters.chat_turns)))
        self.checkpoints = [len(self.tokens)]


def generate_workload(requests: int = 4000, seed: int = 0, parameters: WorkloadParameters | None = None) -> Trace:
    """Generate multi-turn chats and agents over shared system prompts; the same seed gives the same requests.

    Parameters
    ----------
    requests : int, default 4000
    seed : int, default 0
    parameters : WorkloadParameters, optional
        Takes the place of the first two.

    Returns
    -------
    Trace
    """
    p = parameters or WorkloadParameters(requests=requests, seed=seed)
    if p.requests < 1:
        raise ValueError(f"requests = {p.requests} is not at least 1")
    dice = random.Random(p.seed)

    def tokens(mean: float) -> list[int]:
        return [dice.randrange(128_000) for _ in range(1 + int(dice.expovariate(1 / mean)))]

    prompts = [tokens(p.system_tokens) for _ in range(p.system_prompts)]
    turn_rate = p.rate / (1 + (1 - p.agent_share) * p.chat_turns + p.agent_share * p.agent_turns)
    pending: list[tuple[float, int, _Session]] = []  # time, tie, session
    served: list[Request] = []
    next_session = 0.0
    ties = 0
    while len(served) < p.requests:
        if not pending or next_session <= pending[0][0]:
            pending.append((next_session, ties, _Session(dice, p, prompts)))
            next_session += dice.expovariate(turn_rate)
        else:
            time, _, session = pending.pop(0)
            if session.is_agent and dice.random() < 0.2:  # a branch: begin again from an earlier turn
                del session.tokens[dice.choice(session.checkpoints) :]
            session.tokens += tokens(p.turn_tokens)
            hashes = sequence_hashes(np.array(session.tokens, dtype=np.uint32), p.block_size)
            answer = tokens(p.answer_tokens)
            served.append(Request(time, len(session.tokens), len(answer), hashes))
            session.tokens += answer
            session.checkpoints = [at for at in session.checkpoints if at <= len(session.tokens)] + [
                len(session.tokens)
            ]
            session.turns -= 1
            if session.turns > 0:
                pause = p.think_seconds / 10 if session.is_agent else p.think_seconds
                pending.append((time + len(answer) / 30 + dice.expovariate(1 / pause), ties, session))
        ties += 1
        pending.sort(key=lambda entry: entry[:2])
    return Trace("generated workload", p.block_size, served, parameters=asdict(p))
