"""Sets of traces side by side: reads each text once, measures it, lets it go, and makes a `Comparison` of the figures.

All tests of one table and one pair of sides are a family: a star stands where a difference is more than chance even so
(Holm). What is 0 on all sides is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import NamedTuple

from antiphon.analyse import record
from antiphon.analyse.contrast import Measure, Measures, Sample, changes, shared, values
from antiphon.analyse.drift import drift
from antiphon.analyse.form import HABITS, LENGTHS, Form, form_of
from antiphon.analyse.likelihood import CURVES, LIKELIHOOD, measures_of
from antiphon.analyse.pilot import pilot
from antiphon.analyse.report import Change, Comparison, Curve, Row, SideAbout, Table
from antiphon.analyse.scores import Kept
from antiphon.analyse.scoring import Scorer
from antiphon.analyse.source import Entry, Side, choose
from antiphon.analyse.text import marked
from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.spec import name_of
from antiphon.plural import many
from antiphon.statistics import holm
from antiphon.store.found import PENDING
from antiphon.trace import Author, Status

MOST = 400
"""Problems of a side whose texts are read, unless told otherwise."""

_AT_ONCE = 16  # texts in memory, unless who scores them wants more
_LEAST = 6  # pairs: of fewer no permutation test comes below 0.05

_Found = list[tuple[str, str, Measures]]


class _Kind(NamedTuple):
    """A table: its name, title, explanation and measures."""

    name: str
    title: str
    about: str
    measures: Sequence[Measure]


OUTCOMES = _Kind(
    "outcomes", "How they came out", "Of all traces that ended; right and wrong of those judged.", record.OUTCOMES
)
LENGTH = _Kind("lengths", "How long", "Of the texts; a word is a maximal run without white space.", LENGTHS)
OWNERSHIP = _Kind(
    "ownership", "Whose words", "Shares of the texts by author and kind, by their own spans.", record.OWNERSHIP
)
COST = _Kind("cost", "What a trace cost", "Of the texts' traces, with their auxiliary calls.", record.COST)
LIKELY = _Kind(
    "likelihood", "How likely", "Minus log-probability (natural) of a token in the mean; low is likely.", LIKELIHOOD
)
HABIT = _Kind("habits", "Habits", "How often what is said, and how it is set; of the thinking unless named.", HABITS)


@dataclass(slots=True)
class _Measured:
    """What was found of the texts of one side."""

    about: SideAbout
    outcomes: _Found
    forms: list[Form] = field(default_factory=list)
    ownership: _Found = field(default_factory=list)
    cost: _Found = field(default_factory=list)
    likelihood: _Found = field(default_factory=list)

    def of(self, kind: _Kind) -> _Found:
        """What a table is made of."""
        if kind in (LENGTH, HABIT):
            return [(form.key, form.problem, form.measures) for form in self.forms]
        found: _Found = getattr(self, kind.name)
        return found


async def compare(
    sides: Sequence[Side],
    *,
    statuses: Collection[Status] = (Status.COMPLETE,),
    most: int = MOST,
    predictor: BoundaryPredictor | None = None,
    scorer: Scorer | Kept | None = None,
    done: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compares sides, each but the first with the first.

    Args:
        sides: what `antiphon.analyse.source.find` gives; one alone is only described.
        statuses: the texts of which traces are read. How traces came out is told of all.
        most: of at most so many problems a side, the same ones where they are shared.
        predictor: marks style in thinking in which nobody told it apart; None: such texts have no style.
        scorer: measures likelihood; None: it is not measured.
        done: called for each text that was read.

    Raises:
        PredictorError, DialectError, RequestRefused, EngineUnavailable, StoreFull: see what raises them.
    """
    if scorer is not None:
        await scorer.require()
    of = [{entry.problem for entry in side.entries if entry.status in statuses} for side in sides]
    in_all = frozenset.intersection(*map(frozenset, of))
    found = [await _measure(side, choose(side, statuses, most, in_all), predictor, scorer, done) for side in sides]
    kinds = (OUTCOMES, LENGTH, OWNERSHIP, COST, *((LIKELY,) if scorer else ()), HABIT)
    tables = tuple(table for kind in kinds if (table := _table(kind, found)).rows)
    return Comparison(
        tuple(one.about for one in found),
        tables,
        tuple(
            drift(found[0].forms, other.forms, (0, number))
            for number, other in enumerate(found[1:], 1)
            if found[0].forms and other.forms
        ),
        tuple(_curves(found)) if scorer else (),
        pilot(sides, tables),
        None if scorer is None else scorer.name,
        predictor.id if predictor is not None and any(one.about.marked for one in found) else None,
        (*_remarks(sides, found, statuses, most, scorer), *_other_marks(found, sides, predictor)),
    )


async def _measure(
    side: Side,
    chosen: Sequence[Entry],
    predictor: BoundaryPredictor | None,
    scorer: Scorer | Kept | None,
    done: Callable[[], None],
) -> _Measured:
    judged = record.is_judged(side.entries)
    made = _Measured(
        _about(side, chosen),
        [(entry.key, entry.problem, record.outcome_of(entry, judged=judged)) for entry in side.entries],
    )
    about = side.variant.about if side.variant else {}
    told = side.texts(chosen)
    number = 0
    while some := list(islice(told, _AT_ONCE if scorer is None else scorer.at_once)):
        for text, trace in some:
            made.ownership.append((text.key, text.problem, record.ownership_of(text, trace)))
            if trace is not None:
                made.cost.append((text.key, text.problem, record.cost_of(trace, about)))
        texts = [text for text, _ in some]
        if predictor is not None:
            texts = await marked(texts, predictor)
            number += sum(text.marked for text in texts)
        made.forms += map(form_of, texts)
        if scorer is not None:
            scores = zip(texts, await scorer.score(texts, done), strict=True)
            made.likelihood += [(text.key, text.problem, measures_of(scored)) for text, scored in scores]
        else:
            for _ in some:
                done()
    made.about = replace(made.about, marked=number)
    return made


def _about(side: Side, chosen: Sequence[Entry]) -> SideAbout:
    read = {entry.key for entry in chosen}
    left_out = Counter(
        entry.status.value if entry.status else PENDING for entry in side.entries if entry.key not in read
    )
    return SideAbout(
        side.name,
        side.place,
        side.variant.name if side.variant else None,
        side.method,
        side.models,
        len({entry.problem for entry in side.entries}),
        len(side.entries),
        len(chosen),
        dict(left_out),
    )


def _table(kind: _Kind, found: Sequence[_Measured]) -> Table:
    samples = [Sample.of(kind.measures, one.of(kind)) for one in found]
    of_sides = [values(sample) for sample in samples]
    kept = [
        column
        for column in range(len(kind.measures))
        if any(value is not None and value.value for value in (side[column] for side in of_sides))
    ]
    held: list[list[Change | None]] = [[None] * len(kind.measures)]
    for number, sample in enumerate(samples[1:], 1):
        made = changes(samples[0], sample, (0, number))
        adjusted = holm([change.p if (change := made[column]) else None for column in kept])
        for column, p in zip(kept, adjusted, strict=True):
            change = made[column]
            made[column] = None if change is None else replace(change, adjusted=p)
        held.append(made)
    rows = (
        Row(
            kind.measures[column].name,
            kind.measures[column].unit,
            tuple(side[column] for side in of_sides),
            tuple(side[column] for side in held),
        )
        for column in kept
    )
    return Table(kind.name, kind.title, kind.about, tuple(rows))


def _curves(found: Sequence[_Measured]) -> Iterator[Curve]:
    for title, measures in CURVES.items():
        of_sides = [values(Sample.of(measures, one.likelihood)) for one in found]
        if any(any(side) for side in of_sides):
            yield Curve(title, tuple(zip(*of_sides, strict=True)))


def _remarks(
    sides: Sequence[Side],
    found: Sequence[_Measured],
    statuses: Collection[Status],
    most: int,
    scorer: Scorer | Kept | None,
) -> Iterator[str]:
    asked = " or ".join(status.value for status in statuses)
    for side, one in zip(sides, found, strict=True):
        about = one.about
        if side.faults:
            yield f"{side.name}: {many(len(side.faults), 'record')} cannot be read; the first: {side.faults[0]}"
        if pending := about.left_out.get(PENDING):
            yield f"{side.name}: {pending:,} of {many(about.traces, 'trace')} not finished yet"
        if not about.texts:
            ended = ", ".join(f"{count} {status}" for status, count in about.left_out.items()) or "nothing"
            yield f"{side.name}: no trace is {asked} ({ended}), so only how they came out is told"
        elif about.problems == 1:
            yield f"{side.name}: one problem only, so nothing can be said of others: no intervals, no tests"
        if len({entry.problem for entry in side.entries if entry.status in statuses}) > most:
            yield f"{side.name}: texts of problems beyond the first {most} were not read; --most N reads more"
    first = {entry.problem for entry in sides[0].entries}
    for side in sides[1:]:
        others = {entry.problem for entry in side.entries}
        both = shared(first, others)
        if not both:
            yield (
                f"{sides[0].name} and {side.name} are about other problems: what differs may be the subject and not the"
                " manner"
            )
        elif len(both) < max(len(first), len(others)):
            yield f"{side.name}: compared with {sides[0].name} on the {many(len(both), 'problem')} that both have"
        few = min(len(both), most)
        if 1 < few < _LEAST:
            yield (
                f"{side.name}: {few} problems to compare are too few for any star: chance alone makes as large a"
                f" difference in 1 of {2 ** (few - 1)} cases at least; take {_LEAST} or more"
            )
    if scorer is not None and scorer.unscored:
        yield f"{many(len(scorer.unscored), 'text')} could not be scored; the first: {scorer.unscored[0]}"
    if scorer is not None and scorer.cut:
        cut = many(scorer.cut, "text")
        yield f"{cut} too long for the context of {scorer.name}: the likelihood is of what goes into it"


def _other_marks(
    found: Sequence[_Measured], sides: Sequence[Side], predictor: BoundaryPredictor | None
) -> Iterator[str]:
    """That style is not told by the same on all sides: by the predictor here, by the run's own boundary there."""
    here = next((one.about.name for one in found if one.about.marked), None)
    if here is None or predictor is None:
        return
    for side in sides:
        for role in (Author.STUDENT, Author.TEACHER):
            facts = side.variant.shaping.get(role) if side.variant else None
            boundary = facts.get("boundary") if isinstance(facts, Mapping) else None
            if boundary not in (None, predictor.id):
                ours, theirs = name_of(predictor.id), name_of(str(boundary))
                alike = f"another state of {theirs}" if theirs == ours else theirs
                yield (
                    f"style of {here} is marked by {ours}, that of {side.name} by its run's boundary, {alike}; give"
                    " --boundary that one to have all marked alike"
                )
                return
