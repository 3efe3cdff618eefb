"""What the pair is pre-trained on: solutions in an author's own manner, and some in a foreign context.

A model that has seen only its own manner cannot write in turns: behind the other's words it does not know where it
is. So a share of the traces stands in a foreign context, in which some of the style or all of the steps are another's
and only the author's own words are learned.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal, NamedTuple

from antiphon.lab import arithmetic
from antiphon.lab.language import MANNERS, OPEN, Span, first_word, told
from antiphon.lab.tasks import draw

Role = Literal["student", "teacher"]

FOREIGN = 0.3
"""Share of the traces that stand in a foreign context."""

SHARES = {
    "multiplication": 0.36,
    "addition": 0.16,
    "program": 0.14,
    "sorting": 0.09,
    "comparison": 0.09,
    "echo": 0.16,
}

_BELIEFS = {"student": arithmetic.student, "teacher": arithmetic.teacher}
_OTHER: dict[Role, Role] = {"student": "teacher", "teacher": "student"}
_OPENERS = [first_word(phrase) for manner in MANNERS.values() for phrase in manner.openers]
_WORDS = sorted(frozenset[str]().union(*(manner.inner_words for manner in MANNERS.values())))


class Stretch(NamedTuple):
    """Text that is encoded on its own, and whether the model learns to write it."""

    text: str
    learned: bool


def prompt(question: str) -> str:
    """What stands before a reply, as Qwen3's template writes it."""
    return f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def lessons(role: Role, seed: int) -> Iterator[list[Stretch]]:
    """Endlessly many traces for one author, never of a task that is held out. The same for the same seed."""
    rng = random.Random(f"{role} {seed}")
    tasks = {family: draw(family, rng, held_out=False) for family in SHARES}
    while True:
        task = next(tasks[rng.choices(list(SHARES), list(SHARES.values()))[0]])
        foreign = rng.random() < FOREIGN
        strange_steps = foreign and rng.random() < 0.5
        solver = _OTHER[role] if strange_steps else role
        spans = told(*task.solve(_BELIEFS[solver](rng)), MANNERS[role], rng)
        strangeness = rng.choice((0.0, 0.3)) if strange_steps else rng.choice((0.5, 1.0)) if foreign else 0.0
        silent = spans[-3].kind == "step"  # closes without a phrase, which is to be learned as rarely as a phrase
        reply = [Stretch(OPEN, True)]
        for number, span in enumerate(spans):
            if span.kind == "style" and rng.random() < strangeness:
                reply.append(Stretch(_strange(span, number == 0, role, rng), False))
            elif span.kind == "close" and silent and rng.random() < strangeness:
                reply.append(Stretch(span.text, False))
            else:
                reply.append(Stretch(span.text, not (span.kind == "step" and strange_steps)))
        yield [Stretch(prompt(task.question), False), *reply, Stretch("<|im_end|>", True)]


def _strange(span: Span, opening: bool, role: Role, rng: random.Random) -> str:
    """Style in the place of a span: phrases of the other's, or words of either at random."""
    if rng.random() < 0.5:
        words = rng.choices(_WORDS, k=rng.randint(1, 4))
        phrase = " ".join([rng.choice(_OPENERS), *words[1:]] if opening else words)
    else:
        manner = MANNERS[_OTHER[role]]
        phrase = rng.choice(manner.openers if opening else (*manner.links, *manner.results))
    return phrase if opening else " " + phrase
