"""Likelihood by author, kind and position: every token is in one part, and nothing is scored twice."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings

from antiphon.analyse.likelihood import measures_of
from antiphon.analyse.scores import Scored, Scores
from antiphon.analyse.scoring import Scorer
from antiphon.analyse.text import Stretch, Text
from antiphon.errors import ModelError, StoreFull
from antiphon.trace import Author, Kind
from tests.analyse.runs import ANSWER, CAPABILITY, NONE, STUDENT, STYLE, TEACHER, Scoring, chance, model_of, texts
from tests.cli.pair import Letters

ASKED = ({"role": "user", "content": "2+2?"},)
TEXT = Text(
    "k",
    "p",
    ASKED,
    (Stretch(STUDENT, STYLE, "okay, so"), Stretch(TEACHER, CAPABILITY, " 2+2=4"), Stretch(STUDENT, ANSWER, "It is 4.")),
)


def scored(engine: Scoring, *given_texts: Text, folder: Path | None = None) -> list[Scored]:
    async def work() -> list[Scored]:
        scorer = Scorer(await model_of(engine), folder)
        await scorer.require()
        return await scorer.score(given_texts)

    return asyncio.run(work())


@settings(max_examples=60)
@given(texts())
def test_parts_sum_to_the_whole_whatever_is_scored(text: Text) -> None:
    for vocabulary in (None, Letters()):
        engine = Scoring(vocabulary=vocabulary)
        (found,) = scored(engine, text)
        ids = engine.scored[0] if engine.scored else []
        prompt = len(ids) - sum(cell.tokens for cell in found.cells)
        nats = -sum(chance(token, number) for number, token in enumerate(ids) if number >= prompt)
        assert sum(cell.nats for cell in found.cells) == pytest.approx(nats)
        measures = measures_of(found)
        parts = [value for name, value in measures.items() if "part of the whole" in name]
        assert sum(over for over, _ in parts) == pytest.approx(measures.get("whole response", (0, 0))[0])
        by = defaultdict(float)
        for cell in found.cells:
            by[cell.author] += cell.nats
        for author, amount in by.items():
            if author is not Author.NONE:
                assert measures[f"written by {author}"][0] == pytest.approx(amount)
        tenths = [value for name, value in measures.items() if name.startswith("whole response, tenth")]
        assert sum(over for over, _ in tenths) == pytest.approx(nats)


def test_a_token_belongs_to_the_stretch_of_its_first_character_that_is_no_blank() -> None:
    (found,) = scored(Scoring(), TEXT)
    counts: dict[tuple[Author, Kind], int] = defaultdict(int)
    for cell in found.cells:
        counts[cell.author, cell.kind] += cell.tokens
    # "okay," " so" | " 2+2=4" + "\n" of the close, </think>, two line breaks | "It" " is" " 4." <|im_end|>
    assert counts[STUDENT, STYLE] == 2
    assert counts[TEACHER, CAPABILITY] == 1
    assert counts[STUDENT, ANSWER] == 3
    assert counts[NONE, Kind.MARKER] >= 2


def test_a_tokenizer_that_does_not_give_back_the_text_is_asked_piece_by_piece() -> None:
    class Lower(Letters):
        def encode(self, text: str):  # type: ignore[no-untyped-def]
            return super().encode(text.lower())

    (found,) = scored(Scoring(vocabulary=Lower()), TEXT)
    counts: dict[Kind, int] = defaultdict(int)
    for cell in found.cells:
        counts[cell.kind] += cell.tokens
    assert (
        counts[STYLE] == len("okay, so") and counts[CAPABILITY] == len(" 2+2=4") and counts[ANSWER] == len("it is 4.")
    )


def test_what_was_scored_is_kept_and_a_torn_line_costs_itself_only(tmp_path: Path) -> None:
    other = Text("k2", "p", ASKED, (Stretch(TEACHER, CAPABILITY, "2+2=5"),))
    first = scored(Scoring(vocabulary=Letters()), TEXT, other, folder=tmp_path)
    engine = Scoring(vocabulary=Letters())
    assert scored(engine, TEXT, other, folder=tmp_path) == first
    assert not engine.scored
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert scored(engine, TEXT, other, folder=tmp_path) == first
    assert len(engine.scored) == 1
    assert scored(engine, TEXT, other, folder=tmp_path) == first
    assert len(engine.scored) == 1, "what followed the torn line was kept"


def test_another_author_of_the_same_words_is_another_score(tmp_path: Path) -> None:
    engine = Scoring()
    again = Text("k", "p", ASKED, tuple(Stretch(TEACHER, one.kind, one.text) for one in TEXT.stretches))
    a, b = scored(engine, TEXT, again, folder=tmp_path)
    assert len(engine.scored) == 2
    assert sum(cell.nats for cell in a.cells) == pytest.approx(sum(cell.nats for cell in b.cells))
    assert {cell.author for cell in b.cells} == {TEACHER, NONE}


def test_what_the_context_does_not_hold_is_in_no_part() -> None:
    engine = Scoring()
    (whole,) = scored(engine, TEXT)
    (begun,) = scored(Scoring(context=len(engine.scored[0]) - 4), TEXT)
    assert begun.cut and not whole.cut
    assert sum(cell.tokens for cell in begun.cells) == sum(cell.tokens for cell in whole.cells) - 4
    (nothing,) = scored(Scoring(context=16), Text("k", "p", ({"role": "user", "content": "x " * 50},), TEXT.stretches))
    assert nothing == Scored((), True)


def test_a_text_that_cannot_be_scored_costs_itself_only(tmp_path: Path) -> None:
    async def work() -> tuple[list[Scored], list[str]]:
        scorer = Scorer(await model_of(Scoring()), tmp_path)
        unasked = Text("no question", "p", ({"role": "assistant", "content": "4"},), TEXT.stretches)
        return await scorer.score([unasked, TEXT]), scorer.unscored

    (nothing, found), unscored = asyncio.run(work())
    assert nothing == Scored((), False) and found.cells
    assert len(unscored) == 1 and "no question" in unscored[0]
    assert scored(Scoring(), TEXT, folder=tmp_path)[0] == found


def test_a_model_that_cannot_score_is_told_of() -> None:
    with pytest.raises(ModelError, match="vLLM or SGLang"):
        scored(Scoring(scoring=False), TEXT)


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreFull, match="--scores"):
        Scores(tmp_path / "file" / "scores.jsonl")
