"""How far two annotators agree on the same texts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from antiphon.boundary.lexeme import lexeme
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.scores import Counts, Figures, Interval, compare, figures, intervals, total
from antiphon.boundary.words import words
from antiphon.errors import UsageError

_SHOWN = 20


class Disputed(NamedTuple):
    """A word (without capitals and punctuation) that only one called style: how often the first alone, how often the
    second alone, of how many times it occurs."""

    word: str
    first: int
    second: int
    occurs: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two annotators have in common.

    Attributes:
        texts: how many texts both marked.
        counts: their words and boundaries, the second annotator's held against the first's.
        figures: of all of them; the two F1 figures and kappa are the same whoever is held against whom.
        intervals: of these, from a bootstrap over problems.
        by_domain: the number of texts and the figures of each domain, as the first annotator's file names it.
        only_first, only_second: how many texts only one of them marked.
        differing: the ids under which they marked different texts, which are left out.
        disputed: the words that they differ in most often, at most twenty.
    """

    texts: int
    counts: Counts
    figures: Figures
    intervals: Mapping[str, Interval]
    by_domain: Mapping[str, tuple[int, Figures]]
    only_first: int
    only_second: int
    differing: tuple[str, ...]
    disputed: tuple[Disputed, ...]


def agreement(first: Sequence[MarkedText], second: Sequence[MarkedText]) -> Agreement:
    """Holds the marks of two annotators against each other, on the texts with the same id.

    Raises:
        UsageError: they have no text in common.
    """
    theirs = {item.id: item for item in second}
    pairs = [(item, theirs[item.id]) for item in first if item.id in theirs]
    same = [(one, other) for one, other in pairs if one.text == other.text]
    if not same:
        raise UsageError(
            "the two files have no text in common: "
            + (
                "the ids are the same, the texts differ; give marks of the same slices"
                if pairs
                else "texts are matched by their ids, and none is in both; give marks of the same slices"
            )
        )
    by_problem: dict[str, list[Counts]] = defaultdict(list)
    by_domain: dict[str, list[Counts]] = defaultdict(list)
    for one, other in same:
        counts = compare(other.classes, one.classes)
        by_problem[one.problem_key].append(counts)
        by_domain[one.domain].append(counts)
    problems = {problem: total(counts) for problem, counts in by_problem.items()}
    together = total(problems.values())
    return Agreement(
        texts=len(same),
        counts=together,
        figures=figures(together),
        intervals=intervals(problems),
        by_domain={name: (len(counts), figures(total(counts))) for name, counts in sorted(by_domain.items())},
        only_first=len(first) - len(pairs),
        only_second=len(second) - len(pairs),
        differing=tuple(one.id for one, other in pairs if one.text != other.text),
        disputed=_disputed(same),
    )


def _disputed(pairs: Sequence[tuple[MarkedText, MarkedText]]) -> tuple[Disputed, ...]:
    occurs: Counter[str] = Counter()
    alone: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for one, other in pairs:
        for (start, end), a, b in zip(words(one.text), one.classes, other.classes, strict=True):
            word = one.text[start:end]
            core = lexeme(word).core or word
            occurs[core] += 1
            if a != b:
                alone[b][core] += 1
    most = sorted(alone[False] + alone[True], key=lambda core: (-alone[False][core] - alone[True][core], core))
    return tuple(Disputed(core, alone[False][core], alone[True][core], occurs[core]) for core in most[:_SHOWN])
