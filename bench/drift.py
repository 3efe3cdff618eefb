"""How real models sound, and how unlike each other: `python -m bench.drift ../shared/data/traces`.

Prints the tables of docs/drift.md: what is typical of each model, all pairs of models, and random halves of one model,
which a test must not tell apart more often than chance lets it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path

import antiphon.boundary
from antiphon.analyse.apart import told_apart
from antiphon.analyse.contrast import Sample, changes, shared, values
from antiphon.analyse.drift import APART, OPENERS, STYLE, TFIDF, drift
from antiphon.analyse.form import HABITS, LENGTHS, Form, form_of
from antiphon.analyse.report import Distance, Drift
from antiphon.analyse.source import choose, find
from antiphon.analyse.text import marked
from antiphon.boundary.base import BoundaryPredictor
from antiphon.statistics import holm
from antiphon.trace import Status

CORPORA = re.compile(r"(code|sql|support|math500|misguided|reasoningflow_[a-z0-9]+)_")
TYPICAL = (
    "words of thinking",
    "words in a sentence",
    "style among the words",
    "says “wait”",
    "says “but”",
    "says “hmm”",
    "says “okay”",
    "says “we”",
    "says “i”",
    "question marks",
)
FEWEST, MANY = 8, 40  # problems: to be a side; to be split into halves
SPLITS = 40


def models(folder: Path) -> dict[str, list[str]]:
    """The files of each model, by what their names say behind the corpus."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        found.setdefault(CORPORA.sub("", path.stem, count=1), []).append(str(path))
    return found


async def forms(paths: Sequence[str], predictor: BoundaryPredictor, most: int) -> list[Form]:
    made = []
    for side in find(paths):
        texts = (text for text, _ in side.texts(choose(side, [Status.COMPLETE], most)) if text.thinking.strip())
        while some := list(islice(texts, 8)):
            made += [form_of(text) for text in await marked(some, predictor)]
    return made


def problems(of: Sequence[Form]) -> set[str]:
    return {form.problem for form in of}


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def typical(sides: Mapping[str, Sequence[Form]]) -> Iterator[str]:
    measures = [measure for measure in (*LENGTHS, *HABITS) if measure.name in TYPICAL]
    measures.sort(key=lambda measure: TYPICAL.index(measure.name))
    yield row("model", "problems", *TYPICAL)
    yield row("---", *["---:"] * (1 + len(TYPICAL)))
    for name, of in sides.items():
        found = values(Sample.of(measures, [(form.key, form.problem, form.measures) for form in of]))
        shown = (
            "-" if one is None else f"{one.value:.0%}" if measure.unit == "share" else f"{one.value:,.1f}"
            for measure, one in zip(measures, found, strict=True)
        )
        yield row(name, len(problems(of)), *shown)


def pairs(sides: Mapping[str, Sequence[Form]], *, same: bool) -> Iterator[str]:
    """Of sides that share problems also the habits: elsewhere they may be those of a subject."""
    figures = ("texts of each", "told apart", "style words", "openings", "TF-IDF")
    yield row("pair", *figures, *(["the second has more +"] * same))
    yield row("---", *["---:"] * len(figures), *(["---"] * same))
    for one, other in combinations(sides, 2):
        a, b = sides[one], sides[other]
        if bool(shared(problems(a), problems(b))) is same:
            made = drift(a, b)
            at = {distance.name: distance for distance in made.distances}
            cells = (figure(at[name]) for name in (APART, STYLE, OPENERS, TFIDF))
            yield row(f"{one}, {other}", number(made), *cells, *([", ".join(surest(a, b))] * same))


def number(made: Drift) -> str:
    return str(made.first) if made.first == made.second else f"{made.first}, {made.second}"


def figure(one: Distance) -> str:
    if one.value is None:
        return "-"
    by_chance = f" ({one.chance:.2f})" if one.chance is not None and one.name != APART else ""
    return f"{one.value:.2f}{'*' if one.star else ''}{by_chance}"


def surest(a: Sequence[Form], b: Sequence[Form], many: int = 4) -> Iterator[str]:
    """The habits that differ most surely, of those that do by more than chance."""
    first, second = (Sample.of(HABITS, [(form.key, form.problem, form.measures) for form in of]) for of in (a, b))
    found = changes(first, second)
    adjusted = holm([None if change is None or not change.difference else change.p for change in found])
    kept = [
        (p, -abs(change.difference) / (change.interval.high - change.interval.low), measure.name, change.difference)
        for measure, change, p in zip(HABITS, found, adjusted, strict=True)
        if change is not None and p is not None and p < 0.05 and change.interval is not None
        if change.interval.high > change.interval.low
    ]
    for _, _, name, difference in sorted(kept)[:many]:
        yield f"{name} {'+' if difference > 0 else '-'}"


def halves(sides: Mapping[str, Sequence[Form]]) -> Iterator[str]:
    yield row("model", "problems in each half", "splits", "p below 0.05", "least p", "told apart, mean")
    yield row("---", *["---:"] * 5)
    for name, of in sides.items():
        names = sorted(problems(of))
        if len(names) < MANY:
            continue
        ps, areas = [], []
        for split in range(SPLITS):
            half = set(random.Random(split).sample(names, len(names) // 2))
            first = [form for form in of if form.problem in half]
            second = [form for form in of if form.problem not in half]
            made = told_apart(first, second, paired=False)
            assert made is not None
            ps.append(made.p)
            areas.append(made.value)
        below = sum(p < 0.05 for p in ps)
        yield row(name, len(names) // 2, SPLITS, below, f"{min(ps):.3f}", f"{sum(areas) / len(areas):.2f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", type=Path, help="the folder of traces")
    parser.add_argument("--boundary", default="default", help="who marks style")
    parser.add_argument("--most", type=int, default=60, help="problems of each file")
    chosen = parser.parse_args()
    predictor = antiphon.boundary.load(chosen.boundary)
    sides = {}
    for name, paths in models(chosen.traces).items():
        found = await forms(paths, predictor, chosen.most)
        print(f"{name}: {len(found)} texts", file=sys.stderr, flush=True)
        if len(problems(found)) >= FEWEST:
            sides[name] = found
    print(f"Style marked by {predictor.id}.\n")
    print(*typical(sides), sep="\n")
    print("\nPairs on the same problems:\n")
    print(*pairs(sides, same=True), sep="\n")
    print("\nPairs on other problems:\n")
    print(*pairs(sides, same=False), sep="\n")
    print("\nRandom halves of one model:\n")
    print(*halves(sides), sep="\n")


if __name__ == "__main__":
    asyncio.run(main())
