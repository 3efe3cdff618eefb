"""What the Python functions do that the objects behind them do not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.errors import UsageError
from antiphon.trace import Status
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, Scoring, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    spans = [(STUDENT, STYLE, "Okay, "), (TEACHER, CAPABILITY, "3+4=7. "), (STUDENT, ANSWER, "7")]
    traces = {(f"p{n}", 0): spans for n in range(6)}
    return write_run(tmp_path / "run", traces, status={("p1", 0): Status.TOO_LONG, ("p2", 0): Status.REPETITION})


@pytest.mark.parametrize(
    ("status", "texts"),
    [("complete", 4), (Status.TOO_LONG, 1), (["complete", "too_long"], 5), ((Status.REPETITION, "too_long"), 2)],
)
def test_statuses_are_named_or_given_one_or_several(run: Path, status: object, texts: int) -> None:
    made = asyncio.run(antiphon.compare(run, status=status, boundary=None))  # type: ignore[arg-type]
    assert made.sides[0].texts == texts


def test_a_status_that_is_none_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no status 'good'; there are complete, "):
        asyncio.run(antiphon.compare(tmp_path / "nothing", status="good"))


def test_a_model_of_this_machine_measures_in_this_process_and_is_let_go(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from antiphon.engine import models

    opened: list[tuple[str, object]] = []
    closed: list[Scoring] = []

    class Watched(Scoring):
        async def close(self) -> None:
            closed.append(self)
            await super().close()

    def open_engine(reference: str, *, runs: object, **_: object) -> Scoring:
        opened.append((reference, runs))
        return Watched(scoring="mute" not in reference)

    monkeypatch.setattr(models, "open_engine", open_engine)
    here: dict[str, Any] = {"scores": tmp_path / "scores", "boundary": None}
    made = asyncio.run(antiphon.compare([run], under="some/folder", **here))
    assert made.under == "scorer" and "likelihood" in {table.name for table in made.tables}
    with pytest.raises(UsageError, match="cannot tell how likely"):
        asyncio.run(antiphon.compare([run], under="http://127.0.0.1:1/mute", **here))
    assert [(name, str(runs)) for name, runs in opened] == [
        ("some/folder", "in-process"),
        ("http://127.0.0.1:1/mute", "auto"),
    ]
    assert len(closed) == 2
