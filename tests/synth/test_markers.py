"""Markers that come as text: where a code fence begins and ends, and that cutting the text changes nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.synth.markers import Fence, MarkerReader, Markers

MARKERS = Markers(closing=("</think>", "</t>"), ending=("<|im_end|>",))


def read(text: str, sizes: list[int], fence: Fence | None = None) -> tuple[str, str | None]:
    """What is text and the marker behind it, the text arriving in pieces of these sizes."""
    reader = MarkerReader(MARKERS, fence or Fence())
    said, held, marker = "", "", None
    at = 0
    for size in [*sizes, len(text)]:
        held += text[at : at + size]
        at += size
        certain, marker = reader.read(held)
        said, held = said + held[:certain], held[certain:]
        if marker is not None:
            return said, marker
    certain, marker = reader.read(held, final=True)
    return said + held[:certain], marker


FENCED = [
    "```\n{}",
    "```python\n{}",
    "  ```py\nx = 1\n{}",
    "so\n\n```{}",
    "```\na\n```\nb\n````md\n```\n{}",
    "```\r\na\r\n```\r\n```\r\n{}",
    "```a\n``\n{}",
    "```a\n```b\n{}",
    "```{}```",
]
OPEN = [
    "{}",
    "`{}`",
    "``{}",
    "a ```{}",
    "a ``` b\n{}",
    "```a```\n{}",
    "```\na\n```\n{}",
    "```\na\n```{}",
    "```\na\n  ```  \n\n{}",
    "```\na\n`````\n{}",
    "- a\n\n```\nb\n```\n\n``` c ``` {}",
    "~~~\n{}",
]


@pytest.mark.parametrize("text", FENCED)
def test_a_marker_inside_a_code_fence_is_code(text: str) -> None:
    text = text.format("print('</think>')")
    assert read(text, []) == (text, None)


@pytest.mark.parametrize("text", OPEN)
def test_a_marker_outside_a_code_fence_is_found(text: str) -> None:
    before, after = text.split("{}")
    assert read(f"{before}</think>{after}", []) == (before, "</think>")


def test_the_first_marker_outside_a_fence_counts() -> None:
    text = "```\nprint('</think>')\n```\nso <|im_end|> and </think>"
    assert read(text, []) == ("```\nprint('</think>')\n```\nso ", "<|im_end|>")


def test_what_might_begin_a_marker_is_held_back_until_the_author_stops() -> None:
    reader = MarkerReader(MARKERS, Fence())
    assert reader.read("a </thi") == (2, None)
    assert reader.read("</think", final=True) == (7, None)
    assert MarkerReader(Markers(), Fence()).read("a </thi") == (7, None)


def test_a_fence_goes_on_over_what_another_wrote() -> None:
    fence = Fence()
    fence.push("```py")
    fence.push("thon\nx = 1\n")
    assert fence.inside
    assert read("print('</think>')\n```\n</think>", [3], fence) == ("print('</think>')\n```\n", "</think>")
    assert fence.inside  # a reader has its own


bits = st.lists(st.sampled_from(["```", "`", "\n", " ", "a", "<", "</th", "ink>", "</think>", "<|im_end|>", "</t>"]))


@given(text=bits.map("".join), sizes=st.lists(st.integers(1, 9), max_size=40))
def test_how_the_text_is_cut_changes_nothing(text: str, sizes: list[int]) -> None:
    said, marker = read(text, [])
    assert read(text, sizes) == (said, marker)
    assert read(text, [1] * len(text)) == (said, marker)
    assert text.startswith(said + (marker or ""))
    assert marker is not None or said == text


@given(text=bits.map("".join))
def test_fences_are_as_lines_say(text: str) -> None:
    """The same rule, written over the whole text."""
    opened = 0
    for line in text.split("\n"):
        found = re.match(r"\s*(`{3,})", line)
        if found is None:
            continue
        rest = line[found.end() :]
        if not opened:
            opened = 0 if "```" in rest else len(found[1])
        elif len(found[1]) >= opened and not rest.strip():
            opened = 0
    fence = Fence()
    for character in text:
        fence.push(character)
    assert fence.inside == (opened > 0)
