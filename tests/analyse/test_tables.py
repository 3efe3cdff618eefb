"""Traces as tables: each row is its trace's, each part is counted once, text is the record's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon.trace import Author, IdsFrom, Key, Kind, Label, Span, SpanEnd, Status, Trace, Turn, Usage, Verdict
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, UNKNOWN, span, write_run

SPANS = st.builds(
    Span,
    st.sampled_from(Author),
    st.sampled_from(Kind),
    st.text(st.characters() | st.sampled_from("a \n\0\ud800\udfff漢"), max_size=20),
    st.lists(st.integers(0, 2**32 - 1), max_size=5).map(antiphon.trace.pack_ids),
    st.sampled_from(IdsFrom),
    st.none() | st.sampled_from(SpanEnd),
    st.none() | st.floats(0.5, 1),
    forced=st.booleans(),
)
VERDICTS = st.builds(Verdict, st.text(), st.text(), st.sampled_from(Label), st.text())
TRACES = st.builds(
    Trace,
    st.builds(Key, st.text(), st.text(), st.integers(0, 9)),
    st.lists(SPANS, max_size=6).map(tuple),
    st.none() | st.sampled_from(Status),
    verdicts=st.lists(st.builds(Verdict, st.text(), st.text(), st.sampled_from(Label), st.text()), max_size=2).map(
        tuple
    ),
    started=st.none() | st.floats(0, 2e9),
)


def held(text: str) -> str:
    """Text as Arrow can hold it."""
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


@given(st.lists(TRACES, max_size=4))
def test_a_row_a_trace_with_all_of_its_parts(traces: list[Trace]) -> None:
    rows = antiphon.trace_table(traces).to_pylist()
    assert [(row["problem"], row["variant"], row["sample"]) for row in rows] == [
        (held(trace.key.problem), held(trace.key.variant), trace.key.sample) for trace in traces
    ]
    for row, trace in zip(rows, traces, strict=True):
        assert row["status"] == (trace.status or "pending")
        assert row["verdict"] == (trace.verdicts[-1].label if trace.verdicts else None)
        assert row["spans"] == len(trace.spans)
        parts = [s for s in trace.spans if s.kind is not Kind.MARKER]
        assert row["tokens"] == sum(s.tokens for s in parts)
        if all(s.author is not Author.NONE for s in parts):
            assert sum(of(row, "words_").values()) == row["words"]
            assert sum(of(row, "tokens_").values()) == row["tokens"]


def of(row: Mapping[str, Any], prefix: str) -> dict[str, int]:
    return {name: value for name, value in row.items() if name.startswith(prefix)}


@given(st.lists(TRACES, max_size=4))
def test_a_row_a_span_and_the_text_is_the_record(traces: list[Trace]) -> None:
    rows = antiphon.span_table(traces).to_pylist()
    assert len(rows) == sum(len(trace.spans) for trace in traces)
    for trace in traces:
        own, rows = rows[: len(trace.spans)], rows[len(trace.spans) :]
        assert "".join(row["text"] for row in own) == held(trace.response)
        for number, (row, part) in enumerate(zip(own, trace.spans, strict=True)):
            assert row["span"] == number and held(trace.response)[row["start"] :].startswith(row["text"])
            assert (row["author"], row["kind"], row["end"]) == (part.author, part.kind, part.end)
            assert (row["tokens"], row["confidence"], row["forced"]) == (part.tokens, part.confidence, part.forced)


def test_figures_of_one_trace() -> None:
    pieces = [(STUDENT, STYLE, "Okay, so "), (TEACHER, CAPABILITY, "3+4 is 7. "), (UNKNOWN, ANSWER, "It is 7.")]
    usage = {STUDENT: Usage(2, 9, 6, None, 0.5, prompt=20), TEACHER: Usage(1, 5, 5, 3, 1.5, prompt=30, told=30)}
    verdicts = (Verdict("exact", "1", Label.WRONG), Verdict("math", "2", Label.RIGHT, "7"))
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    trace = Trace(
        Key("p", "tessy", 1),
        tuple(span(*piece) for piece in pieces),
        Status.COMPLETE,
        closed_by=TEACHER,
        usage=usage,
        verdicts=verdicts,
        finished=at.timestamp(),
    )
    (row,) = antiphon.trace_table([trace]).to_pylist()
    told = {name: value for name, value in row.items() if value not in (0, None, "")}
    assert told == {
        "problem": "p",
        "variant": "tessy",
        "sample": 1,
        "status": "complete",
        "result": "right",
        "verdict": "right",
        "verifier": "math",
        "detail": "7",
        "closed_by": "teacher",
        "finished": at,
        "spans": 3,
        "words": 8,
        "words_student_style": 2,
        "words_teacher_capability": 3,
        "words_unknown_answer": 3,
        "tokens": 13,
        "tokens_student_style": 4,
        "tokens_teacher_capability": 5,
        "tokens_unknown_answer": 4,
        "requests_student": 2,
        "received_student": 9,
        "kept_student": 6,
        "thrown_away_student": 3,
        "requests_teacher": 1,
        "received_teacher": 5,
        "kept_teacher": 5,
        "cached_teacher": 3,
        "prompt_student": 20,
        "prompt_teacher": 30,
        "seconds_student": 0.5,
        "seconds_teacher": 1.5,
    }
    assert row["cached_student"] is None and row["thrown_away_teacher"] == 0


def test_a_run_as_data_frames(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    pieces = [(STUDENT, STYLE, "Okay, "), (TEACHER, CAPABILITY, "3+4=7. "), (STUDENT, ANSWER, "7")]
    turn = Turn(STUDENT, "s", 8, 8, 5, 2, True, 0.5, prompt=20)
    names = [(f"p{n}", 0) for n in range(3)]
    run = write_run(tmp_path / "run", {**dict.fromkeys(names, pieces), ("p3", 0): None}, turns=[turn])
    with antiphon.read(run) as reader:
        frame = antiphon.trace_table(reader.traces()).to_pandas()
        spans = antiphon.span_table(reader.traces(variant="tessy")).to_pandas()
        none = antiphon.trace_table(reader.traces(status=[Status.FAILED]))
    assert frame.status.value_counts().to_dict() == {"complete": 3, "pending": 1}
    assert frame.set_index("problem").thrown_away_student.to_dict() == {"p0": 3, "p1": 3, "p2": 3, "p3": 0}
    assert spans.groupby("author").words.sum().to_dict() == {"student": 6, "teacher": 3}
    assert none.num_rows == 0 and none.column_names == list(frame.columns)
    made = asyncio.run(antiphon.compare(run, boundary=None))
    assert made.as_table().to_pylist() == made.as_rows()
    assert set(made.as_table().to_pandas().side) == {f"{run}:tessy"}
