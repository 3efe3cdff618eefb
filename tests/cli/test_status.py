"""`antiphon status`: how a run stands, and a pair that refuses each other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.engine import models
from antiphon.engine.scripted import Control, Fault, ScriptedEngine, Situation, Token
from antiphon.problem import Problem
from antiphon.store import Store, columns
from antiphon.trace import Author, Key, Kind, Span, SpanEnd, Status, Turn, Usage
from tests.cli.conftest import MODELS, Command, write_lines
from tests.cli.pair import Pair


def cells(text: str, name: str) -> list[str]:
    """A row of the table, after its name."""
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return line.strip().removeprefix(name).split()


def test_shows_what_a_run_has_come_to(command: Command, finished: Path) -> None:
    shown = command("status", finished)
    assert (shown.code, shown.err) == (0, "")
    assert "3 problems" in shown.out and "3 traces: 3 complete" in shown.out
    assert "student lab:student, teacher lab:teacher" in shown.out
    assert cells(shown.out, "words per span") == ["3.0", "2.0"]
    assert cells(shown.out, "share of the words") == ["60%", "40%"]
    assert cells(shown.out, "hand-overs, nothing kept") == ["0", "(0%)", "0", "(0%)"]
    assert cells(shown.out, "of them from cache") == ["not", "told", "not", "told"]
    assert "warning" not in shown.out


def test_the_cached_share_is_of_the_prompts_that_told_it(command: Command, tmp_path: Path) -> None:
    record(tmp_path / "run", refused=False)
    shown = command("status", tmp_path / "run").out
    assert cells(shown, "prompt tokens")[0] == "20,000"
    assert cells(shown, "of them from cache")[:2] == ["3,600", "(90%)"]


def test_numbers_add_up(command: Command, finished: Path) -> None:
    facts = command("status", finished, "--json").json
    (variant,) = facts["variants"]
    assert facts["problems"] == 3 and variant["traces"] == {"complete": 3}
    for role in ("student", "teacher"):
        numbers = variant["roles"][role]
        assert numbers["received"] - numbers["kept"] == numbers["thrown_away"] > 0
    assert sum(variant["shares"]["words"].values()) == 1


def test_reads_no_problem_and_no_trace(command: Command, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts, and so takes no longer for problems and traces that are many and long."""
    monkeypatch.setattr(columns, "problem_out", None)
    monkeypatch.setattr(columns, "span_out", None)
    monkeypatch.setattr(columns, "turn_out", None)
    facts = command("status", finished, "--json").json
    assert (facts["problems"], facts["variants"][0]["traces"]) == (3, {"complete": 3})


def test_shows_causes(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    pair.faults = lambda request: Fault("refuse")
    command("synth", problems, "--run", tmp_path / "run", *MODELS)
    shown = command("status", tmp_path / "run").out
    assert "3 failed" in shown and "3 x lab:teacher refused the request" in shown


def test_variants_stand_side_by_side(command: Command, finished: Path, problems: Path) -> None:
    command("synth", problems, "--run", finished, *MODELS, "--method", "student_only")
    shown = command("status", finished).out
    assert shown.index("tessy") < shown.index("student_only")
    assert "words per span" not in shown[shown.index("student_only") :], "nobody judged its words"


def test_a_run_with_nothing_in_it_yet(command: Command, tmp_path: Path) -> None:
    with Store.open(tmp_path / "run"):
        pass
    shown = command("status", tmp_path / "run")
    assert shown.code == 0 and "0 problems" in shown.out


def test_a_pair_that_refuses_each_other_is_seen(command: Command, tmp_path: Path) -> None:
    """Both always want to write the other's words: nothing is ever kept but what liveness forces."""
    record(tmp_path / "run", refused=True)
    shown = command("status", tmp_path / "run")
    warnings = " ".join(shown.out.split())
    assert "the student kept nothing in 100% of its turns" in warnings
    assert "1 in 1 words of the teacher was forced" in warnings
    assert len(command("status", tmp_path / "run", "--json").json["variants"][0]["warnings"]) == 3


def test_a_few_turns_are_no_evidence(command: Command, tmp_path: Path) -> None:
    record(tmp_path / "run", refused=True, cached=0, times=9)
    assert "warning" not in command("status", tmp_path / "run").out


def test_a_pair_that_gets_on_is_not_warned_of(command: Command, tmp_path: Path) -> None:
    record(tmp_path / "run", refused=False)
    assert "warning" not in command("status", tmp_path / "run").out


@pytest.mark.parametrize(("cached", "warned"), [(900, False), (500, False), (499, True), (0, True)])
def test_a_cache_that_is_of_no_use_is_warned_of(command: Command, tmp_path: Path, cached: int, warned: bool) -> None:
    record(tmp_path / "run", refused=False, cached=cached)
    shown = " ".join(command("status", tmp_path / "run").out.split())
    assert ("came from its server's cache" in shown) is warned


def record(directory: Path, *, refused: bool, cached: int = 900, times: int = 20) -> None:
    """So many hand-overs to each, all of them with or without words."""
    key = Key("p", "tessy", 0)

    async def write(store: Store) -> None:
        recorder = store.recorder(key)
        recorder.begin()
        for index in range(times):
            kept = 0 if refused else 8
            for role in (Author.STUDENT, Author.TEACHER):
                told = {"cached": cached, "told": 1000} if index % 5 == 0 else {}
                recorder.turn(Turn(role, "s", 100, 10, kept, kept, cut=True, seconds=0.1, prompt=1000, **told))
            if refused:
                recorder.turn(Turn(Author.TEACHER, "s", 0, 0, 1, 1, cut=False, seconds=0.0, requests=0))
            span = Span(Author.TEACHER, Kind.CAPABILITY, " x", end=SpanEnd.SEAM, forced=refused)
            recorder.close_span(index, span)
        await recorder.finish(Status.TOO_LONG, cause="long", usage={Author.TEACHER: Usage()})

    with Store.open(directory) as store:
        store.add_problems([Problem("p", ({"role": "user", "content": "?"},))])
        store.add_variant("tessy", {"method": {"name": "tessy", "revision": 1}}, {})
        store.plan([key])
        asyncio.run(write(store))


def test_a_pair_that_refuses_each_other_in_a_run(
    command: Command, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same through a real run: the student always begins with a step, the teacher with a phrase."""

    def student(here: Situation) -> list[Token]:
        return [" total 7", Control("<|im_end|>")]

    def teacher(here: Situation) -> list[Token]:
        return [" Hence:", Control("<|im_end|>")]

    def open_engine(reference: str, **_: object) -> ScriptedEngine:
        return ScriptedEngine(reference, student if "student" in reference else teacher, context=200)

    monkeypatch.setattr(models, "open_engine", open_engine)
    command("synth", problems, "--run", tmp_path / "run", *MODELS, "--limit", 1)
    shown = " ".join(command("status", tmp_path / "run").out.split())
    assert "of its turns" in shown and "was forced" in shown


def test_what_came_from_elsewhere_is_said_to(command: Command, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "rows.jsonl", [{"problem": "1+1?", "response": "<think>\nOkay.\n</think>\n\n2"}])
    command("import", file, "--run", tmp_path / "run", "--variant", "published")
    command("import", file, "--run", tmp_path / "run", "--variant", "theirs", "--model", "R1")
    shown = command("status", tmp_path / "run").out.splitlines()
    assert {"published  imported", "theirs  imported, R1"} <= set(shown)
