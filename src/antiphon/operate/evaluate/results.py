"""What each sample of an evaluation came to, read from its run directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from antiphon.errors import StoreUnfit, UsageError
from antiphon.problem import Problem
from antiphon.store import Reader, Variant
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, Status, Trace, estimated_tokens


class Result(StrEnum):
    """What a sample came to. The first six count; the others say nothing of the model and are left out of all rates.

    `CUT_OFF`: the budget, the context or the guard against loops ended it. `NO_ANSWER`: it ended without an answer, or
    with one in which there is nothing to judge. `TIMED_OUT`, `CRASHED`: the program that it wrote did.
    """

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    CUT_OFF = "cut_off"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    CANNOT_JUDGE = "cannot_judge"
    NOT_JUDGED = "not_judged"
    FAILED = "failed"
    PENDING = "pending"

    @property
    def counts(self) -> bool:
        """Whether it is part of the rates."""
        return self not in _LEFT_OUT


_LEFT_OUT = frozenset({Result.CANNOT_JUDGE, Result.NOT_JUDGED, Result.FAILED, Result.PENDING})
_BY_STATUS = {
    None: Result.PENDING,
    Status.FAILED: Result.FAILED,
    Status.NO_ANSWER: Result.NO_ANSWER,
    Status.TOO_LONG: Result.CUT_OFF,
    Status.CONTEXT_FULL: Result.CUT_OFF,
    Status.REPETITION: Result.CUT_OFF,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: what it came to, how its trace ended, and the lengths of its thinking and answer in the model's
    tokens, estimated where its server tells no ids (`exact` False). `detail` is the verdict's."""

    key: Key
    result: Result
    status: Status | None
    thinking: int
    answer: int
    exact: bool
    detail: str = ""


@dataclass(frozen=True)
class Evaluation:
    """A variant's samples, with their problems by id, in the order of the problems."""

    directory: Path
    variant: Variant
    problems: Mapping[str, Problem]
    samples: Sequence[Sample]

    @property
    def name(self) -> str:
        """What it is called beside others."""
        return f"{self.directory}/{self.variant.name}"

    @property
    def model(self) -> str:
        """The model that wrote the answers."""
        about = self.variant.about
        named = (about[role].get("model") for role in (Author.STUDENT, Author.TEACHER) if role in about)
        return next((str(model) for model in named if model), "unknown model")

    def by_problem(self) -> dict[str, list[Sample]]:
        """The samples that count, by problem; problems without any are left out."""
        found: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            if sample.result.counts:
                found[sample.key.problem].append(sample)
        return {id: found[id] for id in self.problems if id in found}


def read(place: str | Path, *, variant: str | None = None, keys: Collection[Key] | None = None) -> Evaluation:
    """What the samples in a run directory came to. Any run with verdicts can be read so.

    Args:
        place: the directory, or DIRECTORY/VARIANT.
        variant: which of its variants; it may be left out where there is one.
        keys: only these traces.

    Raises:
        StoreUnfit: it is no run directory.
        UsageError: there is no such variant, or several and none is named.
    """
    directory, named = _parted(Path(place))
    variant = variant or named
    with Reader(directory) as reader:
        variants = {one.name: one for one in reader.variants()}
        if variant is None:
            if len(variants) != 1:
                raise UsageError(f"{directory} holds {_several(variants)}; name one, as in {directory}/NAME")
            variant = next(iter(variants))
        wanted = None if keys is None else frozenset(keys)
        traces = reader.traces(variant=variant)
        samples = {trace.key: _sample(trace) for trace in traces if wanted is None or trace.key in wanted}
        ids = {key.problem for key in samples}
        problems = {problem.id: problem for problem in reader.problems() if problem.id in ids}
    place_of = {id: number for number, id in enumerate(problems)}
    ordered = sorted(samples.values(), key=lambda sample: (place_of[sample.key.problem], sample.key.sample))
    return Evaluation(directory, variants[variant], problems, ordered)


def _parted(place: Path) -> tuple[Path, str | None]:
    """A directory, and the variant's name where the place has one."""
    try:
        Reader(place).close()
        return place, None
    except StoreUnfit:
        try:
            Reader(place.parent).close()
        except StoreUnfit:
            pass
        else:
            return place.parent, place.name
        raise


def _several(variants: Collection[str]) -> str:
    return f"the variants {', '.join(variants)}" if variants else "no variant"


def _sample(trace: Trace) -> Sample:
    verdict = trace.verdicts[-1] if trace.verdicts else None
    result = _BY_STATUS.get(trace.status, Result.NOT_JUDGED)
    if verdict is not None and trace.status is Status.COMPLETE:
        result = Result(verdict.label.value)
    thinking = [span for span in trace.spans if span.kind not in (Kind.ANSWER, Kind.MARKER)]
    answer = [span for span in trace.spans if span.kind is Kind.ANSWER]
    return Sample(
        trace.key,
        result,
        trace.status,
        sum(map(_tokens, thinking)),
        sum(map(_tokens, answer)),
        all(span.ids_from is not IdsFrom.NONE for span in (*thinking, *answer)),
        "" if verdict is None else verdict.detail,
    )


def _tokens(span: Span) -> int:
    return estimated_tokens(len(span.text)) if span.ids_from is IdsFrom.NONE else len(span.ids)
