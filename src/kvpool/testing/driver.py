"""Random histories, run on the pool and on the model."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kvpool import BlockPool
from kvpool.testing.agreement import MismatchError
from kvpool.testing.generator import Generator, random_quotas
from kvpool.testing.history import History, Operation
from kvpool.testing.model_pool import ModelPool
from kvpool.testing.shrink import shrink
from kvpool.testing.side_by_side import SideBySide
from kvpool.testing.universe import Universe

__all__ = ["Driver", "Failure", "replay"]


@dataclass
class Failure:
    """What went wrong, and how to see it again.

    Attributes
    ----------
    history : History
        Its last operation is the one that failed, unless it was the end of the history.
    message : str
        What differed.
    seed, episode : int
    duplicates : str
    """

    history: History
    message: str
    seed: int
    episode: int
    duplicates: str

    @property
    def command(self) -> str:
        """Command line that does it again."""
        return (
            f"python -m kvpool.testing --seed {self.seed} --duplicates {self.duplicates} "
            f"--first-episode {self.episode} --episodes 1"
        )


class Driver:
    """Makes random histories, and runs them on a pool and on the model side by side.

    Parameters
    ----------
    seed : int
        With the number of the episode and the mode it gives the history, on any machine.
    make_pool, make_model : callable, optional
        Tests pass others, to see that a difference is found.
    observe : callable, optional
        Is shown each operation before it is done.
    """

    def __init__(
        self,
        seed: int,
        *,
        make_pool: Callable[..., Any] = BlockPool,
        make_model: Callable[..., ModelPool] = ModelPool,
        observe: Callable[[Operation], object] | None = None,
    ) -> None:
        self.seed = seed
        self.make_pool = make_pool
        self.make_model = make_model
        self.observe = observe
        self.steps = 0

    def run_episode(self, episode: int, duplicates: str) -> Failure | None:
        """Run one history, of 50 to 800 steps; returns what failed."""
        rng = random.Random(f"{self.seed}/{episode}/{duplicates}")
        num_blocks = rng.randint(1, 24) if rng.random() < 0.93 else rng.randint(25, 64)
        universe = Universe(rng, rng.randint(2, 2 * min(num_blocks, 16) + 2))
        history = History(
            num_blocks,
            duplicates,
            rng.choice((4096, 4096, 4096, 0, 5)),
            universe.hashes,
            namespaces=random_quotas(rng, num_blocks),
        )
        length = rng.choice((50, 200, 400, 800))
        side = SideBySide(history, self.make_pool, self.make_model)
        generator = Generator(rng, universe, side)
        try:
            while side.steps < length:
                operation = generator.next()
                if self.observe is not None:
                    self.observe(operation)
                history.operations.append(operation)
                side.step(operation)
            side.finish()
        except Exception as error:
            return Failure(history, describe(error, side.steps), self.seed, episode, duplicates)
        finally:
            self.steps += side.steps
        return None

    def find_difference(self, history: History) -> str | None:
        """Run a history; returns what differed, or None."""
        side = SideBySide(history, self.make_pool, self.make_model)
        try:
            for operation in history.operations:
                side.step(operation)
            side.finish()
        except Exception as error:
            return describe(error, side.steps)
        return None

    def shrink(self, failure: Failure) -> Failure:
        """Return the failure with the shortest history found."""
        history = shrink(failure.history, lambda candidate: self.find_difference(candidate) is not None)
        message = self.find_difference(history)
        if message is None:
            message = f"{failure.message} (but not when the history is run again)"
        return Failure(history, message, failure.seed, failure.episode, failure.duplicates)


def replay(history: History) -> None:
    """Run a history; MismatchError if the pool and the model disagree."""
    message = Driver(0).find_difference(history)
    if message is not None:
        raise MismatchError(message)


def describe(error: Exception, step: int) -> str:
    """Return in a line what failed."""
    kind = "" if isinstance(error, MismatchError) else f"{type(error).__name__}: "
    return f"step {step}: {kind}{error}"
