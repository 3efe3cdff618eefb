"""Boundaries by declared rules: the phrases of a page are style, all else is capability.

The trace is parsed from left to right: where a phrase fits, the longest one gives all its words their class, and
parsing goes on behind it. The parse is a function of the words alone, whoever wrote them and however they arrived:
`context` reads on in it, `finish` reads it out before all the words that a verdict may look ahead to are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.lexeme import lexeme
from antiphon.boundary.page import Node, Page, Place, Rule
from antiphon.boundary.reading import Reading, Sight
from antiphon.boundary.region import KINDS, after_blank_line, after_word, has_delimiter
from antiphon.trace import Author

_LITERAL = Rule(Place.ANYWHERE, False, 0.99)
_PLAIN = Rule(Place.ANYWHERE, False, 0.96)
_PLAIN_AFTER_STYLE = Rule(Place.ANYWHERE, False, 0.88)

# Sets of places, as plain numbers for speed.
_FREE = int(Place.ANYWHERE)
_CLAUSE = _FREE | int(Place.CLAUSE)
_OPENING = _CLAUSE | int(Place.OPENING)
_OPENING_BIT, _AFTER_BIT = int(Place.OPENING), int(Place.AFTER)

_SENTENCE_MARKS = frozenset((".", "?", ":"))


class _Seen(NamedTuple):
    """What is known of a word by its letters alone."""

    text: str
    rules: tuple[Rule, ...]  # of phrases that are this word, by precedence
    nodes: tuple[Node, ...]  # of the trie behind this word, as the first of a phrase
    keys: tuple[str, ...]  # in the trie, as a word that others follow
    ends: tuple[str, ...]  # in the trie, as the last word of a phrase
    literal: bool
    delimiters: bool
    mark: str
    bare_mark: bool
    bracket: bool
    numbering: bool
    plain: bool  # nothing of all this


class _State(NamedTuple):
    """The parse behind a word."""

    region: str
    places: int  # where the next word stands, line breaks and brackets apart
    left: int  # words of the phrase that are still to come
    rule: Rule  # what gave the word its class


_START = _State("", _OPENING, 0, _PLAIN)
_INSIDE = _State("", _FREE, 0, _PLAIN)  # behind most words, hence kept once


class RulesPredictor(BoundaryPredictor):
    """The predictor of one page."""

    def __init__(self, page: Page):
        self.page = page
        self.id = f"rules:{page.name}:{page.digest[:12]}"
        self.lookahead = page.lookahead
        self.openers = frozenset(o for kind, openers in KINDS.items() if kind in page.literal for o in openers)
        self.see = Sight(self._look_at)
        """What the page makes of a word."""

    def session(self, role: Author) -> RulesSession:
        """The rules are the same for both authors."""
        return RulesSession(self)

    def _look_at(self, word: str) -> _Seen:
        taken, page = lexeme(word), self.page
        literal = (taken.number and "numbers" in page.literal) or (taken.identifier and "identifiers" in page.literal)
        delimiters = has_delimiter(word)
        names = []
        if not literal and not delimiters:
            names = [taken.core, *page.lists.get(taken.core, ())]
            names += [name for name, pattern in page.patterns.items() if pattern.fullmatch(taken.core)]
        keys = tuple(name + taken.mark for name in names)
        ends = keys + tuple(names) if taken.mark else keys
        rules, nodes = _by_precedence([page.root], ends), _behind([page.root], keys)
        special = literal or delimiters or taken.mark or taken.bracket or taken.numbering or not taken.core
        return _Seen(
            text=word,
            rules=rules,
            nodes=nodes,
            keys=keys,
            ends=ends,
            literal=literal,
            delimiters=delimiters,
            mark=taken.mark,
            bare_mark=not taken.core,
            bracket=taken.bracket,
            numbering=taken.numbering,
            plain=not (rules or nodes or special),
        )

    def longest(self, reading: Reading[_Seen], index: int, places: int) -> tuple[int, Rule] | None:
        """The longest phrase that begins at a word in these places: its length in words, and its rule."""
        seen = reading.seen[index]
        rules, nodes, best = seen.rules, seen.nodes, None
        for length in range(1, self.lookahead + 2):
            for rule in rules:
                if rule.place & places:
                    best = length, rule
                    break
            if not nodes or index + length == len(reading):
                break
            gap, follower = reading.gaps[index + length], reading.seen[index + length]
            if gap != " " and "\n" in gap:
                break
            rules = _by_precedence(nodes, follower.ends)
            nodes = _behind(nodes, follower.keys)
        return best


def _by_precedence(nodes: Sequence[Node], ends: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rules of the phrases that end here: the more particular place first, then in the order of the keys."""
    found = [node.ends[key] for key in ends for node in nodes if key in node.ends]
    if len(found) < 2:
        return found[0] if found else ()
    return tuple(sorted((rule for rules in found for rule in rules), key=lambda rule: rule.place))


def _behind(nodes: Sequence[Node], keys: tuple[str, ...]) -> tuple[Node, ...]:
    return tuple([node.next[key] for key in keys for node in nodes if key in node.next])


class RulesSession(Session):
    """One reading of one trace."""

    def __init__(self, predictor: RulesPredictor):
        self._predictor = predictor
        self._reading = Reading(predictor.see)  # since the last context, and the words before that are not parsed yet
        self._before = _START  # the parse before the first of them
        self._states: list[_State] = []  # the parse behind each word that has its look-ahead
        self._given = 0  # how many of the words have had their verdict

    @property
    def position(self) -> int:
        return self._reading.position

    def context(self, text: str) -> None:
        reading = self._reading
        reading.read_apart(text)
        self._parse()
        self._before = self._states[-1] if self._states else self._before
        reading.forget(len(self._states))
        reading.settle()
        self._states = []
        self._given = len(reading)

    def feed(self, text: str) -> list[Verdict]:
        self._reading.read(text)
        return self._parse()

    def finish(self) -> list[Verdict]:
        self._reading.close()
        verdicts = self._parse()
        state = self._states[-1] if self._states else self._before
        for index in range(len(self._states), len(self._reading)):
            state = self._step(state, index)
            if index >= self._given:
                verdicts.append(self._verdict(index, state.rule))
        self._given = len(self._reading)
        return verdicts

    def rollback(self, offset: int) -> None:
        self._reading.rollback(offset)
        del self._states[max(0, len(self._reading) - self._predictor.lookahead) :]
        self._given = min(self._given, len(self._reading))

    def _parse(self) -> list[Verdict]:
        """Parses every word that has its look-ahead; gives the verdicts that were not given before."""
        verdicts = []
        states = self._states
        state = states[-1] if states else self._before
        for index in range(len(states), len(self._reading) - self._predictor.lookahead):
            state = self._step(state, index)
            states.append(state)
            if index >= self._given:
                verdicts.append(self._verdict(index, state.rule))
        self._given = max(self._given, len(states))
        return verdicts

    def _step(self, state: _State, index: int) -> _State:
        """The parse behind a word, from the parse before it."""
        gap, seen = self._reading.gaps[index], self._reading.seen[index]
        if state is _INSIDE and seen.plain and gap == " ":
            return state
        at, places, left, rule = state
        breaks = gap.count("\n") if gap != " " else 0
        if breaks:
            places = _OPENING
            if breaks > 1:
                at = after_blank_line(at)
        if seen.bracket:
            places |= _CLAUSE
        if left:
            left -= 1
        elif at or seen.delimiters:
            at, touched = after_word(at, seen.text, breaks > 0, self._predictor.openers)
            rule = _LITERAL if touched else _PLAIN
        elif seen.literal:
            rule = _LITERAL
        elif seen.bare_mark and places & _AFTER_BIT:
            pass  # the punctuation of a style phrase, standing apart from it
        else:
            found = self._predictor.longest(self._reading, index, places) if seen.rules or seen.nodes else None
            if found:
                left, rule = found[0] - 1, found[1]
            else:
                rule = _PLAIN_AFTER_STYLE if places & _AFTER_BIT else _PLAIN
        if seen.mark in _SENTENCE_MARKS or (seen.numbering and breaks):
            places = _OPENING
        elif rule.style:
            places = places & _OPENING_BIT | (_CLAUSE if seen.mark else _FREE) | _AFTER_BIT
            if places & _OPENING_BIT:
                places |= _OPENING
        else:
            places = _CLAUSE if seen.mark else _FREE
        if places == _FREE and rule is _PLAIN and not at:
            return _INSIDE
        return _State(at, places, left, rule)

    def _verdict(self, index: int, rule: Rule) -> Verdict:
        start, end = self._reading.span(index)
        return Verdict(start, end, rule.style, rule.confidence)
