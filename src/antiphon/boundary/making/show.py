"""Marked texts to look at: what was marked as style, what a predictor gave, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from antiphon.boundary.making.forms import Style
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.scores import Counts, Figures, figures, total

_PAGE = Path(__file__).with_name("show.html")


class Mark(StrEnum):
    """What a stretch of text is: no style, style, or where a predictor differs from the marks."""

    NONE = "none"
    STYLE = "style"
    MISSED = "missed"  # marked, and not given
    TOO_MUCH = "too much"  # given, and not marked


@dataclass(frozen=True, slots=True)
class Sheet:
    """A marked text and what a predictor gave.

    Attributes:
        given: its spans, None where nobody was asked.
        counts: how they agree with the marks, None likewise.
    """

    marked: MarkedText
    given: Style | None = None
    counts: Counts | None = None

    @property
    def stretches(self) -> list[tuple[str, Mark]]:
        """The text in pieces, each with what it is."""
        return list(stretches(self.marked.text, self.marked.style, self.given))

    @property
    def about(self) -> str:
        """Where the text comes from."""
        return ", ".join(filter(None, (self.marked.domain, self.marked.model)))

    @property
    def figures(self) -> Figures | None:
        return None if self.counts is None else figures(self.counts)


def stretches(text: str, marked: Style, given: Style | None = None) -> Iterator[tuple[str, Mark]]:
    """A text in pieces, each with what it is. `given` None: nobody but the marks says anything."""
    given = marked if given is None else given
    edges = sorted({0, len(text), *(at for span in (*marked, *given) for at in span)})
    before, start = Mark.NONE, 0
    for at in edges:
        mark = _mark(_covers(marked, at), _covers(given, at))
        if at == len(text) or mark is not before:
            if at > start:
                yield text[start:at], before
            before, start = mark, at


def write_page(path: Path, sheets: Sequence[Sheet], boundary: str | None = None) -> None:
    """Writes texts as one HTML page that needs nothing else.

    Args:
        boundary: the predictor that was asked.

    Raises:
        OSError: the file cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    counts = [sheet.counts for sheet in sheets if sheet.counts is not None]
    page = environment.from_string(_PAGE.read_text("utf-8")).render(
        sheets=sheets, boundary=boundary, figures=figures(total(counts)) if counts else None, marks=Mark
    )
    path.write_text(page, "utf-8", errors="replace")


def _covers(style: Style, at: int) -> bool:
    return any(start <= at < end for start, end in style)


def _mark(marked: bool, given: bool) -> Mark:
    if marked:
        return Mark.STYLE if given else Mark.MISSED
    return Mark.TOO_MUCH if given else Mark.NONE
