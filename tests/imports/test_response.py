"""A response taken apart: the pieces joined are the text, and each piece is what it is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.dialect import load
from antiphon.imports.response import Response, apart, inline
from antiphon.trace import Author, Kind, Span, SpanEnd

_PIECES = st.sampled_from(
    (
        *(
            "<think>",
            "</think>",
            "\n",
            "\r\n",
            " ",
            "\n\n",
            "So x = 2.",
            "Wait,",
            "```",
            "\ud800",
            "é",
            "analysisWe",
            "",
        ),
        *("<|channel|>analysis<|message|>", "<|end|>", "<|start|>assistant", "<|channel|>final<|message|>"),
        *(
            "<|return|>",
            "analysisWe",
            "assistantfinal",
            "<|begin_of_thought|>",
            "<|end_of_thought|>",
            "<|begin_of_solution|>",
        ),
        *("<|end_of_solution|>", "[THINK]", "[/THINK]", "<|channel|>commentary<|message|>"),
    )
)


def joined(response: Response) -> str:
    return f"{response.opening}{response.thinking or ''}{response.closing}{response.answer}{response.ending}"


@given(st.lists(_PIECES, max_size=12).map("".join), st.booleans())
def test_nothing_is_lost(text: str, cut: bool) -> None:
    response = inline(text, cut=cut)
    assert joined(response) == text
    spans = response.spans(cut=cut, markers=Author.UNKNOWN)
    assert "".join(span.text for span in spans) == text
    assert all(span.text for span in spans)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("<think>\nA.\n</think>\n\nB", ("<think>\n", "A.", "\n</think>\n\n", "B", "")),
        ("<think>A.</think>B", ("<think>", "A.", "</think>", "B", "")),
        ("\nA.\n</think>\n\nB\n", ("\n", "A.", "\n</think>\n\n", "B\n", "")),
        ("<think>\r\nA.\r\n</think>\r\nB", ("<think>\r\n", "A.", "\r\n</think>\r\n", "B", "")),
        ("<think>\n\n</think>\n\nB", ("<think>\n\n", "", "</think>\n\n", "B", "")),
        ("[THINK]A.[/THINK]B", ("[THINK]", "A.", "[/THINK]", "B", "")),
        (
            "<|begin_of_thought|>\n\nA.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nB\n\n<|end_of_solution|>",
            (
                "<|begin_of_thought|>\n\n",
                "A.",
                "\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n",
                "B",
                "\n\n<|end_of_solution|>",
            ),
        ),
        (
            "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
            (
                "<|channel|>analysis<|message|>",
                "A.",
                "<|end|><|start|>assistant<|channel|>final<|message|>",
                "B",
                "<|return|>",
            ),
        ),
        ("analysisWe add.assistantfinalB", ("analysis", "We add.", "assistantfinal", "B", "")),
        ("<think>\nA.\n</think>\n<think>\nA2.\n</think>\nB", ("<think>\n", "A.", "\n</think>\n", None, "")),
    ],
)
def test_each_piece_is_what_it_is_called(text: str, pieces: tuple[str | None, ...]) -> None:
    opening, thinking, closing, answer, ending = pieces
    if answer is None:  # several blocks: the first is the thinking, what follows it the answer
        answer = "<think>\nA2.\n</think>\nB"
    assert inline(text, cut=False) == Response(opening or "", thinking, closing or "", answer, ending or "", True)


def test_a_channel_that_is_spoken_of_in_the_thinking_is_text() -> None:
    thinking = "It opens with <|channel|>analysis<|message|> and I say so."
    assert inline(f"<think>\n{thinking}\n</think>\n\nB", cut=False).thinking == thinking


def test_without_thinking_all_of_it_is_the_answer() -> None:
    assert inline("42", cut=False).spans(cut=False, markers=Author.UNKNOWN) == (
        Span(Author.UNKNOWN, Kind.ANSWER, "42", end=SpanEnd.END_OF_TURN),
    )
    final = inline("<|channel|>final<|message|>42<|return|>", cut=False)
    assert (final.thinking, final.answer) == (None, "42")


@pytest.mark.parametrize("text", ["<think>\nA.\n", "A.\n", "<|channel|>analysis<|message|>A.\n"])
def test_a_thinking_that_was_cut_off_is_open(text: str) -> None:
    response = inline(text, cut=True)
    assert (response.closed, response.answer, response.thinking) == (False, "", "A.\n")
    assert response.spans(cut=True, markers=Author.UNKNOWN)[-1].end is SpanEnd.BUDGET


def test_thinking_told_apart_is_put_between_markers() -> None:
    assert joined(apart("A.", "B", cut=False)) == "<think>\nA.\n</think>\n\nB"
    assert joined(apart("A.", "", cut=True)) == "<think>\nA."


def test_markers_in_the_spelling_of_a_family() -> None:
    qwen = load("qwen3", template=None, has_control=None, controls=None)
    harmony = inline(
        "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>", cut=False
    )
    assert joined(harmony.spelled(qwen)) == "<think>\nA.\n</think>\n\nB"
    assert joined(inline("A.\n</think>\n\nB", cut=False).spelled(qwen)) == "<think>\nA.\n</think>\n\nB"
    assert joined(inline("A.", cut=True).spelled(qwen)) == "<think>\nA."
    assert joined(inline("42", cut=False).spelled(qwen)) == "42"
