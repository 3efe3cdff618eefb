"""Training data without what a model will be evaluated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from antiphon.errors import ProblemError
from antiphon.export.clean.overlap import Found, Index
from antiphon.export.clean.words import asked, reworded, telling, words
from antiphon.problem import Problem, iterate

if TYPE_CHECKING:
    from antiphon.export.base import Pair
    from antiphon.store import Outcome
    from antiphon.trace import Key

_REFERENCES = ("reference", "solution", "canonical_solution", "answer", "code")
_RUN = 3
"""Words in a run of two problems: short, so that a sentence put in, or a word changed, hides little."""
_RUN_IN_RESPONSE, _LEAST_IN_RESPONSE = 8, 16
"""The same in whole responses, where short runs are found by chance; and how long a text must be to be looked for."""


class Match(NamedTuple):
    """An item of an evaluation set of which at least half is in a training example.

    Attributes:
        file, id: the item.
        part: of the item: its problem, or the field that holds its solution.
        where: in the example: problem or response.
        share: how much of that part was found.
    """

    file: str
    id: str
    part: str
    where: str
    share: float


class Without:
    """Leaves out answers whose problem, or whose own text, holds an item of an evaluation set.

    Compared are words without case, punctuation and numbers: see `Index`. An item's problem is looked for in the
    example's problem and in the response, its solution in the response.

    Args:
        paths: evaluation sets, as `antiphon.problem.load` takes them.

    Raises:
        ProblemError: one cannot be read, or holds a record that is no problem.
    """

    def __init__(self, paths: Iterable[str | Path]):
        self._problems = Index(_RUN)
        self._texts = Index(_RUN_IN_RESPONSE, _LEAST_IN_RESPONSE)
        self._items: list[tuple[str, str]] = []
        self._parts: list[tuple[int, str]] = []  # of `_texts`: which item's, and which field
        self._matches: dict[Key, Match] = {}
        self._looked = 0  # the highest change number among the answers that were looked at
        self._bare: list[tuple[int, str]] = []  # items that say nothing but common words and numbers, word for word
        self._in_problem = lru_cache(1024)(self._look_in_problem)
        for item in iterate(paths):
            if isinstance(item, ProblemError):
                raise ProblemError(f"{item}; an evaluation set is taken whole or not at all")
            self._add(item)

    def _add(self, item: Problem) -> None:
        said = reworded(asked(item))
        self._problems.add(said)
        self._texts.add(said)
        self._parts.append((len(self._items), "problem"))
        plain = words(asked(item))
        if not telling(said, _RUN).any() and len(plain) >= _RUN:
            self._bare.append((len(self._items), _joined(plain)))
        for name in _REFERENCES:
            if isinstance(text := item.metadata.get(name), str):
                self._texts.add(reworded(text))
                self._parts.append((len(self._items), name))
        self._items.append((item.source, item.id))

    def prepare(self, pairs: Iterable[Pair]) -> None:
        """See `Filter.prepare`."""
        for problem, outcome in pairs:
            match = self._look(problem, outcome)
            if match is not None:
                self._matches[outcome.key] = match
            self._looked = max(self._looked, outcome.change)

    def reason(self, problem: Problem, outcome: Outcome) -> str | None:
        """See `Filter.reason`."""
        match = self._match(problem, outcome)
        return None if match is None else f"in {Path(match.file).name}"

    def detail(self, problem: Problem, outcome: Outcome) -> Mapping[str, Any]:
        """See `Cleaner.detail`."""
        match = self._match(problem, outcome)
        return {} if match is None else match._asdict()

    def report(self) -> Mapping[str, Any]:
        """See `Cleaner.report`."""
        items = Counter(file for file, _ in self._items)
        found = {file: {match.id for match in self._matches.values() if match.file == file} for file in items}
        return {
            "without": {file: {"items": items[file], "found": len(found[file])} for file in items},
            "too_short": self._problems.unfit - len(self._bare),
        }

    def _match(self, problem: Problem, outcome: Outcome) -> Match | None:
        if outcome.change <= self._looked:
            return self._matches.get(outcome.key)
        return self._look(problem, outcome)

    def _look_in_problem(self, text: str) -> Found | None:
        found = self._problems.best(reworded(text))
        if found is None and self._bare:
            plain = _joined(words(text))
            found = next((Found(item, 1.0) for item, bare in self._bare if bare in plain), None)
        return found

    def _look(self, problem: Problem, outcome: Outcome) -> Match | None:
        found: Found | None = self._in_problem(asked(problem))
        if found is not None:
            return Match(*self._items[found.text], "problem", "problem", round(found.share, 3))
        found = self._texts.best(reworded(outcome.response or ""))
        if found is None:
            return None
        item, part = self._parts[found.text]
        return Match(*self._items[item], part, "response", round(found.share, 3))


def _joined(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "
