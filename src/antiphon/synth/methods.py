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


@dataclass(frozen=True, slots=True)
class Revoiced:
    """The thinking of a trace that is there already: its capability stays, its style is written anew."""

    role: Author = _STUDENT

    @property
    def says(self) -> str:
        """In a word."""
        return "a trace's, style anew"


@dataclass(frozen=True, slots=True)
class BestOf:
    """Several traces by one method, of which the one stays that the teacher gives the best grade."""

    method: str

    @property
    def says(self) -> str:
        """In a word."""
        return "student"


@dataclass(frozen=True, slots=True)
class Mixed:
    """Each problem by one of these methods, in turn."""

    methods: tuple[str, ...]

    @property
    def says(self) -> str:
        """In a word."""
        return "teacher or student"


Thinking = Alone | Turns | Revoiced | BestOf | Mixed

TEACHERS, PROBLEMS = "teacher_only", "the problem's own"
"""Where a response comes from that is shown: from a trace by this method, or from the problem's field `reference`."""


@dataclass(frozen=True, slots=True)
class Method:
    """Who thinks and who answers. `source` is where the method comes from, `shown` whose response to the problem is
    shown with it (None: nobody's). `revision` grows when a method's text would come out otherwise, so that old and new
    data are never mixed in one variant."""

    name: str
    thinking: Thinking
    answer: Author
    says: str
    source: str
    shown: str | None = None
    revision: int = 1

    @property
    def roles(self) -> tuple[Author, ...]:
        """The models it needs, the student first."""
        needed = {self.answer, *self.thinkers}
        if isinstance(self.thinking, BestOf) or self.shown == TEACHERS:
            needed.add(_TEACHER)
        return tuple(role for role in (_STUDENT, _TEACHER) if role in needed)

    @property
    def opener(self) -> Author:
        """Who writes first."""
        return self.thinkers[0]

    @property
    def thinkers(self) -> tuple[Author, ...]:
        """Who thinks, the opener first."""
        match self.thinking:
            case Alone(role) | Revoiced(role):
                return (role,)
            case Turns(style):
                return (style, style.other)
            case BestOf(name):
                return METHODS[name].thinkers
            case Mixed(names):
                return tuple(role for name in names for role in METHODS[name].thinkers)

    @property
    def predicted(self) -> tuple[Author, ...]:
        """Whose text a boundary predictor reads."""
        thinking = self.thinking
        if isinstance(thinking, Revoiced) or (isinstance(thinking, Turns) and thinking.boundaries == "predicted"):
            return (_STUDENT, _TEACHER)
        return ()

    @property
    def keeps_chunks(self) -> bool:
        """Whether its text depends on where requests end."""
        return isinstance(self.thinking, Turns) and not self.thinking.rolls_back

    @property
    def continuing(self) -> tuple[Author, ...]:
        """Models that go on from what is not their own reply, so that whole replies are not enough."""
        match self.thinking:
            case Turns() | Revoiced():
                return self.roles
            case Alone(role) if role is not self.answer:
                return (self.answer,)
        return ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Methods by which one model writes alone what a trace of this one is made of: the thinking, the whole, or what
        is shown and asked on the way. Such traces are taken where they are there."""
        match self.thinking:
            case BestOf(name):
                return (name, TEACHERS)
            case Mixed(names):
                return names
            case Alone(role) if role is not self.answer:
                return (f"{role}_only",)
        return (self.shown,) if self.shown == TEACHERS else ()

    @property
    def tells_kinds(self) -> bool:
        """Whether spans of its thinking are of one class each, as predictors judge it."""
        thinking = self.thinking
        return isinstance(thinking, Revoiced) or (isinstance(thinking, Turns) and thinking.tells_kinds)

    @property
    def needs_run(self) -> bool:
        """Whether a trace of it alone, without a run directory, cannot be written."""
        match self.thinking:
            case Alone():
                return self.shown is not None
            case Turns(_, boundaries):
                return boundaries != "predicted"
        return True

    @property
    def says_answer(self) -> str:
        """Who answers, in a word."""
        return "the same" if isinstance(self.thinking, Mixed) else self.answer.value


_PAPER, _BASELINE, _READING, _OURS = "the paper", "paper's baseline", "paper's baseline, our reading", "ours"

METHODS = {
    method.name: method
    for method in (
        Method("tessy", Turns(), _STUDENT, "both think in turns, the student answers", _PAPER),
        Method("student_only", Alone(_STUDENT), _STUDENT, "the student alone", _BASELINE),
        Method("teacher_only", Alone(_TEACHER), _TEACHER, "the teacher alone", _BASELINE),
        Method("teacher_think", Alone(_TEACHER), _STUDENT, "the teacher thinks, the student answers", _BASELINE),
        Method("teacher_answer", Alone(_STUDENT), _TEACHER, "the student thinks, the teacher answers", _BASELINE),
        Method(
            "teacher_mix",
            Mixed(("teacher_only", "student_only")),
            _STUDENT,
            "every other problem by the teacher alone, the others by the student alone",
            _READING,
        ),
        Method(
            "teacher_reference",
            Alone(_STUDENT),
            _STUDENT,
            "the student alone, shown the teacher's whole response",
            _READING,
            shown=TEACHERS,
        ),
        Method(
            "teacher_score",
            BestOf("student_only"),
            _STUDENT,
            "of several traces by the student alone, the one to which the teacher gives the best grade",
            _READING,
        ),
        Method(
            "random_boundaries",
            Turns(boundaries="random"),
            _STUDENT,
            "as tessy, but spans end after a number of words drawn from another variant's",
            _OURS,
        ),
        Method(
            "fixed_boundaries",
            Turns(boundaries="fixed"),
            _STUDENT,
            "as tessy, but spans end after another variant's mean number of words",
            _OURS,
        ),
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
        Method(
            "revoice",
            Revoiced(),
            _STUDENT,
            "another variant's thinking, its capability kept, its style written anew by the student",
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
