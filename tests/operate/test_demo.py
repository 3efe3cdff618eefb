"""The demo's work: what it counts, what it shows, what it leaves alone."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from antiphon.engine.scripted import Fault, Request
from antiphon.errors import EngineUnavailable, UsageError
from antiphon.operate.demo import METHODS, Story, perform
from antiphon.synth.tally import Tally
from antiphon.trace import Author, Kind
from tests.cli.pair import Pair


def performed(folder: Path, *, seed: int = 1, problems: int = 12) -> Story:
    return perform(folder, seed=seed, problems=problems, watching=lambda method, tally: nullcontext())


def test_shows_a_trace_that_the_student_alone_got_wrong(pair: Pair, tmp_path: Path) -> None:
    story = performed(tmp_path, problems=40)
    rights = {arm.method: arm.right for arm in story.arms}
    assert rights["tessy"] == 40 > rights["student_only"]
    assert story.trace is not None and story.problem is not None
    digits = [int(digit) for digit in story.problem.id.removeprefix("multiplication-").split("x")[0]]
    by = int(story.problem.id[-1])
    assert any(digit * by % 10 == 6 for digit in digits[:2]), "where it forgets the carry"


def test_shares_are_those_of_the_traces_in_turns(pair: Pair, tmp_path: Path) -> None:
    story = performed(tmp_path)
    assert set(story.shares) == {
        (Author.STUDENT, Kind.STYLE),
        (Author.TEACHER, Kind.CAPABILITY),
        (Author.STUDENT, Kind.ANSWER),
    }
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    written = sum(
        len(row["messages"][-1]["content"].replace("<think>\n", "").replace("</think>\n\n", "")) for row in rows
    )
    assert sum(story.shares.values()) == written


def test_every_method_is_watched(pair: Pair, tmp_path: Path) -> None:
    watched: list[tuple[str, int]] = []

    def watching(method: str, tally: Tally) -> nullcontext[None]:
        watched.append((method, tally.done))
        return nullcontext()

    perform(tmp_path, seed=1, problems=3, watching=watching)
    assert watched == [(method, 0) for method in METHODS]


def test_a_failed_trace_is_no_right_answer(pair: Pair, tmp_path: Path) -> None:
    pair.faults = lambda request: Fault("refuse") if request.number == 1 else None
    story = performed(tmp_path)
    arm = story.arms[0]
    assert (arm.traces, arm.complete, arm.right, story.rows) == (12, 11, 11, 11)


def test_goes_on_after_an_interruption(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from antiphon.operate import demo

    def gone(request: Request) -> Fault | None:
        return Fault("gone") if request.number > 20 else None

    pair.faults = gone
    load = demo.load
    monkeypatch.setattr(demo, "load", lambda flags, environment: load(None, {**flags, "outage": 0.05}, environment))
    with pytest.raises(EngineUnavailable):
        performed(tmp_path)
    pair.faults = lambda request: None
    assert performed(tmp_path).arms[0].complete == 12


def test_the_environment_does_not_change_it(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_SAMPLES", "2")
    assert performed(tmp_path, problems=3).arms[0].traces == 3


def test_a_seed_draws_the_problems(pair: Pair, tmp_path: Path) -> None:
    performed(tmp_path / "a", seed=1, problems=5)
    performed(tmp_path / "b", seed=1, problems=5)
    performed(tmp_path / "c", seed=2, problems=5)
    a, b, c = ((tmp_path / name / "problems.jsonl").read_text() for name in "abc")
    assert a == b != c


def test_another_demo_is_left_alone(pair: Pair, tmp_path: Path) -> None:
    performed(tmp_path, problems=3)
    before = (tmp_path / "problems.jsonl").read_bytes()
    with pytest.raises(UsageError, match="another demo"):
        performed(tmp_path, seed=2, problems=3)
    assert (tmp_path / "problems.jsonl").read_bytes() == before
