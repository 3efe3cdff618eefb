"""Every kind of server with the same script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.engine.http import HttpEngine
from tests.engine.http.kinds import KINDS
from tests.engine.http.strict import END, Strict, ids_of
from tests.engine.http.talk import Read, Reference, told

SCRIPT = ids_of("one two 東京 three 🙂 four\n\n", "</think>", "five, naïve six")
CLOSE, START = ids_of("</think>")[0], ids_of("<|im_start|>")[0]
CONTROLS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")

every = pytest.mark.parametrize("kind", KINDS)
with_ids = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "openai"])


def run(make: Callable[[], Any]) -> Any:
    return asyncio.run(make())


def make(kind: str, script: list[int] = SCRIPT, **options: Any) -> Strict:
    return KINDS[kind](script, **options)


async def wanted(script: list[int] = SCRIPT, most: int = 400, stops: tuple[int, ...] = (END,)) -> Read:
    return await told(Reference([*script, END]), most, stops)


async def learned(engine: HttpEngine) -> HttpEngine:
    await engine.learn(CONTROLS)
    return engine
