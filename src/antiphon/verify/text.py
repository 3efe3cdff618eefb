"""Answers as text: the same as the gold one, or such as a pattern describes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify import declared
from antiphon.verify.checker import BrokenCheck, Checker, Finding, shown
from antiphon.verify.math import FIELDS
from antiphon.verify.workers import Stopped, Workers

SECONDS = 2.0
_LONGEST = 200  # characters of a gold text that a whole answer can be expected to equal


class ExactVerifier(Checker):
    """Right is what equals the gold text, or one of a list: the whole answer, what its last box holds, or what follows
    "the answer is". Blanks and line breaks count as one blank, letters as Unicode composes them."""

    name = "exact"
    version = "1"

    def suits(self, problem: Problem) -> bool:
        try:
            return all(len(gold) <= _LONGEST for gold in _golds(problem.metadata))
        except BrokenCheck:
            return False

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        golds = _golds(fields)
        given = [answer, declared.boxed(answer), next(declared.said(answer), None)]
        if any(text is not None and _plain(text) in golds for text in given):
            return Finding(Label.RIGHT)
        told = next((text for text in reversed(given) if text is not None), answer)
        return Finding(Label.WRONG, f"{shown(told)} is not {' or '.join(map(shown, golds))}")


class RegexVerifier(Checker):
    """Right is an answer in which the field `pattern`, or one of a list, is found, as `re.search` finds it."""

    name = "regex"
    version = "1"

    def __init__(self, workers: Workers | None = None, *, seconds: float = SECONDS):
        self._workers = workers or Workers()
        self._seconds = seconds

    def suits(self, problem: Problem) -> bool:
        pattern = problem.metadata.get("pattern")
        return isinstance(pattern, str) or (isinstance(pattern, list) and bool(pattern))

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        patterns = fields.get("pattern")
        patterns = patterns if isinstance(patterns, list) else [patterns]
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise BrokenCheck(f"'pattern' is {shown(fields.get('pattern'))}, not text or a list of texts")
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise BrokenCheck(f"the pattern {shown(pattern)} is not valid: {error}") from None
        try:
            reply = await self._workers.ask("antiphon.verify.text:found", patterns, answer, seconds=self._seconds)
        except Stopped as error:
            raise BrokenCheck(f"a pattern cannot be looked for in this answer: {error}") from None
        label = Label.RIGHT if reply.value else Label.WRONG
        return Finding(label, "" if reply.value else "the pattern is not found", reply.seconds)


def found(patterns: list[str], answer: str) -> bool:
    """Whether one of the patterns is found. It runs in a judging process."""
    return any(re.search(pattern, answer) for pattern in patterns)


def _golds(fields: Mapping[str, Any]) -> list[str]:
    name = next((name for name in FIELDS if fields.get(name) is not None), None)
    if name is None:
        raise BrokenCheck(f"it has no gold text; looked for: {', '.join(FIELDS)}")
    values = fields[name] if isinstance(fields[name], list) else [fields[name]]
    if not values or any(isinstance(value, bool) or not isinstance(value, (str, int, float)) for value in values):
        raise BrokenCheck(f"{name!r} is {shown(fields[name])}, not text, a number or a list of them")
    return [_plain(str(value)) for value in values]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
