"""Answers of mathematics: what is declared, held against the gold result by math-verify."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify import declared
from antiphon.verify.checker import BrokenCheck, Checker, Finding, shown
from antiphon.verify.workers import Reply, Stopped, Workers

FIELDS = ("answer", "gold", "final_answer", "expected_answer", "correct_answer")
"""Fields that may hold the gold result; the first that is not null counts."""
SOLUTIONS = ("solution", "reference")
"""Fields whose text may declare it, where there is none of `FIELDS`."""

SECONDS = 10.0
_LONGEST_GOLD = 500
_LONGEST = 5_000  # characters of a declared result: none is that long
_DECLARATIONS = 100  # of which a number is looked for
_PLAIN = re.compile(r"\s*\\?[$€£]?\s*[-+−]?[\d,]*\.?\d+\s*\\?%?\s*")


class MathVerifier(Checker):
    """Judges what an answer declares by the field `answer` (or another of `FIELDS`, or a solution that declares it)."""

    name = "math"
    version = "1"
    needs = {"math_verify": "math-verify"}  # noqa: RUF012

    def __init__(self, workers: Workers | None = None, *, seconds: float = SECONDS):
        self._workers = workers or Workers()
        self._seconds = seconds

    def suits(self, problem: Problem) -> bool:
        fields = problem.metadata
        name = next((name for name in FIELDS if fields.get(name) is not None), None)
        if name is None:
            return any(isinstance(fields.get(name), str) and _of_solution(fields[name]) for name in SOLUTIONS)
        values = fields[name] if isinstance(fields[name], list) else [fields[name]]
        return bool(values) and all(map(_is_result, values))

    async def canonical(self, problem: Problem) -> str | None:
        """The problem's own solution, where it declares a result beside the gold one."""
        if not any(problem.metadata.get(name) is not None for name in FIELDS):
            return None
        for name in SOLUTIONS:
            text = problem.metadata.get(name)
            if isinstance(text, str) and _of_solution(text) is not None:
                return text
        return None

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        golds = _golds(fields)
        if not golds:
            raise BrokenCheck(f"it has no gold result; looked for: {', '.join((*FIELDS, *SOLUTIONS))}")
        result = result_of(answer, plain=all(map(_PLAIN.fullmatch, golds)))
        if result is None:
            return Finding(Label.NO_ANSWER, "it declares no result")
        if len(result) > _LONGEST:
            return Finding(Label.WRONG, f"it declares {len(result)} characters")
        try:
            reply = await self._ask("same", golds, result)
        except Stopped:
            await self._try(golds)
            raise
        if reply.value:
            return Finding(Label.RIGHT, shown(result), reply.seconds)
        return Finding(Label.WRONG, f"{shown(result)} is not {' or '.join(map(shown, golds))}", reply.seconds)

    async def _try(self, golds: list[str]) -> None:
        """Sees that it is not the gold results that cannot be judged by."""
        for gold in golds:
            try:
                await self._ask("mathematically_same", gold, "1")
            except Stopped as error:
                raise BrokenCheck(f"the gold result {shown(gold)} cannot be compared: {error}") from None

    async def _ask(self, function: str, *arguments: Any) -> Reply:
        return await self._workers.ask(f"antiphon.verify.equal:{function}", *arguments, seconds=self._seconds)


def result_of(answer: str, *, plain: bool) -> str | None:
    """The result that an answer declares.

    The first of these that there is, of each the last: a box, a line `#### 72`, "the answer is ...", bold words or a
    formula in the last paragraph; and, if the gold result is a plain number, the last number of the last line.

    Args:
        plain: the gold result is a plain number. Of "the answer is" and bold words only their number counts then.
    """
    for found in (declared.boxed(answer), declared.hashed(answer)):
        if found is not None:
            return found
    for found in (*islice(declared.said(answer), _DECLARATIONS), declared.emphasised(answer)):
        if found is not None:
            if not plain or not _is_prose(found):
                return found
            if (number := declared.first_number(found)) is not None:
                return number
    return declared.last_number(answer) if plain else None


def _is_prose(text: str) -> bool:
    return re.search(r"(?<![\\A-Za-z{])[A-Za-z]{2,}", text) is not None


def _golds(fields: Mapping[str, Any]) -> list[str]:
    for name in FIELDS:
        value = fields.get(name)
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        return [_gold(each, name) for each in values]
    for name in SOLUTIONS:
        value = fields.get(name)
        if isinstance(value, str) and (found := _of_solution(value)) is not None:
            return [found]
    return []


def _gold(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise BrokenCheck(f"{name!r} is {shown(value)}, neither text nor a number")
    text = str(value)
    _, mark, after = text.rpartition("####")
    if mark:
        text = after
    elif (inside := declared.boxed(text)) is not None:
        text = inside
    text = re.sub(r",\\!\s*|\{,\}", ",", declared.bare(text))
    if len(text) > _LONGEST_GOLD:
        raise BrokenCheck(f"{name!r} holds {len(text)} characters, which is no result")
    if not text or re.sub(r"\\.", "", text).count("{") != re.sub(r"\\.", "", text).count("}"):
        raise BrokenCheck(f"{name!r} is {shown(value)}, which is no result")
    return text


def _is_result(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_GOLD or _of_solution(value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _of_solution(text: str) -> str | None:
    found = declared.boxed(text)
    return found if found is not None else declared.hashed(text)
