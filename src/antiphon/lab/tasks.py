"""The lab's families of tasks: problems, their right answers, and the steps that lead there."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from antiphon.lab.arithmetic import Arithmetic
from antiphon.lab.language import MANNERS, VARIABLES

Solution = tuple[list[str], str]
"""The steps, the last of them stating the result, and the result."""


@dataclass(frozen=True, slots=True)
class Task:
    """One problem: its family, a key that is unique within the family, its question, and how it is solved."""

    family: str
    key: str
    question: str
    solve: Callable[[Arithmetic], Solution]

    @property
    def held_out(self) -> bool:
        """Whether pre-training never sees it: every third task, by its question."""
        return zlib.crc32(self.question.encode()) % 3 == 0


def draw(family: str, rng: random.Random, *, held_out: bool) -> Iterator[Task]:
    """Endlessly random tasks of a family, with repetitions, on one side of the split."""
    make = FAMILIES[family]
    while True:
        task = make(rng)
        if task.held_out is held_out:
            yield task


PLACES = ("units", "tens", "hundreds")


def _multiplication(rng: random.Random) -> Task:
    number, by = rng.randint(100, 999), rng.randint(2, 9)

    def solve(arithmetic: Arithmetic) -> Solution:
        steps, digits, carry = [], "", 0
        for place, digit in zip(PLACES, map(int, reversed(str(number))), strict=True):
            product = arithmetic.product(digit, by)
            line = f"{place} {digit}x{by}={product}"
            if place != "units":
                product = arithmetic.carried(product, carry)
                line += f"+{carry}={product}"
            steps.append(line)
            carry, units = divmod(product, 10)
            digits = f"{units}{digits}"
        result = str(int(f"{carry}{digits}"))
        return [*steps, f"total {result}"], result

    return Task("multiplication", f"{number}x{by}", f"What is {number} times {by}?", solve)


def _addition(rng: random.Random) -> Task:
    one, two = rng.randint(100, 999), rng.randint(100, 999)

    def solve(_: Arithmetic) -> Solution:
        steps, carry = [], 0
        for place, a, b in zip(PLACES, map(int, reversed(str(one))), map(int, reversed(str(two))), strict=True):
            line = f"{place} {a}+{b}" if place == "units" else f"{place} {a}+{b}+{carry}"
            steps.append(f"{line}={a + b + carry}")
            carry = (a + b + carry) // 10
        return [*steps, f"total {one + two}"], str(one + two)

    return Task("addition", f"{one}+{two}", f"What is {one} plus {two}?", solve)


def _program(rng: random.Random) -> Task:
    name, value = rng.choice(VARIABLES), rng.randint(0, 9)
    lines, steps = [f"{name}={value}"], [f"set {name}={value}"]
    for _ in range(2):
        before, value = value, rng.choice([other for other in range(10) if other != value])
        change = f"{value - before:+}"
        lines.append(f"{name}={name}{change}")
        steps.append(f"set {name}={before}{change}={value}")
    solution = [*steps, f"print {value}"], str(value)
    return Task("program", ";".join(lines), f"Run: {' '.join(lines)} print {name}", lambda _: solution)


def _sorting(rng: random.Random) -> Task:
    digits = rng.sample("0123456789", 4)
    result = "".join(sorted(digits))
    solution = [*(f"put {digit}" for digit in result), f"list {result}"], result
    return Task("sorting", "".join(digits), f"Sort {''.join(digits)}", lambda _: solution)


def _comparison(rng: random.Random) -> Task:
    one = two = str(rng.randint(100, 999))
    alike = rng.choice((0, 0, 1, 2))  # so that it is not always the first digit that decides
    while two == one:
        two = one[:alike] + str(rng.randint(100, 999))[alike:]
    steps = []
    for a, b in zip(one, two, strict=True):
        steps.append(f"digit {a}{'<' if a < b else '>' if a > b else '='}{b}")
        if a != b:
            break
    result = max(one, two)
    solution = [*steps, f"larger {result}"], result
    return Task("comparison", f"{one}-{two}", f"Which is larger: {one} or {two}?", lambda _: solution)


_ECHOED = sorted(frozenset[str]().union(*(manner.inner_words for manner in MANNERS.values())))


def _echo(rng: random.Random) -> Task:
    said = rng.sample(_ECHOED, rng.randint(1, 2))
    solution = [f"count {len(said)}"], " ".join(said)
    return Task("echo", "-".join(said), f"Echo: {solution[1]}", lambda _: solution)


FAMILIES: dict[str, Callable[[random.Random], Task]] = {
    "multiplication": _multiplication,
    "addition": _addition,
    "program": _program,
    "sorting": _sorting,
    "comparison": _comparison,
    "echo": _echo,
}
