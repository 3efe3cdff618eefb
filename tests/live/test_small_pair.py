"""HumanEval problems, end to end in process, by two real models with two vocabularies and no think markers of their
own: SmolLM2-135M as student, Gemma-3-270M (base) as teacher.

    LIVE_SMOLLM2=smollm2.gguf LIVE_GEMMA3=gemma3.gguf pytest -m live tests/live/test_small_pair.py -s

`scripts/models` gets both files. Such small models loop often; the figures printed say how often.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

import antiphon
from antiphon.engine.model_files import ModelFiles
from antiphon.trace import Author, IdsFrom, Kind, SpanEnd, Status, Trace, unpack_words

pytestmark = [pytest.mark.live, pytest.mark.slow]
PROBLEMS = 8
BUDGETS = {"budget.thinking": 200, "budget.answer": 400, "budget.on_budget": "close", "concurrency": PROBLEMS}


def model(variable: str) -> str:
    path = os.environ.get(variable)
    if not path or not Path(path).exists():
        pytest.skip(f"needs a model: {variable} names no file (scripts/models gets it)")
    return path


@pytest.fixture(scope="module")
def traces(shared_problems: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Trace]]:
    directory = tmp_path_factory.mktemp("pair") / "run"
    written = {}
    for method in ("student_only", "tessy"):
        run = antiphon.synthesize(
            shared_problems,
            run=directory,
            student=model("LIVE_SMOLLM2"),
            teacher=model("LIVE_GEMMA3"),
            boundary="code",
            method=method,
            settings={**BUDGETS, "limit": PROBLEMS},
        )
        written[method] = list(run)
        print(method, dict(Counter(trace.status for trace in written[method])), *run.tally.causes.items(), sep="\n  ")
    return written


@pytest.fixture(scope="module")
def shared_problems() -> Path:
    from tests.conftest import SHARED

    path = SHARED / "problems" / "humaneval.jsonl"
    if not path.exists():
        pytest.skip("needs ../shared, which is not here")
    return path


def test_every_trace_ends_and_none_fails(traces: dict[str, list[Trace]]) -> None:
    for written in traces.values():
        assert len(written) == PROBLEMS
        assert all(trace.status not in (None, Status.FAILED) for trace in written)


def test_as_many_are_complete_as_by_the_student_alone(traces: dict[str, list[Trace]]) -> None:
    complete = {
        method: sum(trace.status is Status.COMPLETE for trace in written) / PROBLEMS
        for method, written in traces.items()
    }
    loops = {method: sum(trace.status is Status.REPETITION for trace in written) for method, written in traces.items()}
    print(f"complete: {complete}, loops: {loops} of {PROBLEMS}")
    assert complete["tessy"] >= complete["student_only"] - 0.10


def test_the_invariants_hold_on_every_record(traces: dict[str, list[Trace]]) -> None:
    """Those that a record shows: markers, authors, maximal spans, ids that give the text, words with their verdicts."""
    vocabularies = {
        Author.STUDENT: ModelFiles.read(model("LIVE_SMOLLM2")).vocabulary,
        Author.TEACHER: ModelFiles.read(model("LIVE_GEMMA3")).vocabulary,
    }
    spans = forced = 0
    for trace in (trace for written in traces.values() for trace in written):
        assert trace.response == "".join(span.text for span in trace.spans)
        markers = [number for number, span in enumerate(trace.spans) if span.kind is Kind.MARKER]
        assert markers[0] == 0
        assert len(markers) <= 2
        assert all(trace.spans[number].author is Author.NONE for number in markers)
        answers = [span for span in trace.spans if span.kind is Kind.ANSWER]
        assert all(span.author is Author.STUDENT for span in answers)
        for before, span in zip([None, *trace.spans], trace.spans, strict=False):
            if span.author is Author.NONE:
                continue
            spans += 1
            forced += span.forced
            assert span.end is not None
            assert span.ids_from is IdsFrom.SAMPLED
            assert vocabularies[span.author].decode(span.ids) == span.text
            if before is not None and not before.forced and not span.forced:
                assert (before.author, before.kind) != (span.author, span.kind)
            if span.kind in (Kind.STYLE, Kind.CAPABILITY):
                words = list(unpack_words(span.words))
                assert words
                assert all(word.style is (span.kind is Kind.STYLE) for word in words)
                assert not span.text[words[-1].end :].strip()
                assert (span.author is Author.STUDENT) is (span.kind is Kind.STYLE) or span.forced
            if span.end is SpanEnd.BOUNDARY and not span.reencoded:
                last = vocabularies[span.author].decode(span.ids[-1:])
                assert "\n" in last or not last.isspace()
    print(f"{spans} spans, {forced} forced words")
