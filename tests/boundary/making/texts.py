"""Random marked texts, and a predictor that says what it is told to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.words import WordReader, words
from antiphon.trace import Author

_WORDS = [
    "Okay,",
    "so",
    "let",
    "me",
    "check",
    "3+4=7.",
    "x",
    "Wait,",
    "but",
    "好",
    "的",
    "ﬁrst",
    "e\u0301t",
    "👩‍🔬",
    "B-style",
]
_BLANKS = [" ", " ", " ", "\n", "\n\n", "\t", "\u2028", "\u00a0"]

TEXTS = (
    st.lists(st.tuples(st.sampled_from(_WORDS), st.sampled_from(_BLANKS)), min_size=1, max_size=25)
    .map(lambda pairs: "".join(word + blank for word, blank in pairs))
    .flatmap(lambda text: st.sampled_from([text, text.rstrip(), f" {text}"]))
)
"""Texts with at least one word: CJK, combining characters, line separators."""

_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]), max_size=8)


@st.composite
def marked_texts(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> MarkedText:
    """A text with random spans of characters, as people mark them: over blanks, within words, side by side."""
    text = draw(texts)
    edges = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = tuple(zip(edges[::2], edges[1::2], strict=False))
    return MarkedText(
        id=draw(_NAMES.filter(bool)),
        text=text,
        style=spans,
        problem_key=draw(_NAMES.filter(bool)),
        domain=draw(_NAMES),
        model=draw(_NAMES),
        author=draw(st.sampled_from([None, Author.STUDENT, Author.TEACHER])),
        fields=draw(st.dictionaries(st.sampled_from(["licence", "source"]), st.sampled_from([1, None, "x", [0.5]]))),
    )


def marked(text: str, classes: Iterable[bool] = (), id: str = "one", **named: Any) -> MarkedText:
    """A text whose first words are of these classes."""
    from antiphon.boundary.making.forms import spans_of

    return MarkedText(id, text, spans_of(text, classes), **{"problem_key": id, **named})


class Told(BoundaryPredictor):
    """Says of the n-th word of a text what it is told: its class, and how sure. What it is not told is capability.

    Args:
        told: by role, else for both.
    """

    id = "told"

    def __init__(
        self,
        told: Mapping[Author, Sequence[tuple[bool, float]]] | Sequence[tuple[bool, float]] = (),
        lookahead: int = 0,
    ):
        self.told = told if isinstance(told, Mapping) else dict.fromkeys([Author.STUDENT, Author.TEACHER], told)
        self.lookahead = lookahead
        self.sessions = 0

    def session(self, role: Author) -> Session:
        self.sessions += 1
        return _Session(self.told[role], self.lookahead)


class _Session(Session):
    def __init__(self, told: Sequence[tuple[bool, float]], lookahead: int):
        self._told, self._lookahead = told, lookahead
        self._reader = WordReader()
        self._settled = ""
        self._owed: list[tuple[int, int]] = []

    @property
    def position(self) -> int:
        return self._reader.position

    def context(self, text: str) -> None:
        self._settled += self._reader.text(len(self._settled), self.position) + text
        self._reader.skip(len(text))
        self._owed.clear()

    def feed(self, text: str) -> list[Verdict]:
        self._owed += self._reader.push(text)
        return self._give(self._lookahead)

    def finish(self) -> list[Verdict]:
        self._owed += self._reader.finish()
        return self._give(0)

    def rollback(self, offset: int) -> None:
        self._reader.rollback(offset)
        self._owed = [word for word in self._owed if word[1] <= offset]

    def _give(self, ahead: int) -> list[Verdict]:
        given = []
        while len(self._owed) > ahead:
            start, end = self._owed.pop(0)
            number = len(words(self._settled + self._reader.text(len(self._settled), start)))
            style, confidence = self._told[number] if number < len(self._told) else (False, 0.9)
            given.append(Verdict(start, end, style, confidence))
        return given


class Mute(Told):
    """Owes its last verdict for ever."""

    def session(self, role: Author) -> Session:
        session = super().session(role)
        session.finish = list  # type: ignore[method-assign]
        return session


class Learned(Told):
    """Was trained on one problem."""

    trained_on = frozenset({"7692c3ad3540"})  # SHA-256 of "one"
