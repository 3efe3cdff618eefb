"""How a trace can be written: each method is a line of a table over the same pieces (docs/methods.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from antiphon.errors import SettingsError
from antiphon.trace import Author, Kind

_STUDENT, _TEACHER = Author.STUDENT, Author.TEACHER


@dataclass(frozen=True, slots=True)
class Alone:
    """One model thinks by itself."""

    role: Author

    @property
    def says(self) -> str:
        """In a word."""
        return self.role.value


@dataclass(frozen=True, slots=True)
class Turns:
    """Both models think, in turns.

    `style` opens and writes style, the other capability. `boundaries` are where a predictor sees the other's class
    begin, or after so many words (`antiphon.synth.cutter`). `rolls_back` False: what was written past the boundary
    stays, to the end of its chunk.
    """

    style: Author = _STUDENT
    boundaries: Literal["predicted", "random", "fixed"] = "predicted"
    rolls_back: bool = True

    @property
    def tells_kinds(self) -> bool:
        """Whether what an author keeps is of one class, as its predictor judges it."""
        return self.boundaries == "predicted" and self.rolls_back

    def kind(self, author: Author) -> Kind:
        """Of what this author writes."""
        if not self.tells_kinds:
            return Kind.THINKING
        return Kind.STYLE if author is self.style else Kind.CAPABILITY

    @property
    def says(self) -> str:
        """In a word."""
        return "in turns"


Thinking = Alone | Turns


@dataclass(frozen=True, slots=True)
class Method:
    """Who thinks and who answers. `source` is where the method comes from. `revision` grows when a method's text would
    come out otherwise, so that old and new data are never mixed in one variant."""

    name: str
    thinking: Thinking
    answer: Author
    says: str
    source: str
    revision: int = 1

    @property
    def roles(self) -> tuple[Author, ...]:
        """The models it needs, the student first."""
        needed = {self.answer, *self.thinkers}
        return tuple(role for role in (_STUDENT, _TEACHER) if role in needed)

    @property
    def opener(self) -> Author:
        """Who writes first."""
        return self.thinkers[0]

    @property
    def thinkers(self) -> tuple[Author, ...]:
        """Who thinks, the opener first."""
        thinking = self.thinking
        return (thinking.role,) if isinstance(thinking, Alone) else (thinking.style, thinking.style.other)

    @property
    def predicted(self) -> tuple[Author, ...]:
        """Whose text a boundary predictor reads."""
        thinking = self.thinking
        return self.roles if isinstance(thinking, Turns) and thinking.boundaries == "predicted" else ()

    @property
    def continuing(self) -> tuple[Author, ...]:
        """Models that go on from what is not their own reply, so that whole replies are not enough."""
        return () if self.roles == (self.answer,) else self.roles


_PAPER, _ABLATION, _OURS = "the paper's method", "a baseline of the paper", "our reading"

METHODS = {
    method.name: method
    for method in (
        Method("tessy", Turns(), _STUDENT, "both think in turns, the student answers", _PAPER),
        Method("student_only", Alone(_STUDENT), _STUDENT, "the student alone", _ABLATION),
        Method("teacher_only", Alone(_TEACHER), _TEACHER, "the teacher alone", _ABLATION),
        Method("teacher_think", Alone(_TEACHER), _STUDENT, "the teacher thinks, the student answers", _ABLATION),
        Method("teacher_answer", Alone(_STUDENT), _TEACHER, "the student thinks, the teacher answers", _ABLATION),
        Method(
            "swapped",
            Turns(style=_TEACHER),
            _STUDENT,
            "as tessy, but the teacher opens and writes style, the student capability",
            _OURS,
        ),
        Method(
            "no_rollback",
            Turns(rolls_back=False),
            _STUDENT,
            "as tessy, but what was written past a boundary stays, to the end of its chunk",
            _OURS,
        ),
    )
}


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        SettingsError: there is none; the message lists them.
    """
    try:
        return METHODS[name]
    except KeyError:
        raise SettingsError(f"there is no method {name!r}; there are {', '.join(METHODS)}") from None
