"""Writes a trace for people: word by word, wrapped, each author in its colour, or in its marks where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from antiphon.boundary.words import CJK
from antiphon.cli.terminal import in_colour, visible
from antiphon.trace import Author, Kind, Span

_HUES = {Author.STUDENT: "cyan", Author.TEACHER: "magenta", Author.UNKNOWN: "yellow", Author.NONE: "dim"}
_MARKS = {Author.STUDENT: ("[", "]"), Author.TEACHER: ("{", "}"), Author.UNKNOWN: ("(", ")")}
_SINGLE = re.compile(f"[{CJK}]")
_BREAKS = re.compile(f"\\s+|[{CJK}]|[^\\s{CJK}]+")


class Look(NamedTuple):
    """How a stretch is shown."""

    author: Author
    kind: Kind
    forced: bool = False
    struck: bool = False

    @property
    def style(self) -> str:
        """As rich names it."""
        style = _HUES[self.author]
        if self.struck:
            return f"dim strike {style}"
        if self.forced:
            return f"bold underline {style}"
        return f"bold {style}" if self.kind is Kind.ANSWER else style

    @property
    def marks(self) -> tuple[str, str]:
        """What stands around it where there is no colour."""
        opening, closing = _MARKS.get(self.author, ("", ""))
        around = "~~" if self.struck else "*" if self.forced else ""
        return around + opening, closing + around


class Pen:
    """Writes stretches of text as they come. A word is written once it is known to end, so that it is never broken
    at the edge; `close` writes what is left."""

    def __init__(self, console: Console):
        self._console = console
        self._colour = in_colour(console)
        self._width = max(20, console.width - 1) - (0 if self._colour else 4)  # 4: marks that close behind a word
        self._column = 0
        self._blanks = Text()
        self._word = Text()
        self._look: Look | None = None  # whose marks are open
        self._set_apart = False  # a blank is due, unless the text has one

    def write(self, author: Author, kind: Kind, text: str, *, forced: bool = False) -> None:
        """Text of the trace."""
        self._put(Look(author, kind, forced), text)

    def strike(self, author: Author, text: str) -> None:
        """Text that was rolled back: set apart by blanks, its line breaks left out."""
        if words := " ".join(text.split()):
            self._set_apart = True
            self._put(Look(author, Kind.THINKING, struck=True), words)
            self._close_marks()
            self._flush()
            self._set_apart = True

    def close(self) -> None:
        """Writes the last word and ends the line."""
        self._close_marks()
        self._flush()
        self._blanks = Text()
        if self._column:
            self._console.print()
            self._column = 0

    def _put(self, look: Look, text: str) -> None:
        style = look.style if self._colour else ""
        for found in _BREAKS.finditer(visible(text)):
            part = found[0]
            if part.isspace():
                self._flush()
                self._set_apart = False
                self._blanks.append(part, style if look.struck else "")
                continue
            if self._set_apart:
                self._close_marks()
                self._flush()
                self._blanks.append("" if self._blanks or not self._column else " ")
                self._set_apart = False
            if look != self._look:
                self._close_marks()
                self._look = look
                if not self._colour:
                    self._word.append(look.marks[0])
            self._word.append(part, style)
            if _SINGLE.fullmatch(part):
                self._flush()

    def _close_marks(self) -> None:
        if self._look is not None and not self._colour:
            closing = self._look.marks[1]
            if self._word:
                self._word.append(closing)
            elif closing:
                self._emit(Text(closing))
        self._look = None

    def _flush(self) -> None:
        """Writes the word, after the blanks before it or on a new line."""
        word, blanks = self._word, self._blanks
        if not word:
            return
        self._word, self._blanks = Text(), Text()
        lines = blanks.split("\n", allow_blank=True)
        for _ in lines[1:]:
            self._new_line()
        if self._column and self._column + lines[-1].cell_len + word.cell_len > self._width:
            self._new_line()
        else:
            self._emit(lines[-1])
        self._emit(word)

    def _new_line(self) -> None:
        self._console.print()
        self._column = 0

    def _emit(self, text: Text) -> None:
        if text:
            self._console.print(text, end="", soft_wrap=True)
            self._column += text.cell_len


def write_spans(console: Console, spans: Iterable[Span]) -> None:
    """A whole trace."""
    pen = Pen(console)
    for span in spans:
        pen.write(span.author, span.kind, span.text, forced=span.forced)
    pen.close()


def write_legend(console: Console, looks: Iterable[Look]) -> None:
    """What the colours or marks mean, for those that occur."""
    colour = in_colour(console)
    named: dict[tuple[Author, str, tuple[str, str]], list[str]] = {}
    for look in dict.fromkeys(looks):
        if look.author is not Author.NONE:
            key = (look.author, look.style, ("", "")) if colour else (look.author, "", look.marks)
            named.setdefault(key, []).append("rolled back" if look.struck else "forced" if look.forced else look.kind)
    line = Text()
    for (author, style, (opening, closing)), kinds in named.items():
        entry = Text(f"{opening}{author}: {', '.join(dict.fromkeys(kinds))}{closing}", style)
        if line and line.cell_len + 3 + entry.cell_len > console.width:
            console.print(line)
            line = Text()
        line = Text("   ").join([line, entry]) if line else entry
    console.print(line)
