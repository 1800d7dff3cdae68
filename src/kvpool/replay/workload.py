"""A seeded workload for those who have no trace at hand."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from kvpool import sequence_hashes
from kvpool.replay.dice import Dice
from kvpool.replay.trace import Request, Trace

__all__ = ["WorkloadParameters", "generate_workload"]

_PROGRESS_STEP = 64  # requests


@dataclass(frozen=True)
class WorkloadParameters:
    """What a generated workload is made of.

    Sessions begin at random times. A chat goes on from its own answers. So does an agent, but some of its turns begin
    again from an earlier point of the session: its calls of tools form a tree. Numbers of tokens and turns are
    geometrically distributed, times exponentially; what is given is the mean.

    Attributes
    ----------
    requests, seed : int
    block_size : int
        Tokens.
    session_rate : float
        New sessions a second.
    agent_share : float
        Share of the sessions that are agents, in [0, 1]. The others are chats.
    system_prompts, system_tokens : int
        Different system prompts of chats, and their length; chosen by Zipf's law.
    tool_prompts, tool_tokens : int
        Different system prompts of agents, with descriptions of their tools, and their length; chosen by Zipf's law.
    chat_turns, question_tokens, answer_tokens : int
        Turns of a chat, and tokens of one.
    think_seconds : float
        From an answer to the next question.
    agent_turns, result_tokens, call_tokens : int
        Turns of an agent, tokens of what a tool returns, and of what the model answers to it.
    tool_seconds : float
        From a call to its result.
    branch_share : float
        Share of an agent's turns that begin again from an earlier point, in [0, 1].
    decode_rate : float
        Tokens of an answer a second: the next turn comes after the answer.
    """

    requests: int = 4000
    seed: int = 0
    block_size: int = 16
    session_rate: float = 1.0
    agent_share: float = 0.3
    system_prompts: int = 12
    system_tokens: int = 600
    tool_prompts: int = 4
    tool_tokens: int = 2000
    chat_turns: int = 5
    question_tokens: int = 120
    answer_tokens: int = 220
    think_seconds: float = 60.0
    agent_turns: int = 12
    result_tokens: int = 150
    call_tokens: int = 60
    tool_seconds: float = 5.0
    branch_share: float = 0.2
    decode_rate: float = 30.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "seed":
                is_good, bound = value >= 0, "at least 0"
            elif item.name.endswith("_share"):
                is_good, bound = 0 <= value <= 1, "in [0, 1]"
            elif item.name.endswith(("_rate", "_seconds")):
                is_good, bound = 0 < value < math.inf, "a finite number above 0"
            else:
                is_good, bound = value >= 1, "at least 1"
            if not is_good:
                raise ValueError(f"{item.name} = {value} is not {bound}")


@dataclass
class _Session:
    """One conversation: the tokens so far, the turns to come, and where an agent may begin again."""

    is_agent: bool
    tokens: npt.NDArray[np.uint32]
    turns: int
    points: list[int]


def generate_workload(
    requests: int = 4000,
    seed: int = 0,
    parameters: WorkloadParameters | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Trace:
    """Generate multi-turn chats and agents over shared system prompts; the same seed gives the same requests.

    Parameters
    ----------
    requests : int, default 4000
    seed : int, default 0
    parameters : WorkloadParameters, optional
        Takes the place of the first two.
    progress : callable, optional
        Called now and then with the number of requests generated since the last call.

    Returns
    -------
    Trace
    """
    p = parameters or WorkloadParameters(requests=requests, seed=seed)
    dice = Dice(p.seed)
    system_prompts = [dice.tokens(p.system_tokens) for _ in range(p.system_prompts)]
    tool_prompts = [dice.tokens(p.tool_tokens) for _ in range(p.tool_prompts)]
    pending: list[tuple[float, int, _Session]] = []  # time of the next turn, tie, session
    served: list[Request] = []
    next_session = 0.0
    ties = 0
    while len(served) < p.requests:
        ties += 1
        if not pending or next_session <= pending[0][0]:
            is_agent = dice.happens(p.agent_share)
            prompts = tool_prompts if is_agent else system_prompts
            prompt = prompts[dice.rank(len(prompts))]
            session = _Session(is_agent, prompt, dice.count(p.agent_turns if is_agent else p.chat_turns), [len(prompt)])
            heapq.heappush(pending, (next_session, ties, session))
            next_session += dice.seconds(1 / p.session_rate)
            continue
        time, _, session = heapq.heappop(pending)
        request, answer = _take_turn(session, time, dice, p)
        served.append(request)
        if session.turns > 0:
            pause = dice.seconds(p.tool_seconds if session.is_agent else p.think_seconds)
            heapq.heappush(pending, (time + answer / p.decode_rate + pause, ties, session))
        if progress is not None and len(served) % _PROGRESS_STEP == 0:
            progress(_PROGRESS_STEP)
    return Trace("generated workload", p.block_size, served, parameters=asdict(p))


def _take_turn(session: _Session, time: float, dice: Dice, p: WorkloadParameters) -> tuple[Request, int]:
    """Return the request of a session's next turn, and the tokens of its answer, which become part of the session."""
    if session.is_agent and dice.happens(p.branch_share):
        kept = dice.index(len(session.points))
        session.tokens = session.tokens[: session.points[kept]]
        del session.points[kept + 1 :]
    message = dice.tokens(p.result_tokens if session.is_agent else p.question_tokens)
    answer = dice.tokens(p.call_tokens if session.is_agent else p.answer_tokens)
    prompt = np.concatenate([session.tokens, message])
    session.tokens = np.concatenate([prompt, answer])
    session.points.append(len(session.tokens))
    session.turns -= 1
    return Request(time, len(prompt), len(answer), sequence_hashes(prompt, p.block_size)), len(answer)
