"""Loops end a trace; legal repetition does not (pitfall: loops in thinking)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.synth.guards import RepetitionGuard, looping


def caught(text: str, step: int = 4) -> int | None:
    """How many characters were written when the guard spoke."""
    guard = RepetitionGuard()
    for at in range(0, len(text), step):
        if guard.push(text[at : at + step]):
            return at + step
    return None


PARAGRAPH = (
    "".join(f"Sentence number {n} says that {n * n} is a square and goes on a little. " for n in range(12)) + "\n\n"
)


@pytest.mark.parametrize(
    "unit",
    [
        "Wait, let me check again. ",
        "等等，让我再想一想。",
        "x",
        "I should stop now.\n\n",
        "and so on, and so on; ",
        PARAGRAPH,
    ],
)
def test_a_loop_is_caught(unit: str) -> None:
    at = caught("It began well enough. " + unit * (4000 // len(unit) + 4))
    assert at is not None
    assert at < max(1200, 4 * len(unit))


@pytest.mark.parametrize(
    "text",
    [
        "The matrix is\n" + "0 0 0 0 0 0 0 0\n" * 100,
        "| 1 | 2 | 3 |\n" * 200,
        "```python\n" + "    print(x)\n    x += 1\n" * 60 + "```\n",
        "1, 2, 3, " * 200,
        PARAGRAPH + PARAGRAPH,
        "so so so so " * 20,
    ],
)
def test_legal_repetition_passes(text: str) -> None:
    assert caught("Let me write it down.\n" + text) is None


def test_it_looks_every_128_characters_however_they_come() -> None:
    text = "It began well enough. " + "and again, " * 200
    places = {caught(text, step) for step in (1, 2, 4, 8, 16, 32, 64, 128)}
    assert len(places) == 1
    assert places.pop() % 128 == 0  # type: ignore[operator]


def test_even_symbols_and_code_have_an_end() -> None:
    assert caught("0 " * 9000) is not None
    assert caught("```\n" + "    x += 1\n" * 3000) is not None


def test_real_thinking_passes(shared: Path) -> None:
    import json

    flagged = total = 0
    for path in sorted((shared / "traces").glob("*.jsonl"))[:14]:
        for line in path.read_text("utf-8").split("\n"):
            if line:
                record = json.loads(line)
                if record.get("complete", True):
                    total += 1
                    flagged += caught(record["response"]) is not None
    assert total > 200
    assert flagged <= total * 0.005


@given(unit=st.text(min_size=1, max_size=40).filter(lambda unit: any(map(str.isalpha, unit))), step=st.integers(1, 30))
def test_whatever_repeats_long_enough_is_caught(unit: str, step: int) -> None:
    assert caught(unit * (14000 // len(unit)), step) is not None


@given(text=st.text(max_size=300))
def test_short_text_is_never_a_loop(text: str) -> None:
    assert not looping(text)
