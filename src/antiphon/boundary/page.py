"""Rule pages, compiled: all phrases of a page in one trie of words. Read from TOML by `antiphon.boundary.pagefile`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Place(IntEnum):
    """Where a phrase may begin. A word stands in several of these at once; between phrases of equal length the first
    place decides.

    `OPENING`: a sentence or line begins here, or nothing but style stands before in it. `CLAUSE`: there, or behind a
    comma, dash or opening bracket. `AFTER`: right after a style word of the same sentence.
    """

    OPENING = 1
    CLAUSE = 2
    AFTER = 4
    ANYWHERE = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """What a matched phrase says of its words: from which place, style or not, how surely."""

    place: Place
    style: bool
    confidence: float


@dataclass(slots=True)
class Node:
    """A place in the trie of phrases. Keys are a word's core followed by its mark, or `<pattern>` and mark; in
    `ends` a key without mark stands for a last word with any mark or none. Rules are ordered by place."""

    next: dict[str, Node] = field(default_factory=dict)
    ends: dict[str, tuple[Rule, ...]] = field(default_factory=dict)

    def add(self, phrase: Sequence[Sequence[str]], rules: Iterable[Rule]) -> None:
        """Adds a phrase, each of its words given as alternative keys. Rules for a place replace earlier ones."""
        *leading, last = phrase
        nodes = [self]
        for keys in leading:
            nodes = [node.next.setdefault(key, Node()) for node in nodes for key in keys]
        for node in nodes:
            for key in last:
                by_place = {rule.place: rule for rule in (*node.ends.get(key, ()), *rules)}
                node.ends[key] = tuple(by_place[place] for place in sorted(by_place))


@dataclass(frozen=True, slots=True)
class Page:
    """A compiled page. `digest` is equal for pages that give equal verdicts on every text."""

    name: str
    lookahead: int
    literal: frozenset[str]
    lists: Mapping[str, tuple[str, ...]]  # core -> the `<name>` of each list that holds it
    patterns: Mapping[str, re.Pattern[str]]  # by `<name>`
    root: Node
    digest: str
