"""A scripted pair that speaks the lab's language, behind the same names as the embedded one."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from antiphon.engine.base import Engine
from antiphon.engine.scripted import CONTROLS, Control, Fault, Request, ScriptedEngine, Situation, Token
from antiphon.engine.vocabulary import Vocabulary
from antiphon.errors import ModelError


class Manner(NamedTuple):
    """What is said before each of the four steps (words of the rule page `lab`), and the answer."""

    phrases: tuple[str, str, str, str]
    answer: str


STUDENT = Manner(("Okay, let me see", "okay, so", "hmm, then", "so there it is"), "I get {}.")
TEACHER = Manner(("We proceed stepwise:", "Subsequently:", "Continuing thus:", "This yields:"), "Answer: {}")
STYLE = {word for manner in (STUDENT, TEACHER) for phrase in manner.phrases for word in phrase.split()}


PLACES = ("units", "tens", "hundreds", "total")


def steps(number: int, by: int, *, careless: bool) -> list[str]:
    """The steps of a product; the careless forget the carry where the digits' product ends in 6."""
    lines, digits, carry = [], "", 0
    for place, digit in zip(PLACES, map(int, reversed(str(number))), strict=False):
        product = digit * by
        line = f"{place} {digit}x{by}={product}"
        if place != "units":
            product += 0 if careless and product % 10 == 6 else carry
            line += f"+{carry}={product}"
        lines.append(line)
        carry, last = divmod(product, 10)
        digits = f"{last}{digits}"
    return [*lines, f"total {int(f'{carry}{digits}')}"]


def _tokens(text: str) -> Iterator[Token]:
    yield from re.findall(r" ?[^ ]+", text)


def speaker(manner: Manner, *, careless: bool = False) -> Callable[[Situation], Iterator[Token]]:
    """A script that goes on from any point of a solution: a phrase, a step, a phrase ..., the close, the answer."""

    def script(here: Situation) -> Iterator[Token]:
        prompt, _, thinking = here.text.rpartition("<think>")
        asked = re.search(r"What is (\d+) times (\d+)", prompt)
        assert asked is not None, prompt
        lines = steps(int(asked[1]), int(asked[2]), careless=careless)
        if "</think>" in thinking:
            found = re.findall(r"total (\d+)", thinking)
            yield from _tokens(manner.answer.format(found[-1] if found else "?"))
            yield Control("<|im_end|>")
            return
        words = thinking.split()
        done = sum(word in PLACES for word in words)
        spoken = bool(words) and words[-1] in STYLE
        for number in range(done, len(lines)):
            if not spoken:
                lead = "" if number == 0 and not words else " "
                yield from _tokens(lead + manner.phrases[number])
            spoken = False
            yield from _tokens(f" {lines[number]}")
        yield "\n"
        yield Control("</think>")

    return script


class Letters(Vocabulary):
    """One id a byte, the same in every process, so that a run can be taken up by another."""

    start_id = None
    size = 256 + len(CONTROLS)
    digest = "letters"

    def __init__(self) -> None:
        super().__init__()
        self.controls = {control: 256 + number for number, control in enumerate(CONTROLS)}

    def encode(self, text: str) -> array[int]:
        return array("I", list(text.encode("utf-8", "replace")))

    def bytes_of(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else CONTROLS[token - 256].encode()


class Pair:
    """Opens `lab:teacher` and `lab:student`, and under any other name that ends in one of the roles the same.

    Attributes:
        engines: all that were opened.
    """

    def __init__(self, *, delay: float = 0.0, faults: Callable[[Request], Fault | None] = lambda request: None):
        self.delay = delay
        self.faults = faults
        self.engines: list[ScriptedEngine] = []

    def __call__(self, reference: str, *, context: int | None = None, **_: object) -> Engine:
        if reference.endswith("student"):
            script = speaker(STUDENT, careless=True)
        elif reference.endswith("teacher"):
            script = speaker(TEACHER)
        else:
            raise ModelError(f"{reference}: there is no such model")
        faults = self.faults if reference.endswith("teacher") else lambda request: None
        engine = ScriptedEngine(
            reference, script, vocabulary=Letters(), delay=self.delay, context=context or 8192, faults=faults
        )
        self.engines.append(engine)
        return engine


def install(pair: Pair, setattr_: Any = setattr) -> Pair:
    """Every command opens its models through this pair from now on."""
    from antiphon.engine import models

    setattr_(models, "open_engine", pair)
    return pair
