"""An export whose rows a cluster's machines make: the same files, in the same order, whatever dies."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.export import FORMATS, making
from antiphon.trace import Status, Trace
from tests.cli.conftest import Outcome, command
from tests.export.test_formats import answered, of_lab
from tests.scale.fake_ray import FakeRay

__all__ = ["command"]  # a fixture of the command's tests
SPELLED = "<|im_end|>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Traces of many lengths; of two nothing can be made in most formats, and one did not end."""
    texts = [" ".join(["Hmm, 1+1=2"] * (1 + number * 7 % 11)) for number in range(30)]
    traces = [answered(text, " 1+1=2", " okay", sample=number) for number, text in enumerate(texts)]
    traces += [answered(SPELLED, sample=90), answered("Hmm", answer=SPELLED, sample=91)]
    traces.append(Trace(answered("Hmm", sample=92).key, answered("Hmm").spans, Status.TOO_LONG))
    return of_lab(tmp_path, *traces)


def told(done: Outcome) -> dict[str, Any]:
    assert done.code == 0, done.err
    return {**done.json, "path": ""}


@pytest.mark.parametrize("format", FORMATS)
def test_the_files_are_those_that_one_machine_writes(
    format: str, command: Callable[..., Outcome], run: Path, ray: FakeRay, tmp_path: Path
) -> None:
    words = ("export", run, "--format", format, "--max-length", 60, "--json")
    suffix = "parquet" if FORMATS[format].parquet_only else "jsonl"
    for more in ((), ("--drop-longer",)):
        alone, spread = (tmp_path / f"{name}{len(more)}.{suffix}" for name in ("alone", "spread"))
        here = told(command(*words, "--to", alone, *more))
        lost = iter([True])
        ray.data.dies = lambda numbers, lost=lost: next(lost, False)  # type: ignore[misc]
        there = told(command(*words, "--to", spread, *more, "--ray", "auto"))
        assert spread.read_bytes() == alone.read_bytes()
        assert there == {**here, "files": there["files"]}
        assert there["files"] == [{**file, "name": spread.name} for file in here["files"]]
    assert 0 < here["rows"] < 30
    assert next(lost, None) is None and any(len(row) == 1 for row in ray.data.rows), "a worker has died"


def test_a_trace_of_which_nothing_comes_ends_it(
    command: Callable[..., Outcome], run: Path, ray: FakeRay, tmp_path: Path
) -> None:
    ray.data.dies = lambda numbers: 3 in numbers
    done = command("export", run, "--format", "messages", "--to", tmp_path / "x.jsonl", "--ray", "auto")
    assert done.code == 3
    assert "trace p/tessy/3: the process that worked on it died, again and again; nothing was put in place" in done.err
    assert not (tmp_path / "x.jsonl").exists()


def test_another_student_there_is_named(
    command: Callable[..., Outcome], run: Path, ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(vocabulary=SimpleNamespace(digest="of another"))
    monkeypatch.setattr(making, "read_student", lambda model, family: other)
    done = command("export", run, "--format", "messages", "--to", tmp_path / "x.jsonl", "--ray", "auto")
    assert done.code == 2
    assert "lab:student has another tokenizer here than where the command is; give all the same" in done.err


@given(st.permutations(range(12)), st.integers(0, 12))
def test_results_come_in_order_however_they_come(numbers: list[int], taken: int) -> None:
    closed: list[bool] = []
    drawn: list[int] = []

    async def results() -> AsyncGenerator[tuple[int, str]]:
        try:
            for number in numbers:
                drawn.append(number)
                yield number, str(number)
        finally:
            closed.append(True)

    ordered = making._in_order(results())
    for due in range(taken):
        assert next(ordered) == str(due)
        needed = max(map(numbers.index, range(due + 1)))
        assert drawn == numbers[: needed + 1], "no more than it takes"
    ordered.close()
    assert closed or not taken
