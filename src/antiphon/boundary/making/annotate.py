"""Annotation: many slices marked by a model, each outcome durable at once."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import antiphon.boundary
from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.making.align import Cause, Unusable, align
from antiphon.boundary.making.annotator import Annotator
from antiphon.boundary.making.corpus import Corpus
from antiphon.boundary.making.forms import Style, spans_of
from antiphon.boundary.making.journal import Journal, Outcome
from antiphon.boundary.making.judge import judge
from antiphon.boundary.making.marked import MarkedText, write_marked
from antiphon.boundary.making.prompt import ask
from antiphon.engine.base import Reply
from antiphon.errors import EngineUnavailable, RequestRefused
from antiphon.settings import Settings
from antiphon.synth.crew import Crew
from antiphon.synth.outage import Outage
from antiphon.synth.spend import LimitReached, Prices, Spend
from antiphon.trace import Author, Usage, estimated_tokens

JOURNAL = "annotations.journal"
TRAIN, TEST = "train", "test"
"""Names of the files with marks, which end in .jsonl, or in .txt for people."""

_PLAIN = 3  # words of style by the general rules: such a text surely has some


class Estimate(NamedTuple):
    """What asking for marks will take, about: tokens of prompts and tokens of replies without any thinking; what that
    costs where there are prices."""

    prompt: int
    written: int
    cost: float | None


class Annotation:
    """The marking of a corpus by a model.

    What the journal has is not asked again. Every outcome is on the disk before the next one is counted, so that the
    process may be killed at any time; a later annotation with the same journal goes on.

    Args:
        corpus: what is to be marked.
        journal: open.
        proposals: marks by slice, which the model is shown as a proposal.
        retry: ask again for slices whose replies could not be used.

    Attributes:
        pending: slices that are to be asked for; fewer and fewer.
        planned: how many these were at first.
        done: outcomes of this session.
        usage: what this session has cost.
        silent: whether the model does not answer and is being waited for.
        spend: what all sessions have cost, and which limit stopped this one.
    """

    def __init__(
        self,
        corpus: Corpus,
        journal: Journal,
        settings: Settings,
        *,
        proposals: Mapping[str, Style] | None = None,
        retry: bool = False,
    ):
        self._journal = journal
        self._settings = settings
        self._proposals = proposals or {}
        self._sides = {item.problem_key: item.problem_key in corpus.tests for item in corpus.slices}
        # A problem stays on the side on which the first of its slices was put.
        self._sides |= {outcome.slice.problem_key: outcome.test for outcome in journal.outcomes.values()}
        before = {id for id, outcome in journal.outcomes.items() if outcome.cause is None or not retry}
        self.pending = deque(item for item in corpus.slices if item.id not in before)
        self.planned = len(self.pending)
        self.done = 0
        self.silent = False
        self._session = {Author.TEACHER: Usage()}
        earlier = {Author.TEACHER: journal.spent}
        self.spend = Spend(settings, began=time.monotonic(), session=self._session, earlier=earlier)
        self._general = antiphon.boundary.load("general")
        self._crew = Crew()

    @property
    def usage(self) -> Usage:
        """What this session has cost."""
        return self._session[Author.TEACHER]

    def estimate(self) -> Estimate:
        """What the slices that are to be asked for will take."""
        prompt = written = 0
        for item in self.pending:
            asked = ask(item.text, self._proposals.get(item.id, ()))
            prompt += estimated_tokens(sum(len(message["content"]) for message in asked))
            written += estimated_tokens(len(item.text) * 5 // 4)
        prices = Prices.of(self._settings.teacher)
        cost = None if prices is None else prices.cost(Usage(received=written, prompt=prompt))
        return Estimate(prompt, written, cost)

    async def work(
        self,
        annotator: Annotator,
        *,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
        on_silence: Callable[[str], None] = lambda error: None,
    ) -> None:
        """Asks for all that is pending, or until a limit on spending is reached (`spend.stopped`).

        Args:
            on_outcome: called with each outcome once it is durable.
            on_silence: called when the model does not answer, before it is waited for.

        Raises:
            EngineUnavailable: the model was silent too long; what it had not replied to stays pending.
            StoreFull: the journal cannot be written.
        """
        outage = Outage([annotator.engine], self._settings.outage)
        workers = min(self._settings.concurrency, len(self.pending), annotator.slots or len(self.pending))
        await self._crew.work(lambda: self._worker(annotator, outage, on_outcome, on_silence), workers)

    def stop(self) -> None:
        """Stops soon, from any thread; what was not replied to stays pending."""
        self._crew.stop()

    async def _worker(
        self,
        annotator: Annotator,
        outage: Outage,
        on_outcome: Callable[[Outcome], None],
        on_silence: Callable[[str], None],
    ) -> None:
        with contextlib.suppress(LimitReached):
            while self.pending:
                await outage.clear()
                self.spend.check()
                item = self.pending.popleft()
                try:
                    outcome = await self._asked(annotator, item)
                except EngineUnavailable as error:
                    self.pending.appendleft(item)
                    if not self.silent:
                        self.silent = True
                        on_silence(str(error))
                    await outage.reported(error)
                    self.silent = False
                    continue
                except BaseException:
                    self.pending.appendleft(item)
                    raise
                self._journal.add(outcome)
                self.done += 1
                on_outcome(outcome)

    async def _asked(self, annotator: Annotator, item: MarkedText) -> Outcome:
        """What becomes of one slice."""
        test, began = self._sides[item.problem_key], time.monotonic()
        try:
            reply = await annotator.reply(ask(item.text, self._proposals.get(item.id, ())))
        except RequestRefused as error:
            return Outcome(item, test, annotator.name, Cause.SERVER, str(error))
        seconds = time.monotonic() - began
        usage = Usage(reply.requests, reply.received, reply.kept, reply.cached, seconds, reply.prompt, reply.told)
        self._session[Author.TEACHER] += usage
        outcome = Outcome(item, test, annotator.name, reply=reply.answer, usage=usage)
        try:
            style = align(item.text, reply.answer)
            if not style and sum(await self._general_classes(item)) >= _PLAIN:
                raise Unusable(Cause.UNMARKED)
        except Unusable as unusable:
            cause, detail = _why(unusable.cause, reply)
            return replace(outcome, cause=cause, detail=detail)
        return replace(outcome, slice=replace(item, style=style))

    async def _general_classes(self, item: MarkedText) -> list[bool]:
        (judged,) = await judge(self._general, [(item.text, Author.STUDENT)], by_word=False)
        return [verdict.style for verdict in judged.verdicts]


def _why(cause: Cause, reply: Reply) -> tuple[Cause, str]:
    """What the end of a reply adds to the cause."""
    if reply.finish == "length":
        return Cause.HALF, f"cut off after {reply.kept} tokens (budget.answer)"
    if reply.finish not in ("", "stop"):
        return Cause.REFUSAL, f"the server ended it with {reply.finish!r}"
    return cause, ""


async def premarked(predictor: BoundaryPredictor, slices: Iterable[MarkedText]) -> dict[str, Style]:
    """The marks that a predictor makes, by slice."""
    slices = list(slices)
    texts = [(item.text, item.author or Author.STUDENT) for item in slices]
    judged = await judge(predictor, texts, by_word=False)
    return {
        item.id: spans_of(item.text, (verdict.style for verdict in found.verdicts))
        for item, found in zip(slices, judged, strict=True)
    }


class Written(NamedTuple):
    """How many marked texts stand in each file."""

    train: int
    test: int


def write_data(folder: Path, outcomes: Iterable[Outcome]) -> Written:
    """Writes the marked slices to `train.jsonl` and `test.jsonl`, each with who marked it.

    Raises:
        UsageError: a file cannot be written.
    """
    sides: tuple[list[MarkedText], list[MarkedText]] = ([], [])
    for outcome in sorted(outcomes, key=lambda outcome: outcome.slice.id):
        if outcome.cause is None:
            marked = outcome.slice
            sides[outcome.test].append(replace(marked, fields={**marked.fields, "annotator": outcome.annotator}))
    for name, side in zip((TRAIN, TEST), sides, strict=True):
        if side:
            write_marked(folder / f"{name}.jsonl", side)
    return Written(len(sides[False]), len(sides[True]))


def refused(outcomes: Iterable[Outcome]) -> dict[Cause, list[Outcome]]:
    """The outcomes without marks by their cause, the most frequent first."""
    found = [outcome for outcome in outcomes if outcome.cause is not None]
    counts = Counter(outcome.cause for outcome in found)
    return {cause: [o for o in found if o.cause is cause] for cause, _ in counts.most_common() if cause is not None}
