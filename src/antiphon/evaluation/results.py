"""What each sample of an evaluation came to, read from its run directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from antiphon.errors import StoreUnfit, UsageError
from antiphon.problem import Problem
from antiphon.store import Reader, Variant
from antiphon.trace import Author, IdsFrom, Key, Kind, Status, Trace
from antiphon.verify.result import Result, result_of


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        result: what it came to.
        status: how its trace ended.
        thinking, answer: their lengths in the model's tokens; `exact` False: estimated, as its server tells no ids.
        judge: the verifier of its verdict and that one's version, "" where there is none.
        detail: the verdict's, else the trace's cause.
    """

    key: Key
    result: Result
    status: Status | None
    thinking: int
    answer: int
    exact: bool
    judge: str = ""
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

    @property
    def judges(self) -> list[str]:
        """Whose verdicts the samples have: verifiers with their versions."""
        return sorted({sample.judge for sample in self.samples if sample.judge})

    def by_problem(self) -> dict[str, list[Sample]]:
        """The samples that count, by problem; problems without any are left out."""
        found: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            if sample.result.counts:
                found[sample.key.problem].append(sample)
        return {id: found[id] for id in self.problems if id in found}


def locate(place: str | Path, variant: str | None = None) -> tuple[Path, str]:
    """A run directory and one of its variants.

    Args:
        place: the directory, or DIRECTORY/VARIANT.
        variant: may be left out where there is only one.

    Raises:
        StoreUnfit: it is no run directory.
        UsageError: there is no such variant, or several and none is named.
    """
    directory, named = _parted(Path(place))
    with Reader(directory) as reader:
        there = [one.name for one in reader.variants()]
    variant = variant or named or (there[0] if len(there) == 1 else None)
    if variant is None:
        raise UsageError(f"{directory} holds {_several(there)}; name one, as in {directory}/NAME")
    if variant not in there:
        raise UsageError(f"{directory} has no variant {variant!r}; it holds {_several(there)}")
    return directory, variant


def _parted(place: Path) -> tuple[Path, str | None]:
    """A directory, and the variant's name where the place has one."""
    try:
        Reader(place).close()
    except StoreUnfit:
        try:
            Reader(place.parent).close()
        except StoreUnfit:
            pass
        else:
            return place.parent, place.name
        raise
    return place, None


def read(
    directory: Path,
    variant: str,
    *,
    keys: Collection[Key] | None = None,
    verifiers: Collection[str] | None = None,
) -> Evaluation:
    """What the samples of a variant came to, each by its newest verdict. Any run with verdicts can be read so.

    Args:
        keys: only these traces.
        verifiers: only verdicts of verifiers with these names.

    Raises:
        StoreUnfit, UsageError: it is no run directory, or has no such variant.
    """
    with Reader(directory) as reader:
        variants = {one.name: one for one in reader.variants()}
        wanted = None if keys is None else frozenset(keys)
        traces = reader.traces(variant=variant)
        samples = {trace.key: _sample(trace, verifiers) for trace in traces if wanted is None or trace.key in wanted}
        ids = {key.problem for key in samples}
        problems = {problem.id: problem for problem in reader.problems() if problem.id in ids}
    place_of = {id: number for number, id in enumerate(problems)}
    ordered = sorted(samples.values(), key=lambda sample: (place_of[sample.key.problem], sample.key.sample))
    return Evaluation(directory, variants[variant], problems, ordered)


def _several(variants: Collection[str]) -> str:
    return f"the variants {', '.join(variants)}" if variants else "no variant"


def _sample(trace: Trace, verifiers: Collection[str] | None) -> Sample:
    counted = [verdict for verdict in trace.verdicts if verifiers is None or verdict.verifier in verifiers]
    verdict = counted[-1] if counted else None
    thinking = [span for span in trace.spans if span.kind not in (Kind.ANSWER, Kind.MARKER)]
    answer = [span for span in trace.spans if span.kind is Kind.ANSWER]
    return Sample(
        trace.key,
        result_of(trace.status, None if verdict is None else verdict.label),
        trace.status,
        sum(span.tokens for span in thinking),
        sum(span.tokens for span in answer),
        all(span.ids_from is not IdsFrom.NONE for span in (*thinking, *answer)),
        "" if verdict is None else f"{verdict.verifier} {verdict.version}",
        trace.cause if verdict is None else verdict.detail,
    )
