"""Annotation by an engine of any kind: replies become outcomes, outcomes data; the journal survives what there is."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary.making.align import Cause
from antiphon.boundary.making.annotate import JOURNAL, Annotation, write_data
from antiphon.boundary.making.annotator import Annotator
from antiphon.boundary.making.corpus import Corpus, Cut, gather
from antiphon.boundary.making.journal import Journal, Outcome
from antiphon.boundary.making.marked import read_marked
from antiphon.boundary.making.prompt import ask
from antiphon.engine.scripted import Control, Fault, Request, ScriptedEngine, Situation, Token
from antiphon.errors import EngineUnavailable, StoreBusy, StoreUnfit, UsageError
from antiphon.settings import load
from antiphon.synth import outage
from antiphon.trace import Usage

from .annotators import style_of, well, write_traces
from .texts import marked, marked_texts

BEGUN = {"seed": 0}


def settings(**more: Any) -> Any:
    return load(None, {"teacher.model": "lab:teacher", "outage": 0.01, **more}, {})


def completing(reply: Callable[[str], str], **options: Any) -> ScriptedEngine:
    """A completion model that has thought before it replies."""

    def script(here: Situation) -> Iterator[Token]:
        asked, _, written = here.text.rpartition("<|im_start|>assistant\n")
        text = asked.rpartition("The text:\n\n")[2].partition("<|im_end|>")[0]
        whole: list[Token] = [Control("<think>"), "So", Control("</think>"), *reply(text), Control("<|im_end|>")]
        said = ""
        for token in whole:
            spelled = token.text if isinstance(token, Control) else str(token)
            said += spelled
            if len(said) > len(written):
                yield token

    return ScriptedEngine("writer", script, **options)


def annotated(
    engine: ScriptedEngine,
    corpus: Corpus,
    folder: Path,
    on_silence: Callable[[str], None] = lambda error: None,
    **more: Any,
) -> tuple[list[Outcome], Annotation]:
    with Journal(folder / JOURNAL, BEGUN) as journal:
        annotation = Annotation(corpus, journal, settings(**more))

        async def go() -> None:
            annotator = await Annotator.open(settings(**more), lambda *_, **__: engine)
            try:
                await annotation.work(annotator, on_silence=on_silence)
            finally:
                await annotator.close()

        asyncio.run(go())
        return list(journal.outcomes.values()), annotation


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return gather([write_traces(tmp_path / "traces.jsonl", 5)], 5, Cut(26, 40))


@pytest.mark.parametrize("ids", [True, False])
def test_a_completion_model_is_asked_in_its_dialect(corpus: Corpus, tmp_path: Path, ids: bool) -> None:
    outcomes, annotation = annotated(
        completing(well, ids=ids), corpus, tmp_path / "data", **{"teacher.dialect": "qwen3"}
    )
    assert [outcome.cause for outcome in outcomes] == [None] * 5
    assert all(outcome.slice.style == style_of(outcome.slice.text) for outcome in outcomes)
    assert annotation.usage.requests == 5
    assert annotation.usage.received > 100
    assert annotation.usage.prompt > 5 * 300


def test_broken_streams_are_taken_up(corpus: Corpus, tmp_path: Path) -> None:
    def faults(request: Request) -> Fault | None:
        return Fault("break", after=20) if request.number % 3 else None

    outcomes, annotation = annotated(
        completing(well, faults=faults), corpus, tmp_path / "data", concurrency=2, **{"teacher.dialect": "qwen3"}
    )
    assert all(outcome.slice.style == style_of(outcome.slice.text) for outcome in outcomes)
    assert annotation.usage.requests > 5


FAULTS = {
    "refuse": (Cause.SERVER, "writer refused the request"),
    "break": (Cause.SERVER, "writer closed the stream; it was broken stream 3 (guards.breaks)"),
    "end": (Cause.HALF, ""),
}


@pytest.mark.parametrize("kind", ["refuse", "break", "end"])
def test_a_request_that_fails_is_an_outcome(corpus: Corpus, tmp_path: Path, kind: Any) -> None:
    engine = completing(well, faults=lambda request: Fault(kind, after=9 if kind == "break" else 90))
    more: dict[str, Any] = {"teacher.dialect": "qwen3", "guards.breaks": 2, "concurrency": 1}
    outcomes, _ = annotated(engine, corpus, tmp_path / "data", **more)
    assert {(outcome.cause, outcome.detail) for outcome in outcomes} == {FAULTS[kind]}


def test_a_reply_that_is_cut_off_or_loops_is_half_a_text(corpus: Corpus, tmp_path: Path) -> None:
    more = {"teacher.dialect": "qwen3"}
    outcomes, _ = annotated(completing(well), corpus, tmp_path / "a", **{**more, "budget.answer": 30})
    assert {(outcome.cause, outcome.detail) for outcome in outcomes} == {
        (Cause.HALF, "cut off after 30 tokens (budget.answer)")
    }
    looping = completing(lambda text: "over and over " * 1000)
    outcomes, annotation = annotated(looping, corpus, tmp_path / "b", **more)
    assert {outcome.cause for outcome in outcomes} == {Cause.HALF}
    assert annotation.usage.received < 5 * 2000


def test_a_context_that_is_too_small_is_said(corpus: Corpus, tmp_path: Path) -> None:
    outcomes, _ = annotated(completing(well, context=100), corpus, tmp_path, **{"teacher.dialect": "qwen3"})
    assert {outcome.cause for outcome in outcomes} == {Cause.SERVER}
    assert "fill its context of 100 tokens" in outcomes[0].detail


def test_a_model_that_is_gone_keeps_what_it_did_and_the_rest_pending(corpus: Corpus, tmp_path: Path) -> None:
    engine = completing(well, faults=lambda request: Fault("gone") if request.number == 3 else None)
    more = {"teacher.dialect": "qwen3", "concurrency": 1}
    with pytest.raises(EngineUnavailable, match="given up"):
        annotated(engine, corpus, tmp_path / "data", **more)
    outcomes, annotation = annotated(completing(well), corpus, tmp_path / "data", **more)
    assert len(outcomes) == 5
    assert annotation.usage.requests == 3


def test_a_model_that_comes_back_is_asked_for_all(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "_FIRST_WAIT", 0.001)
    engine = completing(well, faults=lambda request: Fault("gone") if request.number == 3 else None)
    heard: list[str] = []

    def come_back(error: str) -> None:
        heard.append(error)
        engine.down = False

    more = {"teacher.dialect": "qwen3", "outage": 60}
    outcomes, annotation = annotated(engine, corpus, tmp_path / "data", come_back, **more)
    assert heard == ["writer does not answer"]
    assert ([outcome.cause for outcome in outcomes], len(annotation.pending)) == ([None] * 5, 0)


def test_a_limit_on_spending_stops_it_gently(corpus: Corpus, tmp_path: Path) -> None:
    more = {"teacher.dialect": "qwen3", "concurrency": 1}
    limited = {**more, "teacher.price_in": 1e6, "max.cost": 100}
    outcomes, annotation = annotated(completing(well), corpus, tmp_path, **limited)
    assert len(outcomes) == 1
    assert len(annotation.pending) == 4
    assert annotation.spend.stopped is not None
    outcomes, annotation = annotated(completing(well), corpus, tmp_path, **limited)
    assert annotation.usage.requests == 0
    assert len(outcomes) == 1


# -- the journal

OUTCOMES = st.builds(
    Outcome,
    slice=marked_texts(),
    test=st.booleans(),
    annotator=st.text(max_size=5),
    cause=st.none() | st.sampled_from(Cause),
    detail=st.text(max_size=5),
    reply=st.text(max_size=20),
    usage=st.builds(Usage, st.integers(0, 3), st.integers(0, 9), cached=st.none() | st.integers(0, 9)),
)


@given(st.lists(OUTCOMES, min_size=1, max_size=4, unique_by=lambda outcome: outcome.slice.id), st.data())
def test_wherever_a_journal_is_torn_all_whole_lines_are_there(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[Outcome], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / JOURNAL
    with Journal(path, BEGUN) as journal:
        for outcome in outcomes:
            journal.add(outcome)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    os.truncate(path, at)
    left = max(0, whole[:at].count(b"\n") - 1)
    with Journal(path, BEGUN) as journal:
        assert list(journal.outcomes.values()) == outcomes[:left]
        assert (journal.repaired is None) is (not at or whole[at - 1 : at] == b"\n")
        for outcome in outcomes[left:]:
            journal.add(outcome)
    assert path.read_bytes() == whole
    with Journal(path, BEGUN) as journal:
        assert (list(journal.outcomes.values()), journal.repaired) == (outcomes, None)


def test_of_several_outcomes_of_a_slice_the_last_counts_and_all_are_paid_for(tmp_path: Path) -> None:
    first = Outcome(marked("so x", id="a"), False, "m", Cause.EMPTY, usage=Usage(1, 5))
    second = replace(first, cause=None, slice=marked("so x", [True], id="a"))
    with Journal(tmp_path / JOURNAL, BEGUN) as journal:
        journal.add(first)
        journal.add(second)
    with Journal(tmp_path / JOURNAL, BEGUN) as journal:
        assert journal.outcomes == {"a": second}
        assert journal.spent == Usage(2, 10)


def test_a_journal_begun_otherwise_or_by_others_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    with Journal(path, BEGUN), pytest.raises(StoreBusy, match="another process"):
        Journal(path, BEGUN)
    with pytest.raises(UsageError, match="was begun otherwise: seed was 0, not 1"):
        Journal(path, {"seed": 1})
    for content, says in {
        '{"format": 99}\n{"new": 1}\n': "of this version|that this version reads",
        "notes of mine": "no journal of annotations",
        '{"format": 1, "seed": 0}\nbroken\n': "journal:2 is damaged",
        '{"format": 1, "seed": 0}\n{"slice": 1}\n': "journal:2 is damaged",
    }.items():
        path.write_text(content, "utf-8")
        with pytest.raises(StoreUnfit, match=says):
            Journal(path, BEGUN)
        assert path.read_text("utf-8") == content


# -- data


def test_data_are_the_marked_slices_by_side(tmp_path: Path) -> None:
    one, two = marked("so x", [True], id="a", fields={"licence": "MIT"}), marked("so y", [True], id="b")
    outcomes = [
        Outcome(two, True, "m"),
        Outcome(one, False, "m"),
        Outcome(marked("z", id="c"), False, "m", Cause.EMPTY),
    ]
    assert write_data(tmp_path, outcomes) == (1, 1)
    assert read_marked(tmp_path / "train.jsonl") == [replace(one, fields={"licence": "MIT", "annotator": "m"})]
    assert [item.id for item in read_marked(tmp_path / "test.jsonl")] == ["b"]
    assert [json.loads(line)["text"] for line in (tmp_path / "test.jsonl").read_text("utf-8").splitlines()] == ["so y"]


def test_a_problem_stays_on_its_side_when_the_traces_grow(tmp_path: Path) -> None:
    few = gather([write_traces(tmp_path / "few.jsonl", 5)], 5, Cut(26, 40))
    annotated(completing(well), few, tmp_path / "data", **{"teacher.dialect": "qwen3"})
    paths = [tmp_path / "few.jsonl", write_traces(tmp_path / "many.jsonl", 20)]
    many = gather(paths, 40, Cut(20, 25), test_share=0.5)
    outcomes, _ = annotated(completing(well), many, tmp_path / "data", **{"teacher.dialect": "qwen3"})
    sides: dict[str, set[bool]] = {}
    for outcome in outcomes:
        sides.setdefault(outcome.slice.problem_key, set()).add(outcome.test)
    assert len(sides) == 20
    assert all(len(side) == 1 for side in sides.values())
    assert few.tests <= {key for key, side in sides.items() if side == {True}}


def test_the_prompt_shows_a_proposal_in_the_text_and_says_so() -> None:
    (plain,), (proposed,) = ask("so x"), ask("so x", ((0, 2),))
    assert plain["content"].endswith("\n\nso x")
    assert proposed["content"].endswith("\n\n⟦so⟧ x")
    assert "rules" in proposed["content"]
    assert "rules" not in plain["content"]
