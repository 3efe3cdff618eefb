"""How a trace is written for people: marks, colours, wrapping, piece by piece."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from antiphon.cli.pen import Pen
from antiphon.cli.terminal import visible
from antiphon.trace import Author, Kind

S, T = Author.STUDENT, Author.TEACHER


def paper(width: int = 80, *, colour: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )


def on(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_word_two_authors_share_is_one_word() -> None:
    console = paper()
    pen = Pen(console)
    pen.write(S, Kind.STYLE, "Okay so")
    pen.write(T, Kind.CAPABILITY, "me 12")
    pen.close()
    assert on(console) == "[Okay so]{me 12}\n"


def test_marks_stand_beside_words_and_not_beside_blanks() -> None:
    console = paper()
    pen = Pen(console)
    pen.write(S, Kind.STYLE, "Okay,\n\n")
    pen.write(T, Kind.CAPABILITY, "x=1 ")
    pen.write(S, Kind.ANSWER, " done")
    pen.close()
    assert on(console) == "[Okay,]\n\n{x=1}  [done]\n"


def test_what_is_rolled_back_is_set_apart() -> None:
    console = paper()
    pen = Pen(console)
    pen.write(S, Kind.STYLE, "Okay")
    pen.strike(S, " 1 +\n 2")
    pen.write(T, Kind.CAPABILITY, " 3")
    pen.strike(T, ", so")
    pen.strike(S, "  ")
    pen.write(S, Kind.STYLE, "!")
    pen.close()
    assert on(console) == "[Okay] ~~[1 + 2]~~ {3} ~~{, so}~~ [!]\n"


def test_colours_take_the_place_of_marks() -> None:
    console = paper(colour=True)
    pen = Pen(console)
    pen.write(S, Kind.STYLE, "so")
    pen.write(T, Kind.CAPABILITY, " 12")
    pen.strike(T, " so")
    pen.write(S, Kind.STYLE, " But", forced=True)
    pen.close()
    assert on(console) == "\x1b[36mso\x1b[0m \x1b[35m12\x1b[0m \x1b[2;9;35mso\x1b[0m \x1b[1;4;36mBut\x1b[0m\n"


def test_no_colour_is_heeded() -> None:
    console = paper(colour=True)
    console.no_color = True
    pen = Pen(console)
    pen.write(S, Kind.STYLE, "so")
    pen.close()
    assert on(console) == "[so]\n"


def test_text_is_written_as_it_comes() -> None:
    console = paper()
    pen = Pen(console)
    pen.write(S, Kind.STYLE, "Okay, let m")
    assert on(console) == "[Okay, let"
    pen.write(S, Kind.STYLE, "e see")
    assert on(console) == "[Okay, let me"


stretches = st.lists(
    st.tuples(
        st.sampled_from([S, T]),
        st.text(st.sampled_from("ab 漢\n\té\u0301😀")),
    ),
    max_size=12,
)


@given(stretches, st.integers(20, 60), st.booleans())
def test_nothing_is_lost_and_no_line_is_too_long(stretches: list[tuple[Author, str]], width: int, colour: bool) -> None:
    console = paper(width)
    pen = Pen(console)
    for author, text in stretches:
        pen.write(author, Kind.STYLE, text)
    pen.close()
    written = on(console)
    whole = "".join(text for _, text in stretches)
    assert "".join(c for c in written if c not in "[]{}").split() == visible(whole).split() or "漢" in whole
    assert "".join(c for c in written if c not in "[]{}" and not c.isspace()) == "".join(visible(whole).split())
    for line in written.splitlines():
        assert cell_len(line) <= width or len(line.split()) == 1


@given(stretches)
def test_how_the_text_is_cut_into_pieces_shows_nowhere(stretches: list[tuple[Author, str]]) -> None:
    whole, pieces = paper(30), paper(30)
    pen = Pen(whole)
    for author, text in stretches:
        pen.write(author, Kind.STYLE, text)
    pen.close()
    pen = Pen(pieces)
    for author, text in stretches:
        for character in text:
            pen.write(author, Kind.STYLE, character)
    pen.close()
    assert on(whole) == on(pieces)


def test_text_that_would_steer_the_terminal_is_spelled_out() -> None:
    assert visible("a\x1b[2Jb\x07\x9b\u202e\ud800\r\nc\rd") == "a␛[2Jb␇\\x9b\\u202e\\ud800\nc␍d"
