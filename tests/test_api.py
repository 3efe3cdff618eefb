"""The public names, and what the Python functions do that the objects behind them do not."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.api import ask
from antiphon.boundary.base import BoundaryPredictor, Session
from antiphon.errors import ProblemError, SettingsError, UsageError
from antiphon.problem.shard import place
from antiphon.trace import Author, Status
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, Scoring, write_run
from tests.verify.scripted import ScriptedVerifier

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def test_the_package_has_the_names_that_it_lists_and_no_others() -> None:
    """To whoever asks it, to type checkers, and on the page."""
    source = Path(antiphon.__file__)
    (typed,) = (node for node in ast.parse(source.read_text("utf-8")).body if isinstance(node, ast.If))
    homes = {alias.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    names = sorted(antiphon.__all__)
    assert antiphon.__all__ == dir(antiphon) == sorted(homes) == names
    assert re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE) == names
    for name, home in homes.items():
        assert getattr(antiphon, name) is getattr(import_module(str(home)), name)
    assert source.with_name("py.typed").is_file()


def _called(name: str) -> Iterator[tuple[str, Any]]:
    """What can be called of a public name: itself, or a class's constructor and methods. The fields of plain values are
    told in their own words."""
    found = getattr(antiphon, name)
    if inspect.isfunction(found):
        yield name, found
    elif inspect.isclass(found) and not is_dataclass(found) and not issubclass(found, Enum | tuple):
        for own, member in vars(found).items():
            member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if inspect.isfunction(member) and (own == "__init__" or not own.startswith("_")):
                yield f"{name}.{own}", member


@pytest.mark.parametrize("name", [name for name in antiphon.__all__ if name != "__version__"])
def test_a_public_name_says_what_it_takes(name: str) -> None:
    whole = inspect.getdoc(getattr(antiphon, name)) or ""
    assert whole
    for called, function in _called(name):
        said = inspect.getdoc(function) or ""
        assert said or called.endswith("__init__"), f"{called} says nothing"
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty or called.endswith("__init__"), called
        taken = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
        assert all(parameter.annotation is not parameter.empty for parameter in taken), called
        if len(taken) > 1:  # one alone is what the sentence speaks of
            told = whole + said if called.endswith("__init__") else said
            assert [each.name for each in taken if not re.search(rf"\b{each.name}\b", told)] == [], called


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


class Never(BoundaryPredictor):
    """A predictor that is named here only."""

    id, lookahead = "never", 0

    def session(self, role: Author) -> Session:
        raise NotImplementedError


@pytest.mark.parametrize("given", [Never, Never()])
def test_a_predictor_that_is_given_and_not_named_is_told_its_name(run: Path, tmp_path: Path, given: Any) -> None:
    with pytest.raises(SettingsError, match=r"import path, this one as 'tests\.test_api:Never'$"):
        antiphon.synthesize([ask("?")], run=tmp_path / "new", boundary=given)
    with pytest.raises(SettingsError, match=r"import path, this one as 'tests\.test_api:Never'$"):
        asyncio.run(antiphon.compare(run, boundary=given))


@pytest.mark.parametrize("given", ["math", ScriptedVerifier])
def test_a_verifier_that_is_named_and_not_given_is_said(tmp_path: Path, given: Any) -> None:
    says = rf"verifiers: {re.escape(repr(given))} is no verifier, an object with name,"
    with pytest.raises(UsageError, match=says):
        antiphon.synthesize([ask("?")], run=tmp_path, verifiers=[given], settings={"until_right": 1})
    with pytest.raises(UsageError, match=says):
        asyncio.run(antiphon.evaluate([ask("?")], model="lab:student", run=tmp_path, verifiers=[given]))


def test_a_shard_is_asked_for_its_own_problems_alone(tmp_path: Path) -> None:
    """None of its problems is one that nobody can judge; another's is."""
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id": "a", "question": "1+1?", "answer": "2"}\n{"id": "b", "question": "A poem?"}\n')
    own, other = (f"{place(id, 2)}/2" for id in "ab")
    assert own != other
    until = {"until_right": 1, "max_samples": 1}
    with pytest.raises(ProblemError, match="no verifier suits it"):
        antiphon.synthesize(path, run=tmp_path / "other", settings={**until, "shard": other})
    run = antiphon.synthesize(path, run=tmp_path / "own", settings={**until, "shard": own})
    assert [key.problem for key in run.keys] == ["a"]
    assert run.share is not None and (str(run.share.shard), run.share.problems) == (own, (1, 1))


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
