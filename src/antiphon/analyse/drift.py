"""How unlike another set of texts one sounds as a whole: distances of their words, and whether they are told apart.

Habit by habit the difference of two sets is told by `antiphon.analyse.contrast`, of the measures of
`antiphon.analyse.form`; here are the figures of the whole. Both sides have equal numbers of texts, of the same problems
if they share enough of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from antiphon.analyse.apart import told_apart
from antiphon.analyse.contrast import Array, deal, shared
from antiphon.analyse.form import Form
from antiphon.analyse.report import Distance, Drift
from antiphon.analyse.source import rank
from antiphon.statistics import Interval, holm

_MOST = 400  # problems a side
_STYLE, _VOCABULARY = 1000, 5000
_RESAMPLES, _DEALS = 300, 999

STYLE, OPENERS, TFIDF, SAME, APART = (
    "style words",
    "sentence openings",
    "TF-IDF similarity",
    "TF-IDF, same problem",
    "told apart",
)


class _Pool(NamedTuple):
    """Both sides' rows, one a problem and side, the first side's first, and how they may be dealt out."""

    first: int
    whole: int
    paired: bool


def drift(first: Sequence[Form], second: Sequence[Form], sides: tuple[int, int] = (0, 1)) -> Drift:
    """The distances of two sets of texts. With fewer than two problems a side there are values and no tests."""
    first, second, paired = matched(first, second)
    units = [_by_problem(forms) for forms in (first, second)]
    pool = _Pool(len(units[0]), len(units[0]) + len(units[1]), paired)
    rows = [*units[0], *units[1]]
    distances = [
        _divergence(STYLE, [_sum(form.style for form in forms) for forms in rows], pool),
        _divergence(OPENERS, [_sum(form.openers for form in forms) for forms in rows], pool),
        *_similarities([_sum(form.words for form in forms) for forms in rows], pool),
    ]
    apart = told_apart(first, second, paired=paired, sides=sides)
    if apart is None:
        distances.append(Distance(APART, "share", None))
    else:
        distances.append(Distance(APART, "share", apart.value, apart.interval, apart.chance, apart.p, apart.traces))
    adjusted = holm([distance.p for distance in distances])
    return Drift(
        sides[1],
        paired,
        len(first),
        len(second),
        tuple(replace(one, adjusted=p) for one, p in zip(distances, adjusted, strict=True)),
        () if apart is None else apart.telling,
    )


def matched(first: Sequence[Form], second: Sequence[Form]) -> tuple[list[Form], list[Form], bool]:
    """Equal numbers of texts of both sides: of each shared problem as many of one as of the other, if they share enough
    problems; else of equally many problems. Says whether it is the same problems."""
    by_problem = [_grouped(forms) for forms in (first, second)]
    both = shared(*by_problem)
    if both:
        wanted = sorted(both, key=rank)[:_MOST]
        pairs = [[of[problem] for of in by_problem] for problem in wanted]
        cut = [[forms[: min(map(len, pair))] for forms in pair] for pair in pairs]
        return [form for a, _ in cut for form in a], [form for _, b in cut for form in b], True
    number = min(_MOST, *map(len, by_problem))
    a, b = ([form for key in sorted(of, key=rank)[:number] for form in of[key]] for of in by_problem)
    return a, b, False


def _grouped(forms: Sequence[Form]) -> dict[str, list[Form]]:
    found: dict[str, list[Form]] = defaultdict(list)
    for form in forms:
        found[form.problem].append(form)
    return found


def _by_problem(forms: Sequence[Form]) -> list[list[Form]]:
    grouped = _grouped(forms)
    return [grouped[problem] for problem in sorted(grouped)]


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _divergence(name: str, counts: Sequence[Counter[str]], pool: _Pool) -> Distance:
    """The Jensen-Shannon divergence of two distributions, in bits: 0 alike, 1 nothing in common."""
    whole = _sum(counts)
    common = {word: column for column, (word, _) in enumerate(whole.most_common(_STYLE))}
    table = np.zeros((len(counts), len(common) + 1))  # the last column: all other words
    for row, counter in enumerate(counts):
        for word, count in counter.items():
            table[row, common.get(word, len(common))] += count
    sides = table[: pool.first].sum(), table[pool.first :].sum()
    if not all(sides):
        return Distance(name, "bits", None)

    def of(a: Array, b: Array) -> Array:
        one, other = (part / np.maximum(part.sum(axis=1, keepdims=True), 1e-12) for part in (a @ table, b @ table))
        return _entropy((one + other) / 2) - (_entropy(one) + _entropy(other)) / 2

    return _tested(Distance(name, "bits", None), of, pool, far=1)


def _entropy(shares: Array) -> Array:
    return np.asarray(-(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=1))


def _similarities(counts: Sequence[Counter[str]], pool: _Pool) -> list[Distance]:
    """Cosines of TF-IDF vectors, 1 where all is alike: of both sides' means, and of the texts on the same problem."""
    documents: Counter[str] = Counter()
    for counter in counts:
        documents.update(counter.keys())
    common = {word: column for column, (word, _) in enumerate(documents.most_common(_VOCABULARY))}
    weights = np.array([np.log((1 + len(counts)) / (1 + documents[word])) + 1 for word in common])
    table = np.zeros((len(counts), len(common)))
    for row, counter in enumerate(counts):
        for word, count in counter.items():
            if word in common:
                table[row, common[word]] = count
    table *= weights
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    alike = table @ table.T

    def of(a: Array, b: Array) -> Array:
        lengths = [np.sqrt(np.maximum(((part @ alike) * part).sum(axis=1), 1e-12)) for part in (a, b)]
        return np.asarray(((a @ alike) * b).sum(axis=1) / (lengths[0] * lengths[1]))

    found = [_tested(Distance(TFIDF, "cosine", None), of, pool, far=-1)]
    if pool.paired:
        same = np.array([alike[row, row + pool.first] for row in range(pool.first)])
        drawn = _drawn(pool)[0][:, : pool.first] @ same / max(1, pool.first) if pool.first > 1 else np.empty(0)
        found.append(Distance(SAME, "cosine", float(same.mean()), _interval(drawn)))
    return found


def _tested(made: Distance, of: Callable[[Array, Array], Array], pool: _Pool, *, far: int) -> Distance:
    """A distance with its interval, what chance alone comes to, and how often that is as far.

    Args:
        of: the distance of two sides, from how often each row is in them; many at once.
        far: 1: larger is farther, -1: smaller is.
    """
    own = np.zeros((1, pool.whole))
    own[:, : pool.first] = 1
    value = float(of(own, 1 - own)[0])
    if min(pool.first, pool.whole - pool.first) < 2:
        return replace(made, value=value)
    dealt = deal(np.random.default_rng(0), _DEALS, pool.first, pool.whole, paired=pool.paired)
    again = of(dealt, 1 - dealt)
    p = float((1 + (far * again >= far * value - 1e-12).sum()) / (1 + _DEALS))
    drawn = of(*_drawn(pool))
    centred = np.clip(drawn - drawn.mean() + value, 0, 1)  # sets drawn with repeats are farther apart than they are
    return replace(made, value=value, interval=_interval(centred), chance=float(again.mean()), p=p)


def _drawn(pool: _Pool) -> tuple[Array, Array]:
    """How often each row is on either side where problems are drawn anew."""
    rng = np.random.default_rng(1)
    sizes = (pool.first, pool.whole - pool.first)
    one, other = (rng.multinomial(size, np.full(size, 1 / size), size=_RESAMPLES) for size in sizes)
    both = np.zeros((2, _RESAMPLES, pool.whole))
    both[0, :, : pool.first] = one
    both[1, :, pool.first :] = one if pool.paired else other
    return both[0], both[1]


def _interval(drawn: Array) -> Interval | None:
    if not len(drawn):
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(low), float(high))
