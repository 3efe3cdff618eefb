"""Files into a run directory: once each, whatever is done again, moved, broken off or changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.errors import UsageError, VariantChanged
from antiphon.imports import Imported, bring
from antiphon.imports import run as importing
from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.trace import Author, Key, Label, Status, Trace
from tests.cli.conftest import write_lines
from tests.imports.test_record import SHAPES, TEXT


def imported(paths: Path | list[Path], run: Path, **options: Any) -> Imported:
    return asyncio.run(bring(paths, run, **options))


def traces(run: Path) -> list[Trace]:
    with Reader(run) as reader:
        return list(reader.traces())


def row(problem: str = "p", text: str = "<think>\nA.\n</think>\n\nB", **fields: object) -> dict[str, object]:
    return {"id": problem, "problem": f"What is {problem}?", "response": text, **fields}


def added(done: Imported) -> int:
    return sum(sum(counts.values()) for counts in done.added.values())


def test_a_row_becomes_a_trace_of_an_unknown_author(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row(model="M", answer="2", correct=True)])
    imported(file, tmp_path / "run")
    (trace,) = traces(tmp_path / "run")
    assert (trace.key, trace.status, trace.closed_by) == (Key("p", "M", 0), Status.COMPLETE, Author.UNKNOWN)
    assert (trace.thinking, trace.answer, {span.author for span in trace.spans}) == ("A.", "B", {Author.UNKNOWN})
    assert [(verdict.verifier, verdict.label) for verdict in trace.verdicts] == [("imported:correct", Label.RIGHT)]
    with Reader(tmp_path / "run") as reader:
        assert reader.problem("p").metadata == {"answer": "2"}
        (variant,) = reader.variants()
        assert (variant.shaping["method"], variant.about["unknown"]) == ("import", {"model": "M"})
        assert [call.text for call in reader.calls(trace.key)] == [f"{file}:1"]


_TEXT = st.text(st.characters(exclude_categories=()), max_size=20).map(lambda text: f"{text}.")
_ROWS = st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from(("", "x", "<think>\n")), _TEXT), max_size=8)


@settings(max_examples=12, deadline=None)
@given(_ROWS, st.integers(1, 60))
def test_every_text_is_kept_and_nothing_comes_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("import")
    file = write_lines(folder / "rows.jsonl", [row(problem, begun + text) for problem, begun, text in rows])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(importing, "_BATCH", batch)
        first = imported(file, folder / "run")
        again = imported(file.rename(folder / "moved.jsonl"), folder / "run")
    texts = [(trace.key.problem, trace.response) for trace in traces(folder / "run")]
    assert texts == [(problem, json.loads(json.dumps(begun + text))) for problem, begun, text in rows]
    assert (added(first), added(again), again.known, again.changed) == (len(rows), 0, len(rows), [])


def test_one_file_may_hold_every_shape(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [fields for _, fields in SHAPES])
    done = imported(file, tmp_path / "run")
    assert (done.bad, {trace.response for trace in traces(tmp_path / "run")}) == ([], {TEXT})
    assert (added(done), imported(file, tmp_path / "run").known) == (len(SHAPES), len(SHAPES))


def test_several_generations_are_several_samples(tmp_path: Path) -> None:
    generations = ["A.\n</think>\n\n1", "B.\n</think>\n\n2", "A.\n</think>\n\n1"]
    verdicts = [True, False, True]
    record = {"problem": "1+1?", "uuid": "u", "generations": generations, "correctness_math_verify": verdicts}
    file = write_lines(tmp_path / "rows.jsonl", [record])
    done = imported(file, tmp_path / "run")
    assert [trace.response for trace in traces(tmp_path / "run")] == generations
    assert [trace.key.sample for trace in traces(tmp_path / "run")] == [0, 1, 2]
    assert done.implicit == 3
    assert imported([file, file], tmp_path / "run").known == 3
    copy = write_lines(tmp_path / "copy.jsonl", [record])
    assert added(imported([file, copy], tmp_path / "run")) == 3  # two files hold as many again


def test_more_rows_later_are_more_samples(tmp_path: Path) -> None:
    imported(write_lines(tmp_path / "a.jsonl", [row(text="1"), row(text="2")]), tmp_path / "run")
    done = imported(write_lines(tmp_path / "b.jsonl", [row(text="2"), row(text="3")]), tmp_path / "run")
    assert (added(done), done.known) == (1, 1)
    assert [trace.response for trace in traces(tmp_path / "run")] == ["1", "2", "3"]


@pytest.mark.parametrize("change", [{"text": "C"}, {"complete": False}, {"correct": False}])
def test_a_changed_row_is_reported_and_the_first_kept(tmp_path: Path, change: dict[str, Any]) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row("p", correct=True), row("q")])
    imported(file, tmp_path / "run")
    before = traces(tmp_path / "run")
    write_lines(file, [row("p", **{"correct": True, **change}), row("q")])
    done = imported(file, tmp_path / "run")
    assert (added(done), done.known) == (0, 1)
    assert [line.partition(": ")[0] for line in done.changed] == [f"{file}:1"]
    assert traces(tmp_path / "run") == before


def test_an_id_with_another_text_is_reported(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row(), row(problem="p", text="C") | {"problem": "Other?"}, row("q")])
    done = imported(file, tmp_path / "run")
    assert [str(error).split(":")[1] for error in done.bad] == ["2"]
    assert "stands for another text" in str(done.bad[0])
    assert len(traces(tmp_path / "run")) == 2
    assert not imported(file, tmp_path / "other", by_text=True).bad
    with Reader(tmp_path / "other") as reader:
        assert {problem.metadata["id"] for problem in reader.problems()} == {"p", "q"}


def test_bad_rows_are_told_by_file_and_line_and_the_rest_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [
        json.dumps(row("a")),
        "{broken",
        json.dumps({"text": "x"}),
        json.dumps(row("b", "")),
        "",
        json.dumps(row()),
    ]
    file.write_text("\n".join(lines), "utf-8")
    (tmp_path / "empty.jsonl").touch()
    done = imported([file, tmp_path / "empty.jsonl"], tmp_path / "run")
    assert [str(error).removeprefix(str(tmp_path)).partition(": ")[0] for error in done.bad] == [
        "/rows.jsonl:2",
        "/rows.jsonl:3",
        "/rows.jsonl:4",
        "/empty.jsonl",
    ]
    assert [trace.key.problem for trace in traces(tmp_path / "run")] == ["a", "p"]


def test_each_model_has_its_variant(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row(model="M"), row(model="N"), row()])
    done = imported(file, tmp_path / "run")
    assert list(done.added) == ["M", "N", "imported"]
    assert list(imported(file, tmp_path / "run", model="all").added) == ["all"]
    with pytest.raises(UsageError, match=r"rows\.jsonl:2: names the model 'N'"):
        imported(file, tmp_path / "other", variant="one")
    with pytest.raises(VariantChanged, match=r"model: \"M\" -> \"P\""):
        imported(file, tmp_path / "run", variant="M", model="P")


def test_markers_as_a_family_writes_them(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row(text="A.\n</think>\n\nB")])
    imported(file, tmp_path / "run", markers="qwen3")
    (trace,) = traces(tmp_path / "run")
    assert trace.response == "<think>\nA.\n</think>\n\nB"
    assert [span.author for span in trace.spans] == [Author.NONE, Author.UNKNOWN, Author.NONE, Author.UNKNOWN]
    assert imported(file, tmp_path / "run", markers="qwen3").known == 1
    with pytest.raises(VariantChanged):
        imported(file, tmp_path / "run")


def test_an_import_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    with Store.open(tmp_path / "run") as store:  # killed between planning and writing
        store.add_problems([Problem("p", ({"role": "user", "content": "What is p?"},))])
        store.add_variant("imported", {"method": "import", "model": None, "markers": None}, {})
        store.plan([Key("p", "imported", sample) for sample in range(2)])
    file = write_lines(tmp_path / "rows.jsonl", [row(text=text) for text in "123"])
    imported(file, tmp_path / "run")
    assert [(t.key.sample, t.response) for t in traces(tmp_path / "run")] == [(0, "1"), (1, "2"), (2, "3")]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"complete": False}, Status.TOO_LONG),
        ({"text": "<think>\nA."}, Status.NO_ANSWER),
        ({"text": "<think>\nA.\n</think>\n\n \n"}, Status.NO_ANSWER),
        ({"text": "B"}, Status.COMPLETE),
    ],
)
def test_how_a_trace_ended(tmp_path: Path, fields: dict[str, Any], status: Status) -> None:
    imported(write_lines(tmp_path / "rows.jsonl", [row(**fields)]), tmp_path / "run")
    (trace,) = traces(tmp_path / "run")
    assert trace.status is status
    assert bool(trace.cause) is (status is not Status.COMPLETE)


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [row()])
    for options in ({"format": "other"}, {"markers": "other"}, {"format": "openr1"}):
        if options == {"format": "openr1"}:
            assert "no list of responses" in str(imported(file, tmp_path / "run", **options).bad[0])
            continue
        with pytest.raises(UsageError, match="other"):
            imported(file, tmp_path / "run", **options)


def peak_of(rows: Iterable[object], folder: Path) -> int:
    """Peak of what Python holds, in bytes, while these are imported."""
    import tracemalloc

    file = write_lines(folder / "rows.jsonl", rows)
    tracemalloc.start()
    imported(file, folder / "run")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_BATCH", 200_000)
    peaks = []
    for count in (20, 120):
        folder = tmp_path / str(count)
        folder.mkdir()
        peaks.append(peak_of((row(f"p{n}", "So. " * 5_000) for n in range(count)), folder))
    assert peaks[1] < peaks[0] + 500_000
