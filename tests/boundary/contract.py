"""Checks that any boundary predictor must pass, and the random traces to pass them on.

    @given(traces(), st.randoms(use_true_random=False))
    def test_contract(trace, random):
        check_contract(PREDICTOR, trace, random)

`check_contract` raises AssertionError at the first broken promise of `antiphon.boundary.base`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.words import is_whole, words
from antiphon.trace import Author


class Part(NamedTuple):
    """A piece of a trace: settled text, or new text of the session's author (`own`), finished or not."""

    text: str
    own: bool
    finish: bool = False


_STYLE = [
    "Okay, ",
    "so ",
    "let me ",
    "check ",
    "Wait ",
    "wait, ",
    "but ",
    "Maybe ",
    "I need to ",
    "think about ",
    "Hmm. ",
]
_STYLE += ["the problem says ", "says ", "that ", "so that ", "for example ", "that doesn't make sense. ", "**Wait,** "]
_CONTENT = [
    "first ",
    "term ",
    "x ",
    "3 + 4 = 7. ",
    "196 ",
    "user_id ",
    "f(x) ",
    "foo.bar ",
    "(so ",
    "- ",
    "1. ",
    "'so' ",
]
_LITERAL = [
    '"so but" ',
    '" ',
    "“so ”",
    "`so ",
    "` ",
    "```\nso\n``` ",
    "```py ",
    "$so$ ",
    "$5 ",
    "$ ",
    "$$ ",
    "\\(",
    "\\) ",
]
_CJK = ["好的，", "嗯", "等等", "那么，", "所以 ", "。", "「", "」", "\\[so ", "\\] ", "한국어 "]
_ODD = [
    "\n",
    "\n\n",
    "  ",
    "\t",
    "\r\n",
    "\u2028",
    "\x00",
    "\ud800",
    "\u202e",
    "e\u0301",
    "🙂",
    "ﬁ ",
    "let’s ",
    "LET'S ",
]
_ODD += ["I’ll ", "’", "…", "— ", ", ", ". ", "! ", "? ", "a", "b"]
_SNIPPETS = [st.sampled_from(kind) for kind in (_STYLE, _STYLE, _CONTENT, _LITERAL, _CJK, _ODD)]
TEXTS = st.lists(st.one_of(*_SNIPPETS, st.text(max_size=4)), max_size=14).map("".join)


def traces() -> st.SearchStrategy[list[Part]]:
    """Random traces of a few parts: style phrases, code, formulas, quotes, CJK, odd Unicode, glued at the seams."""
    part = st.builds(Part, TEXTS, st.sampled_from([True, True, False]), st.booleans())
    return st.lists(part, min_size=1, max_size=5)


def check_contract(predictor: BoundaryPredictor, trace: list[Part], random: Random) -> None:
    """Everything that the contract promises, on one trace."""
    role = random.choice([Author.STUDENT, Author.TEACHER])

    def session() -> Session:
        return predictor.session(role)

    expected = _read(session(), trace, lambda text: [text])
    _check_words(trace, expected)
    for cut in (list, lambda text: _pieces(text, random)):
        assert _read(session(), trace, cut) == expected, "verdicts depend on how the text was cut"
    _check_timing(session(), trace, predictor.lookahead, random)
    _check_causality(session, trace, predictor.lookahead, expected)
    assert _read_with_rollbacks(session(), trace, random) == expected, "a rollback left something behind"
    _check_bounds(session(), trace)


def whole(verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts on whole words; with a look-ahead of -1 each was given before without its end."""
    return [verdict for verdict in verdicts if verdict.end > verdict.start]


def _pieces(text: str, random: Random) -> list[str]:
    cuts = sorted(random.randint(0, len(text)) for _ in range(random.randint(0, 6)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _read(session: Session, trace: list[Part], cut: Callable[[str], list[str]]) -> list[Verdict]:
    """The verdicts that are given on a trace."""
    verdicts: list[Verdict] = []
    for part in trace:
        if not part.own:
            session.context(part.text)
            continue
        for piece in cut(part.text):
            verdicts += session.feed(piece)
        if part.finish:
            verdicts += session.finish()
    assert session.position == sum(len(part.text) for part in trace)
    return whole(verdicts)


def _stretches(trace: list[Part]) -> list[tuple[int, str, bool]]:
    """(start, text, whether all its words are due) of what the author wrote from seam to seam."""
    found, position, start, text = [], 0, 0, ""
    for part in [*trace, Part("", False)]:
        if part.own:
            start = start if text else position
            text += part.text
        if text and (part.finish or not part.own):
            found.append((start, text, part.own))
            text = ""
        position += len(part.text)
    return found


def _check_words(trace: list[Part], verdicts: list[Verdict]) -> None:
    """Verdicts are on words of its author, in order, each once; and on all of them where it finished."""
    given = {(v.start, v.end) for v in verdicts}
    assert sorted(given) == [(v.start, v.end) for v in verdicts], "verdicts are not in order, or given twice"
    possible: set[tuple[int, int]] = set()
    for start, text, finished in _stretches(trace):
        own = {(start + a, start + b) for a, b in words(text)}
        possible |= own
        assert not finished or own <= given, "words without a verdict at the finish"
    assert given <= possible, "a verdict on what is not a word of its author"
    assert all(0.5 <= v.confidence <= 1 for v in verdicts)


def _check_timing(session: Session, trace: list[Part], lookahead: int, random: Random) -> None:
    """A verdict comes with the feed that brings the last word it may look ahead to, neither sooner nor later."""
    stretch, given = "", 0
    for part in trace:
        if not part.own:
            session.context(part.text)
            stretch, given = "", 0
            continue
        for piece in _pieces(part.text, random):
            given += len(whole(session.feed(piece)))
            stretch += piece
            known = [end for _, end in words(stretch) if is_whole(stretch, end)]
            assert given == max(0, len(known) - max(0, lookahead)), "verdicts come too soon or too late"
        if part.finish:
            given += len(whole(session.finish()))
            assert given == len(words(stretch))
            assert session.finish() == [], "a finish with nothing owed gives something"
            stretch, given = "", 0


def _check_causality(
    session: Callable[[], Session], trace: list[Part], lookahead: int, expected: list[Verdict]
) -> None:
    """A verdict is the same when generation stops right behind the words that it may look ahead to."""
    for index, part in enumerate(trace):
        if not part.own:
            continue
        before = trace[:index]
        start = sum(len(p.text) for p in before)
        ends = [end for _, end in words(part.text)]
        for number, end in enumerate(ends):
            behind = number + max(0, lookahead)
            if behind < len(ends) and is_whole(part.text, ends[behind]):
                cut = part.text[: ends[behind] + 1]
                found = {v.end: v for v in _read(session(), [*before, Part(cut, True)], lambda text: [text])}
                verdict = next(v for v in expected if v.end == start + end)
                assert found[start + end] == verdict, "a verdict depends on how far generation ran ahead"


def _read_with_rollbacks(session: Session, trace: list[Part], random: Random) -> list[Verdict]:
    """Like `_read`, but going back now and then and writing the same again."""
    verdicts: list[Verdict] = []
    floor = 0  # where the last seam is; what stands before it cannot be written again in the same way
    for part in trace:
        if not part.own:
            session.context(part.text)
            floor = session.position
            continue
        start = session.position
        for piece in _pieces(part.text, random):
            verdicts += session.feed(piece)
            if random.random() < 0.6:
                end = session.position
                offset = random.randint(max(floor, start), end)
                session.rollback(offset)
                assert session.position == offset
                verdicts = [v for v in verdicts if v.end <= offset]
                verdicts += session.feed(part.text[offset - start : end - start])
        if part.finish:
            verdicts += session.finish()
            floor = session.position
    return whole(verdicts)


def _check_bounds(session: Session, trace: list[Part]) -> None:
    """A rollback goes back to the last context at most."""
    floor = 0
    for part in trace:
        if part.own:
            session.feed(part.text)
        else:
            session.context(part.text)
            floor = session.position
        for offset in (floor - 1, session.position + 1):
            try:
                session.rollback(offset)
            except ValueError:
                continue
            raise AssertionError(f"rolled back to {offset} of {floor} to {session.position}")
    session.rollback(floor)
    assert session.position == floor
