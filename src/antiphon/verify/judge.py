"""Verdicts for the answers of a run directory: each is judged once, by the verifier that suits its problem."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from antiphon.errors import AntiphonError, ProblemError
from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.tasks import end
from antiphon.trace import Key, Label, Status, Verdict
from antiphon.verify.base import Verifier
from antiphon.verify.checker import place
from antiphon.verify.choose import FIELD, choose
from antiphon.verify.choose import verifiers as chosen

_log = logging.getLogger(__name__)

_REMEMBERED = 1_000  # problems whose own check was tested lately; answers to one problem come close together
_NAMED = 100  # reasons that are kept


class _Reasons:
    """Why something cannot be judged: what is said of many problems is said of the first, with how many more."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[str, int]] = {}

    def add(self, problem: Problem, reason: str, times: int = 1) -> None:
        """This was so often the reason; it may begin with the problem's place."""
        bare = reason.removeprefix(f"{place(problem)}: ")
        first, count = self._found.get(bare, (reason, 0))
        if count or len(self._found) < _NAMED:
            self._found[bare] = first, count + times

    def told(self) -> list[str]:
        """Each of the first hundred, in the order in which they were met."""
        return [first if count == 1 else f"{first} ({count - 1:,} more alike)" for first, count in self._found.values()]

    def __bool__(self) -> bool:
        return bool(self._found)


class Answer(NamedTuple):
    """An answer and what it replies to, as `Judges.check` takes them."""

    problem: Problem
    text: str


Elsewhere = Callable[[Iterable[tuple[Key, Answer]]], AsyncGenerator[tuple[Key, Verdict | str]]]
"""Judges answers in other processes, by what `judging` makes there: verdicts in any order, a text where there is none.
"""


class Judges:
    """Several verifiers as one: each problem is judged by the one that `choose` finds."""

    def __init__(self, verifiers: Sequence[Verifier]):
        self._verifiers = verifiers
        self._tested: OrderedDict[str, asyncio.Task[str | None]] = OrderedDict()

    def of(self, problem: Problem) -> Verifier | None:
        """Who judges the answers to this problem."""
        return choose(problem, self._verifiers)

    def require(self, problems: Sequence[Problem]) -> None:
        """Sees that each of them can be judged here.

        Raises:
            ProblemError: no verifier suits some; says why, each reason once, with file and line of the first.
            UsageError: what is needed to judge some is missing on this machine.
        """
        unsuited, needed = _Reasons(), dict[int, Verifier]()
        for problem in problems:
            verifier = self.of(problem)
            if verifier is None:
                unsuited.add(problem, _unsuited(problem))
            else:
                needed[id(verifier)] = verifier
        if unsuited:
            raise ProblemError("\n".join(unsuited.told()))
        for verifier in needed.values():
            if hasattr(verifier, "require"):
                verifier.require()

    async def check(self, problem: Problem, answer: str) -> Verdict:
        """The verdict on an answer to a problem that one of the verifiers suits. A verifier that breaks its contract
        costs that verdict alone: `CANNOT_JUDGE`.

        Raises:
            UsageError: what is needed to judge is missing on this machine.
        """
        verifier = self.of(problem)
        assert verifier is not None, f"{problem.id} was to be looked at before"
        began = time.monotonic()
        try:
            fault = await self._fault(verifier, problem)
            if fault is None:
                return await verifier.check(problem, answer)
        except AntiphonError:
            raise
        except Exception as error:
            _log.exception("the verifier %s failed at %s", verifier.name, place(problem))
            fault = f"{place(problem)}: unexpected {type(error).__name__}: {error}"
        return Verdict(verifier.name, verifier.version, Label.CANNOT_JUDGE, fault, time.monotonic() - began)

    async def _fault(self, verifier: Verifier, problem: Problem) -> str | None:
        """What is wrong with the problem's own check, None where nothing is known to be."""
        if not hasattr(verifier, "canonical"):
            return None
        test = self._tested.get(problem.id)
        if test is None:
            test = self._tested[problem.id] = asyncio.create_task(_tested(verifier, problem))
            if len(self._tested) > _REMEMBERED:
                self._tested.popitem(last=False)
        return await test


async def judging(specs: Iterable[str], *, unsafe: bool) -> Callable[[Answer], Awaitable[Verdict]]:
    """What judges answers in a process that has one core to itself.

    Args:
        specs, unsafe: as of `antiphon.verify.choose.verifiers`, whose errors are raised, too.
    """
    judges = Judges(chosen(specs, unsafe=unsafe, jobs=1))

    async def check(answer: Answer) -> Verdict:
        return await judges.check(*answer)

    return check


async def _tested(verifier: Verifier, problem: Problem) -> str | None:
    answer: str | None = await verifier.canonical(problem)  # type: ignore[attr-defined]
    if answer is None:
        return None
    verdict = await verifier.check(problem, answer)
    if verdict.label is Label.RIGHT:
        return None
    if verdict.label is Label.CANNOT_JUDGE:
        return verdict.detail
    return f"{place(problem)}: its check calls its own answer {verdict.label}: {verdict.detail}".removesuffix(": ")


@dataclass(frozen=True, slots=True)
class Judged:
    """What `judge` did.

    Attributes:
        labels: verdicts given, by variant and label.
        before: answers that had their verdict.
        unsuited: answers to problems that no verifier suits.
        reasons: why answers could not be judged, each once, with the place of the first problem and how many more
            answers there are; the first hundred.
        repaired: what an earlier writer of the run directory left torn, if anything.
    """

    labels: Mapping[str, Mapping[Label, int]] = field(default_factory=dict)
    before: int = 0
    unsuited: int = 0
    reasons: tuple[str, ...] = ()
    repaired: str | None = None

    @property
    def given(self) -> int:
        """How many verdicts were given."""
        return sum(sum(counts.values()) for counts in self.labels.values())

    @property
    def cannot_judge(self) -> int:
        """How many answers have no verdict that says anything of them."""
        return self.unsuited + sum(counts.get(Label.CANNOT_JUDGE, 0) for counts in self.labels.values())


async def judge(
    directory: Path,
    verifiers: Sequence[Verifier],
    *,
    variant: str | None = None,
    statuses: Collection[Status] = (Status.COMPLETE,),
    again: bool = False,
    limit: int | None = None,
    jobs: int = 1,
    elsewhere: Elsewhere | None = None,
    on_verdict: Callable[[Key, Verdict], None] = lambda key, verdict: None,
    on_known: Callable[[Key, Verdict], None] = lambda key, verdict: None,
) -> Judged:
    """Judges the answers in a run directory that have no verdict yet of their verifier in its version.

    Traces that ended otherwise than `statuses` have no verdict: how they ended says that they gave no whole answer.
    What could not be judged before is tried again, since that was not the answer's fault. Verdicts are in the
    directory within a tenth of a second; whatever ends this, the next call goes on from there.

    Args:
        variant: only this one.
        again: judge also what has its verdict; the new one takes the old one's place.
        limit: at most so many answers.
        jobs: how many are judged at once, as far as the verifiers do.
        elsewhere: judges in the place of `verifiers`, by which it is then only told who judges what.
        on_verdict: told of each verdict that is given.
        on_known: told of each that was there, and stays.

    Raises:
        StoreUnfit: it is no run directory.
        StoreBusy: somebody writes it.
        UsageError: there is no such variant; or what is needed to judge is missing on this machine.
    """
    with Reader(directory) as reader, Store.open(directory) as store:
        work = _Judging(reader, store, Judges(verifiers), again, on_verdict, on_known)
        unjudged = islice(work.unjudged(frozenset(statuses), variant), limit)
        if elsewhere is not None:
            await work.elsewhere(unjudged, elsewhere)
        else:
            tasks = [asyncio.create_task(work.here(unjudged)) for _ in range(max(1, jobs))]
            try:
                await asyncio.gather(*tasks)
            finally:
                await end(tasks)
        await store.flush()
        return Judged(work.labels, work.before, work.unsuited, tuple(work.reasons.told()), store.repaired)


class _Judging:
    """One call of `judge`."""

    def __init__(
        self,
        reader: Reader,
        store: Store,
        judges: Judges,
        again: bool,
        on_verdict: Callable[[Key, Verdict], None],
        on_known: Callable[[Key, Verdict], None],
    ):
        self._reader, self._store, self._judges, self._again = reader, store, judges, again
        self._on_verdict, self._on_known = on_verdict, on_known
        self.labels: dict[str, Counter[Label]] = {}
        self.before = self.unsuited = 0
        self.reasons = _Reasons()

    def unjudged(self, statuses: Collection[Status], variant: str | None) -> Iterator[tuple[Problem, Key]]:
        """The answers to be judged, those to one problem together."""
        for standings in self._reader.standings(variant=variant):
            ended = [standing for standing in standings if standing.status in statuses]
            if not ended:
                continue
            problem = self._reader.problem(ended[0].key.problem)
            verifier = self._judges.of(problem)
            if verifier is None:
                self.unsuited += len(ended)
                self.reasons.add(problem, _unsuited(problem), len(ended))
                continue
            for standing in ended:
                known = next((v for v in standing.verdicts if _settles(v, verifier)), None)
                if known is None or self._again:
                    yield problem, standing.key
                else:
                    self.before += 1
                    self._on_known(standing.key, known)

    async def here(self, unjudged: Iterator[tuple[Problem, Key]]) -> None:
        """Judges what is left of them; several of these take turns at one iterator."""
        for problem, key in unjudged:
            self._given(key, await self._judges.check(problem, self._reader.answer(key)))
            await asyncio.sleep(0)  # a verifier may never wait, and whoever stops this must be heard

    async def elsewhere(self, unjudged: Iterator[tuple[Problem, Key]], judged: Elsewhere) -> None:
        """Has all of them judged in other processes."""
        answers = ((key, Answer(problem, self._reader.answer(key))) for problem, key in unjudged)
        async with aclosing(judged(answers)) as verdicts:
            async for key, verdict in verdicts:
                self._given(key, self._none(key, verdict) if isinstance(verdict, str) else verdict)

    def _given(self, key: Key, verdict: Verdict) -> None:
        self._store.add_verdicts(key, [verdict])
        self.labels.setdefault(key.variant, Counter())[verdict.label] += 1
        if verdict.label is Label.CANNOT_JUDGE:
            self.reasons.add(self._reader.problem(key.problem), verdict.detail)
        self._on_verdict(key, verdict)

    def _none(self, key: Key, why: str) -> Verdict:
        """The verdict where another process could only say why there is none."""
        problem = self._reader.problem(key.problem)
        verifier = self._judges.of(problem)
        assert verifier is not None
        return Verdict(verifier.name, verifier.version, Label.CANNOT_JUDGE, f"{place(problem)}: {why}", 0.0)


def _settles(verdict: Verdict, verifier: Verifier) -> bool:
    """Whether this verdict is the verifier's last word."""
    same = verdict.verifier == verifier.name and verdict.version == verifier.version
    return same and verdict.label is not Label.CANNOT_JUDGE


def _unsuited(problem: Problem) -> str:
    if isinstance(named := problem.metadata.get(FIELD), str):
        return f"{place(problem)}: it names the verifier {named!r}, which is not among those that were given"
    return f"{place(problem)}: no verifier suits it; its fields are: {', '.join(problem.metadata) or 'none'}"
