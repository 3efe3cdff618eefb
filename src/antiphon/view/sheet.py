"""One trace made ready for a page: its response by author and kind, what was rolled back and where, its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Trace, Turn, unpack_words
from antiphon.view.facts import Facts, facts_of
from antiphon.view.marking import as_json, plain, shown

MARKS = {Author.STUDENT: ("[", "]"), Author.TEACHER: ("{", "}"), Author.UNKNOWN: ("(", ")"), Author.NONE: ("", "")}
"""What stands around a span where colours are not wanted; the terminal has the same."""

_TURNS = 1_000
_ENDS = {
    None: "still being written",
    SpanEnd.BOUNDARY: "the next word was the other author's to write",
    SpanEnd.THINK_CLOSE: "its author closed the thinking",
    SpanEnd.THINK_CLOSE_TEXT: "its author closed the thinking, in text",
    SpanEnd.END_OF_TURN: "its author ended",
    SpanEnd.BUDGET: "the budget was used up",
    SpanEnd.CONTEXT: "the context was full",
    SpanEnd.SEAM: "another span followed without a cut",
}


@dataclass(frozen=True, slots=True)
class Look:
    """An entry of the legend: how spans of an author and kind are shown."""

    author: Author
    kind: Kind
    forced: bool

    @property
    def classes(self) -> str:
        """As the style sheet names it."""
        return f"{self.author} {self.kind}{' forced' if self.forced else ''}"

    @property
    def says(self) -> str:
        """The same for people."""
        who = "nobody" if self.author is Author.NONE else self.author.value
        return f"{who}: {self.kind}{', forced' if self.forced else ''}"

    @property
    def marks(self) -> tuple[str, str]:
        """What stands around it where colours are not wanted."""
        opening, closing = MARKS[self.author]
        return ("*" + opening, closing + "*") if self.forced else (opening, closing)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A trace and all that a page says of it.

    Attributes:
        run: the number of its run directory among those that are shown.
        models: the model of each role, where it is known.
        name: what it is called, if it is of no run.
    """

    run: int
    trace: Trace
    turns: tuple[Turn, ...]
    models: Mapping[Author, str]
    name: str = ""

    @property
    def key(self) -> Key:
        return self.trace.key

    @property
    def title(self) -> str:
        """What it is called beside others of its problem."""
        return self.name or f"{self.key.variant}/{self.key.sample}"

    @property
    def facts(self) -> Facts:
        return facts_of(self.trace)

    @property
    def legend(self) -> list[Look]:
        """The looks that occur, in their order."""
        return list(dict.fromkeys(_look(span) for span in self.trace.spans))

    @property
    def closed_by(self) -> str:
        """Who closed the thinking, "" if it is open or nobody knows."""
        by = self.trace.closed_by
        return "" if by in (None, Author.UNKNOWN) else "nobody" if by is Author.NONE else f"the {by}"

    @property
    def response(self) -> Markup:
        """The response. The text of this HTML is the response's; what was rolled back stands in attributes."""
        back = dict(_rolled_back(self.trace.spans, self.turns))
        parts: list[str] = []
        for number, span in enumerate(self.trace.spans):
            parts.append(f'<span class="p {_look(span).classes}">')
            done = 0
            for at, turns in back.get(number, ()):
                parts += [shown(span.text[done:at]), *map(self._mark, turns)]
                done = at
            parts += [shown(span.text[done:]), "</span>"]
        parts += [self._mark(turn) for _, turns in back.get(-1, ()) for turn in turns]
        return Markup("".join(parts))

    def _mark(self, number: int) -> str:
        turn = self.turns[number]
        text = f"{plain(turn.rejected)}" if turn.rejected else ""
        count = f"{turn.thrown_away}"
        return (
            f'<span class="back {turn.role}" data-turn="{number + 1}" data-count="{count}"'
            f' data-text="{escape(text)}"></span>'
        )

    @property
    def details(self) -> Markup:
        """What hovering and focus tell of each span, as JSON for `static/trace.js`."""
        return as_json(
            {
                "models": {str(author): plain(model) for author, model in self.models.items()},
                "spans": [_details(span) for span in self.trace.spans],
            }
        )

    @property
    def _rolled_back(self) -> list[tuple[int, Turn]]:
        return [(n, turn) for n, turn in enumerate(self.turns, 1) if turn.thrown_away or turn.rejected]

    @property
    def shown_turns(self) -> list[tuple[int, Turn]]:
        """The turns of which something was rolled back, numbered from 1; no more than a page can hold."""
        return self._rolled_back[:_TURNS]

    @property
    def hidden_turns(self) -> int:
        """How many more there are."""
        return max(0, len(self._rolled_back) - _TURNS)

    @property
    def kept_rejected(self) -> bool:
        """Whether any text that was rolled back was kept."""
        return any(turn.rejected for turn in self.turns)

    @property
    def thrown_away(self) -> int:
        """Tokens that were rolled back."""
        return sum(turn.thrown_away for turn in self.turns)


def looks_of(sheets: Iterable[Sheet]) -> list[Look]:
    """The legend of several traces."""
    return list(dict.fromkeys(look for sheet in sheets for look in sheet.legend))


def _look(span: Span) -> Look:
    return Look(span.author, span.kind, span.forced)


def _details(span: Span) -> list[Any]:
    ids_from = {IdsFrom.SAMPLED: "sampled", IdsFrom.ENCODED: "encoded from the text", IdsFrom.NONE: ""}[span.ids_from]
    confidence = None if span.confidence is None else round(span.confidence, 3)
    words = len(span.words) and sum(1 for _ in unpack_words(span.words))
    return [_ENDS[span.end], confidence, words, ids_from, int(span.reencoded), span.ids.tolist()]


def _rolled_back(spans: Sequence[Span], turns: Sequence[Turn]) -> Iterator[tuple[int, list[tuple[int, list[int]]]]]:
    """Where turns rolled something back: by span the places in its text, each with the turns' indexes. What was rolled
    back before the first span is under 0, at place 0; with no span at all under -1."""
    found: dict[int, dict[int, list[int]]] = {}
    ends = [[word.end for word in unpack_words(span.words)] for span in spans]
    words = [0] * len(spans)
    last = 0 if spans else -1
    place = 0
    for index, turn in enumerate(turns):
        if turn.span is not None and 0 <= turn.span < len(spans):
            last = turn.span
            words[last] += turn.words
            told = 0 < words[last] < len(ends[last])
            place = ends[last][words[last] - 1] if told else len(spans[last].text)
        if turn.thrown_away or turn.rejected:
            found.setdefault(last, {}).setdefault(place, []).append(index)
    for span, places in found.items():
        yield span, sorted(places.items())
