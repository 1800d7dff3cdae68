"""A serving loop with continuous batching over a block pool, and a real, if tiny, model behind it.

    python examples/serving_loop.py

Requests share prefixes through the pool, are computed in chunks, decode together in one batch, are preempted when
blocks run out and resumed later, are forked for several samples, and speculate. The tokens are those of a loop with
none of this: :func:`generate_alone`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from paged_transformer import PagedTransformer, choose

from kvpool import BlockPool, BlockSequence, NotEnoughBlocksAvailable, SequenceBatch

__all__ = ["Request", "ServingLoop", "generate_alone"]


@dataclass
class Request:
    """A prompt, and how many tokens to generate.

    Attributes
    ----------
    prompt : list of int
    max_tokens : int
    sample : int
        The first token is the one of this rank; the others are the likeliest.
    outputs : list of int
        What was generated.
    """

    prompt: list[int]
    max_tokens: int
    sample: int = 0
    outputs: list[int] = field(default_factory=list)


def generate_alone(model: PagedTransformer, request: Request) -> list[int]:
    """Return what the model generates for a request without a cache: all is computed again for each token."""
    if not model.caches:
        model.attach(BlockPool(model.storage.num_blocks, model.block_size))
    table = np.arange(model.storage.num_blocks, dtype=np.int32)
    tokens = list(request.prompt)
    for step in range(request.max_tokens):
        logits = model.forward(tokens, 0, table)
        tokens.append(choose(logits[-1], request.sample if step == 0 else 0))
    return tokens[len(request.prompt) :]


class ServingLoop:
    """Serves requests until all are done.

    Parameters
    ----------
    model : PagedTransformer
        Whose KV has as many blocks as the pool, which gets them as its memory.
    pool : BlockPool
    max_running : int
        Requests that decode at the same time.
    chunk : int
        Prompt tokens that are computed in one step, for all requests together.
    drafts : int
        Tokens to speculate; 0 decodes all requests with one call on the batch instead.
    """

    def __init__(
        self, model: PagedTransformer, pool: BlockPool, *, max_running: int = 4, chunk: int = 16, drafts: int = 0
    ) -> None:
        model.attach(pool)
        self.model = model
        self.pool = pool
        self.chunk = chunk
        self.drafts = drafts
        self.max_running = max_running
        self.batch = SequenceBatch(pool, max_running, pool.total_blocks)
        self.waiting: list[Request] = []
        self.prefilling: list[BlockSequence] = []
        self.running: list[BlockSequence] = []  # oldest first
        self.preempted: list[BlockSequence] = []
        self.is_short = False  # of blocks, in the last step: who runs goes first
        self.counts: Counter[str] = Counter()

    def serve(self, requests: list[Request]) -> None:
        """Generate the outputs of all requests."""
        self.waiting += requests
        while self.waiting or self.prefilling or self.running or self.preempted:
            self.counts["steps"] += 1
            self._admit()
            self._prefill()
            self.is_short = False
            if self.drafts:
                self._decode_speculatively()
            else:
                self._decode()

    def _admit(self) -> None:
        room = self.max_running - len(self.prefilling) - len(self.running)
        while self.preempted and room > 0 and not self.is_short:
            if not self._resume(self.preempted[0]):
                return
            self.prefilling.append(self.preempted.pop(0))
            room -= 1
        if self.preempted or self.is_short:
            return
        candidates = self.waiting[: max(room, 0)]
        admissions = self.pool.admit(
            [request.prompt for request in candidates],
            lookahead=1,
            owners=candidates,
            commit_on_append=not self.drafts,
        )
        for request, admission in zip(candidates, admissions, strict=True):
            if admission.sequence is not None:
                self.waiting.remove(request)
                self.prefilling.append(admission.sequence)
                self.counts["cached tokens"] += admission.sequence.num_cached_tokens
                self.counts["prompt tokens"] += len(request.prompt)
            elif admission.waits_for is not None:
                self.counts["waits"] += 1

    @staticmethod
    def _resume(sequence: BlockSequence) -> bool:
        """Give a preempted sequence its blocks, with room for a token more: so every turn brings it one further."""
        try:
            sequence.resume()
        except NotEnoughBlocksAvailable:
            return False
        try:
            sequence.reserve(1)
        except NotEnoughBlocksAvailable:
            sequence.preempt()
            return False
        return True

    def _compute(self, sequence: BlockSequence, last: int) -> np.ndarray:
        """Compute the tokens up to `last` and return the logits of the last one."""
        first = min(sequence.num_computed_tokens, last - 1)
        tokens = sequence.tokens[first:last]
        return self.model.forward(tokens, first, sequence.block_table)

    def _prefill(self) -> None:
        budget = self.chunk
        for sequence in list(self.prefilling):
            last = min(sequence.num_tokens, sequence.num_computed_tokens + budget)
            if last == sequence.num_computed_tokens:
                break
            budget -= last - sequence.num_computed_tokens
            logits = self._compute(sequence, last)
            sequence.commit(last)
            if last < sequence.num_tokens:
                break
            self.prefilling.remove(sequence)
            self._start(sequence, logits[-1])

    def _start(self, sequence: BlockSequence, logits: np.ndarray) -> None:
        """All of the prompt is computed: generate the first token."""
        request: Request = sequence.owner
        if not request.outputs:
            for other in [other for other in self.waiting if other.prompt == request.prompt]:
                if len(self.prefilling) + len(self.running) + 1 < self.max_running:
                    self._fork(sequence, other, logits)
        self._generate(sequence, logits)

    def _fork(self, sequence: BlockSequence, other: Request, logits: np.ndarray) -> None:
        """Another request with the same prompt goes on from here."""
        try:
            child, copies = sequence.fork(owner=other)
        except NotEnoughBlocksAvailable:
            return
        self.model.copy_blocks(copies)
        self.counts["forks"] += 1
        self.counts["copied blocks"] += len(copies)
        self.waiting.remove(other)
        self._generate(child, logits)

    def _generate(self, sequence: BlockSequence, logits: np.ndarray) -> None:
        """Append the next token and let the sequence run; it is preempted if there is no block for the token."""
        request: Request = sequence.owner
        token = choose(logits, request.sample if not request.outputs else 0)
        try:
            sequence.append_tokens([token])
        except NotEnoughBlocksAvailable:
            self._preempt(sequence)
            return
        request.outputs.append(token)
        self.running.append(sequence)
        if not self.drafts:
            self.batch.add(sequence)
        self._finish()

    def _preempt(self, sequence: BlockSequence) -> None:
        self.is_short = True
        self.counts["preemptions"] += 1
        sequence.preempt()
        self.preempted.append(sequence)

    def _make_room(self) -> None:
        """Release what is done, or else let the youngest request give way."""
        before = len(self.running)
        self._finish()
        if len(self.running) == before:
            youngest = self.running.pop()
            if not self.drafts:
                self.batch.remove(self.batch.sequences.index(youngest))
            self._preempt(youngest)

    def _decode(self) -> None:
        """One token for each running request, appended in one call."""
        rows = self.batch.sequences
        if not rows:
            return
        tokens = [choose(self._compute(sequence, sequence.num_tokens)[-1]) for sequence in rows]
        refused = self.batch.append(tokens, on_exhausted="report").tolist()
        for row, sequence in enumerate(rows):
            if row not in refused:
                sequence.owner.outputs.append(tokens[row])
        self.counts["refused rows"] += len(refused)
        if refused:
            self._make_room()
        self._finish()

    def _decode_speculatively(self) -> None:
        """Guess some tokens, compute them with the last one, and keep those that are right."""
        for sequence in list(self.running):
            if sequence not in self.running:
                continue  # it gave way to an older one
            request: Request = sequence.owner
            guessed = self._guess(sequence)[: request.max_tokens - len(request.outputs) - 1]
            known = sequence.num_tokens
            try:
                sequence.reserve(len(guessed) + 1)
            except NotEnoughBlocksAvailable:
                self._make_room()
                continue
            sequence.append_tokens(guessed)
            logits = self._compute(sequence, sequence.num_tokens)
            best = [choose(row) for row in logits[-len(guessed) - 1 :]]
            right = 0
            while right < len(guessed) and guessed[right] == best[right]:
                right += 1
            self.model.copy_blocks(sequence.truncate(known + right))
            sequence.commit(known + right)
            sequence.append_tokens([best[right]])
            request.outputs += best[: right + 1]
            self.counts["drafts"] += len(guessed)
            self.counts["accepted drafts"] += right
        self._finish()

    def _guess(self, sequence: BlockSequence) -> list[int]:
        """Return what followed the last token where it stood before."""
        tokens = sequence.tokens.tolist()
        before = [i for i, token in enumerate(tokens[:-1]) if token == tokens[-1]]
        return tokens[before[-1] + 1 :][: self.drafts] if before else []

    def _finish(self) -> None:
        for sequence in list(self.running):
            request: Request = sequence.owner
            if len(request.outputs) >= request.max_tokens:
                self.running.remove(sequence)
                if not self.drafts:
                    self.batch.remove(self.batch.sequences.index(sequence))
                sequence.release()


def main() -> None:
    """Serve a small workload and say what happened."""
    rng = np.random.default_rng(1)
    system = rng.integers(0, PagedTransformer.vocabulary, 40).tolist()
    prompts = [system + rng.integers(0, PagedTransformer.vocabulary, 12).tolist() for _ in range(24)]
    requests = [Request(prompt, 24, sample) for prompt in prompts for sample in range(2)]
    pool = BlockPool(num_blocks=64, block_size=8)
    loop = ServingLoop(PagedTransformer(64, 8), pool, max_running=8, chunk=64)
    start = perf_counter()
    loop.serve(requests)
    seconds = perf_counter() - start
    generated = sum(len(request.outputs) for request in requests)
    print(f"{len(requests)} requests, {generated} tokens in {seconds:.1f} s, {generated / seconds:.0f} tokens/s")
    for name, count in sorted(loop.counts.items()):
        print(f"  {name:<16} {count:>6}")
    print(f"  {'evictions':<16} {pool.status().evictions:>6}")
    alone = PagedTransformer(64, 8)
    assert all(request.outputs == generate_alone(alone, request) for request in requests)
    print("the tokens are those of a loop without cache, batch and preemption")


if __name__ == "__main__":
    main()
