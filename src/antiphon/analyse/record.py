"""What the record itself tells: how traces came out, who wrote how much of them, what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from antiphon.analyse.contrast import Measure, Measures
from antiphon.analyse.source import Entry
from antiphon.analyse.text import Text
from antiphon.boundary.words import words
from antiphon.synth.spend import Prices
from antiphon.trace import Author, Kind, Trace, Usage
from antiphon.verify.result import Result

OUTCOMES = (
    Measure("right", "share", rate=True),
    Measure("wrong", "share", rate=True),
    Measure("no answer", "share", rate=True),
    Measure("cut off", "share", rate=True),
)
"""Shares of the traces that ended and, for right and wrong, were judged."""

_PARTS = [
    (author, kind)
    for author in (Author.STUDENT, Author.TEACHER, Author.UNKNOWN)
    for kind in (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER)
]
_WRITERS = (Author.STUDENT, Author.TEACHER)

OWNERSHIP = (
    *(Measure(f"{author}'s share of the thinking", "share") for author in _WRITERS),
    *(Measure(f"{author}: {kind}, words", "share") for author, kind in _PARTS),
    *(Measure(f"{author}: {kind}, tokens", "share") for author, kind in _PARTS),
    Measure("tokens of the response", "tokens"),
    Measure("hand-overs inside a word", "per 1,000 words", 1000),
    Measure("forced words", "per 1,000 words", 1000),
)
"""Who wrote how much: of the words of the thinking; of all words and of all tokens by author and kind. Tokens are the
author's own, estimated where its server tells no ids."""

COST = (
    Measure("tokens received", "tokens"),
    *(Measure(f"received of the {role}", "tokens") for role in _WRITERS),
    Measure("thrown away", "share"),
    *(Measure(f"thrown away of the {role}'s", "share") for role in _WRITERS),
    Measure("requests", ""),
    Measure("prompt tokens", "tokens"),
    Measure("prompt from cache, where told", "share"),
    Measure("seconds of writing", "seconds"),
    Measure("cost", "money"),
)
"""What a trace cost, its auxiliary calls among it; seconds are the sums over its turns."""


def outcome_of(entry: Entry, *, judged: bool) -> Measures:
    """How a response came out; of pending and failed ones nothing.

    Args:
        judged: whether anything was judged on its side; else it is not known what is right.
    """
    result = entry.result
    found: dict[str, tuple[float, float]] = {}
    if result in (Result.PENDING, Result.FAILED):
        return found
    found["cut off"] = float(result is Result.CUT_OFF), 1
    found["no answer"] = float(result is Result.NO_ANSWER), 1
    if judged and result.counts:
        found["right"] = float(result is Result.RIGHT), 1
        found["wrong"] = float(result in (Result.WRONG, Result.TIMED_OUT, Result.CRASHED)), 1
    return found


def is_judged(entries: Iterable[Entry]) -> bool:
    """Whether any of them has a verdict on its answer."""
    said = (Result.RIGHT, Result.WRONG, Result.TIMED_OUT, Result.CRASHED)
    return any(entry.result in said for entry in entries)


def ownership_of(text: Text, trace: Trace | None) -> Measures:
    """Who wrote how much of a response, by its own spans; tokens only where there is a record of them."""
    counts: Counter[tuple[Author, Kind]] = Counter()
    forced = 0
    for stretch in text.stretches:
        many = len(words(stretch.text))
        counts[stretch.author, stretch.kind] += many
        forced += many * stretch.forced
    found = dict(_shares(counts, "words"))
    thinking = {part: count for part, count in counts.items() if part[1] is not Kind.ANSWER}
    whole = sum(thinking.values())
    if whole:
        by = Counter[Author]()
        for (author, _), count in thinking.items():
            by[author] += count
        found |= {f"{author}'s share of the thinking": (by[author], whole) for author in _WRITERS}
        if trace is not None and by[Author.STUDENT] and by[Author.TEACHER]:
            found["hand-overs inside a word"] = trace.glued, whole
            found["forced words"] = forced, whole
    if trace is not None:
        tokens: Counter[tuple[Author, Kind]] = Counter()
        for span in trace.spans:
            if span.kind is not Kind.MARKER:
                tokens[span.author, span.kind] += span.tokens
        found |= dict(_shares(tokens, "tokens"))
        if tokens:
            found["tokens of the response"] = tokens.total(), 1
    return found


def _shares(counts: Counter[tuple[Author, Kind]], of: str) -> Iterator[tuple[str, tuple[float, float]]]:
    whole = counts.total()
    if whole:
        yield from ((f"{author}: {kind}, {of}", (counts[author, kind], whole)) for author, kind in _PARTS)


def cost_of(trace: Trace, about: Mapping[str, Any]) -> Measures:
    """What a trace cost.

    Args:
        about: of its variant: has the prices by role.
    """
    if not trace.usage:
        return {}
    total = sum(trace.usage.values(), Usage())
    found: dict[str, tuple[float, float]] = {
        "tokens received": (total.received, 1),
        "requests": (total.requests, 1),
        "seconds of writing": (total.seconds, 1),
    }
    if total.received:
        found["thrown away"] = total.thrown_away, total.received
    if total.prompt:
        found["prompt tokens"] = total.prompt, 1
    if total.cached is not None and total.told:
        found["prompt from cache, where told"] = min(total.cached, total.told), total.told
    costs = []
    for role, used in trace.usage.items():
        facts = about.get(role.value) or {}
        if role in _WRITERS:
            found[f"received of the {role}"] = used.received, 1
            if used.received:
                found[f"thrown away of the {role}'s"] = used.thrown_away, used.received
        if facts.get("prices") is not None:
            ids = bool(facts.get("counts_tokens", facts.get("ids", True)))
            costs.append(Prices(**facts["prices"]).cost(used, ids=ids))
    if costs:
        found["cost"] = sum(costs), 1
    return found
