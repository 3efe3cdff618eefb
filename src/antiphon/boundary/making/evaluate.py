"""How good a predictor is on marked texts, and what its errors would cost in a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.making.judge import Judgement, Speed, judge, judge_marked, speed
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.replay import Toll, WrongWord, at_threshold, replay, replayed, toll, worst
from antiphon.boundary.making.scores import Counts, Figures, Interval, compare, figures, intervals, total
from antiphon.trace import Author

_AT_ONCE = 64  # whole texts
THRESHOLDS = tuple(n / 20 for n in range(2, 19))


@dataclass(frozen=True, slots=True)
class Part:
    """How well some texts were judged in one way: counts, figures and their intervals over problems."""

    counts: Counts
    figures: Figures
    intervals: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Quality:
    """How well some texts were judged.

    Attributes:
        texts, problems: how many.
        online: word by word, on the words that have their look-ahead in the text: what a run gets.
        whole: the text in one piece, to its last word.
    """

    texts: int
    problems: int
    online: Part
    whole: Part


class AtThreshold(NamedTuple):
    """The online figures and the toll if a word were style from this probability of style on."""

    threshold: float
    figures: Figures
    toll: Toll


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that is told of a predictor.

    Attributes:
        together: on all texts; `by_domain` and `by_model`: on those of each.
        toll: from replaying each text as a run would cut it; `worst`: its worst words.
        curve: the online figures at each of `THRESHOLDS`, if they were asked for.
        speed: words a second, where it was measured.
    """

    together: Quality
    by_domain: Mapping[str, Quality]
    by_model: Mapping[str, Quality]
    toll: Toll
    worst: tuple[WrongWord, ...]
    curve: tuple[AtThreshold, ...]
    speed: Speed | None


async def evaluate(
    predictor: BoundaryPredictor,
    marked: Sequence[MarkedText],
    *,
    curve: bool = False,
    done: Callable[[], None] = lambda: None,
) -> tuple[Evaluation, list[Judgement]]:
    """Judges marked texts and sums up (`judge_marked`, `summary`); gives the judgements, too.

    Raises:
        PredictorError: the predictor breaks its contract.
    """
    judgements = await judge_marked(predictor, marked, done=done)
    return summary(judgements, curve=curve, speed=await speed(predictor, (item.text for item in marked))), judgements


async def rehearse(
    predictor: BoundaryPredictor, texts: Sequence[str], *, done: Callable[[], None] = lambda: None
) -> Toll:
    """Replays whole texts of which nobody said what is style: how much would be thrown away.

    Args:
        done: called twice for each text.

    Raises:
        PredictorError: the predictor breaks its contract.
    """
    tolls = []
    for start in range(0, len(texts), _AT_ONCE):  # whole traces have many words, whose verdicts need not stay
        some = texts[start : start + _AT_ONCE]
        student = await judge(predictor, [(text, Author.STUDENT) for text in some], by_word=True, done=done)
        teacher = await judge(predictor, [(text, Author.TEACHER) for text in some], by_word=True, done=done)
        both = zip(student, teacher, strict=True)
        tolls.append(toll((replay(one.verdicts, other.verdicts, predictor.lookahead), ()) for one, other in both))
    return Toll(*map(sum, zip(*tolls, strict=True)))


def summary(judgements: Sequence[Judgement], *, curve: bool = False, speed: Speed | None = None) -> Evaluation:
    """Sums up judgements, which may be of several predictors (the folds of a cross-validation).

    Args:
        curve: try all `THRESHOLDS`.
        speed: put into the result.
    """
    by_domain: dict[str, list[Judgement]] = defaultdict(list)
    by_model: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_domain[judgement.marked.domain].append(judgement)
        by_model[judgement.marked.model].append(judgement)
    return Evaluation(
        together=_quality(judgements),
        by_domain={name: _quality(some) for name, some in sorted(by_domain.items())},
        by_model={name: _quality(some) for name, some in sorted(by_model.items())},
        toll=_toll(judgements, 0.5),
        worst=tuple(worst(judgements)),
        curve=tuple(_at_threshold(judgements, threshold) for threshold in THRESHOLDS) if curve else (),
        speed=speed,
    )


def _quality(judgements: Sequence[Judgement]) -> Quality:
    return Quality(
        texts=len(judgements),
        problems=len({judgement.marked.problem_key for judgement in judgements}),
        online=_part((j.marked.problem_key, _online(j, 0.5)) for j in judgements),
        whole=_part((j.marked.problem_key, _compared(j, [v.style for v in j.whole.verdicts])) for j in judgements),
    )


def _part(counted: Iterable[tuple[str, Counts]]) -> Part:
    by_problem: dict[str, list[Counts]] = defaultdict(list)
    for problem, counts in counted:
        by_problem[problem].append(counts)
    problems = {problem: total(counts) for problem, counts in by_problem.items()}
    together = total(problems.values())
    return Part(together, figures(together), intervals(problems))


def _at_threshold(judgements: Sequence[Judgement], threshold: float) -> AtThreshold:
    counts = total(_online(judgement, threshold) for judgement in judgements)
    return AtThreshold(threshold, figures(counts), _toll(judgements, threshold))


def _toll(judgements: Iterable[Judgement], threshold: float) -> Toll:
    return toll((replayed(judgement, threshold), judgement.marked.classes) for judgement in judgements)


def _online(judgement: Judgement, threshold: float) -> Counts:
    verdicts, due = judgement.online
    return _compared(judgement, [verdict.style for verdict in at_threshold(verdicts[:due], threshold)])


def _compared(judgement: Judgement, given: Sequence[bool]) -> Counts:
    return compare(given, judgement.marked.classes[: len(given)])
