"""What a run is made of: engines, dialects, budgets; and what is refused before anything is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from bench.pair import Shape, engines, settings

from antiphon.engine.base import Capabilities
from antiphon.engine.scripted import Control, ScriptedEngine, Situation, Token
from antiphon.errors import (
    DialectError,
    SettingsError,
)
from antiphon.settings import Settings, load
from antiphon.synth.cast import assemble

SHAPE = Shape(thinking=56, answer=5)


def flags(**given: Any) -> Settings:
    return load(flags={"teacher.model": "t", "student.model": "s", **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"teacher.model": None}, "needs a teacher: give --teacher MODEL"),
        ({"method": "tessi"}, "there is no method 'tessi'; there are tessy"),
        ({"budget.answer": 995, "student.context": 1000}, "budget.answer: 995 tokens leave no room"),
        ({"boundary.student": "nonsense"}, "nonsense"),
        ({"student.dialect": "nonsense"}, "nonsense"),
    ],
)
def test_settings_that_cannot_be_used(given: dict[str, Any], message: str) -> None:
    with pytest.raises((SettingsError, DialectError), match=message):
        asyncio.run(assemble(flags(**given), open_engine=engines(SHAPE, 1)))


def test_a_dialect_that_differs_from_the_models_template_is_refused() -> None:
    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = engines(SHAPE, 1)(reference)
        engine.chat_template = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}<|im_start|>"
        return engine

    with pytest.raises(DialectError, match="differs from the model's chat template"):
        asyncio.run(assemble(settings(), open_engine=open_engine))


def test_what_was_opened_is_closed_where_it_cannot_be_used() -> None:
    opened, closed = list[str](), list[str]()

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = engines(SHAPE, 1)(reference)
        opened.append(reference)

        async def close() -> None:
            closed.append(reference)

        engine.close = close  # type: ignore[method-assign]
        return engine

    with pytest.raises(SettingsError, match="budget"):
        asyncio.run(assemble(settings(**{"budget.answer": 995, "student.context": 1000}), open_engine=open_engine))
    assert closed == opened == ["student", "teacher"]


@pytest.mark.parametrize(("slots", "models", "room"), [(8, 2, 8), (8, 1, 4), (1, 2, 1), (1, 1, 1), (None, 1, None)])
def test_no_more_traces_than_their_servers_keep_prefixes(slots: int | None, models: int, room: int | None) -> None:
    class Keeping(ScriptedEngine):
        async def capabilities(self) -> Capabilities:
            return replace(await super().capabilities(), slots=slots)

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        return Keeping(reference, says([Control("<|im_end|>")]))

    names = {"teacher.model": "a", "student.model": "ab"[models - 1]}
    assert asyncio.run(assemble(settings(**names), open_engine=open_engine)).room == room


def test_budgets_follow_the_context_where_they_are_not_set() -> None:
    def score(context: int | None, **given: Any) -> Any:
        def open_engine(reference: str, **how: Any) -> ScriptedEngine:
            engine = engines(SHAPE, 1)(reference)
            engine.context = context
            return engine

        return asyncio.run(assemble(settings(**given), open_engine=open_engine)).score

    assert (score(None).thinking_budget, score(None).answer_budget) == (16384, 8192)
    assert score(900).answer_budget == 300
    assert score(900, **{"budget.answer": 50, "budget.thinking": 70}).answer_budget == 50
    assert score(900, **{"student.context": 600}).script.context == 600


def test_the_fingerprint_covers_what_shapes_the_text_and_nothing_else() -> None:
    def shaping(**given: Any) -> Any:
        return asyncio.run(assemble(settings(**given), open_engine=engines(SHAPE, 1))).shaping

    same = shaping()
    assert shaping(run_ahead=5, concurrency=3, outage=5.0, keep_rejected=True) == same
    for change in (
        {"seed": 1},
        {"student.sampling.top_k": 5},
        {"budget.on_budget": "close"},
        {"boundary.teacher": "lab"},
    ):
        assert shaping(**change) != same
    assert "boundary" not in shaping(method="student_only")["student"] or (
        shaping(method="student_only")["student"]["boundary"] is None
    )
    assert "teacher" not in shaping(method="student_only")


def says(tokens: Iterable[Token]) -> Callable[[Situation], Iterable[Token]]:
    return lambda here: tokens


def test_the_same_model_in_both_roles_is_loaded_once() -> None:
    opened: list[str] = []

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        opened.append(reference)
        return ScriptedEngine(reference, says([Control("<|im_end|>")]))

    cast = asyncio.run(assemble(settings(**{"teacher.model": "m", "student.model": "m"}), open_engine=open_engine))
    assert opened == ["m"]
    assert len(cast.engines) == 1
    asyncio.run(cast.close())
