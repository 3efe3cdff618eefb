"""What the traces of a run have in common, where nobody says otherwise."""

from __future__ import annotations

from antiphon.engine.scripted import ScriptedEngine
from antiphon.settings import Settings
from antiphon.synth.methods import METHODS
from antiphon.synth.score import Both, Listener, Score
from antiphon.trace import Author, Kind, Turn

from .duets import voice


def test_what_nobody_sets_is_as_in_the_settings() -> None:
    student = voice(Author.STUDENT, ScriptedEngine("student", lambda here: ()), None)
    score, settings = Score(METHODS["student_only"], {Author.STUDENT: student}, student), Settings()
    assert (score.breaks, score.guard_repetition) == (settings.guards.breaks, settings.guards.repetition)
    assert score.close_on_budget is (settings.budget.on_budget == "close")
    assert score.only_student_closes is (settings.thinking_closed_by == "student")
    assert (score.seed, score.keep_rejected) == (settings.seed, settings.keep_rejected)
    assert (score.thinking_budget, score.answer_budget, score.marks) == (0, 0, None)


class Heard(Listener):
    """Remembers all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def proposed(self, author: Author, kind: Kind, text: str) -> None:
        self.told.append(("proposed", author, kind, text))

    def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
        self.told.append(("kept", author, kind, text, forced))

    def rolled_back(self, author: Author, text: str) -> None:
        self.told.append(("rolled_back", author, text))

    def turned(self, turn: Turn) -> None:
        self.told.append(("turned", turn))


def test_both_listeners_hear_everything() -> None:
    one, other = Heard(), Heard()
    both = Both(one, other)
    turn = Turn(Author.TEACHER, "here", asked=2, received=2, kept=1, words=1, cut=True, seconds=0.1)
    both.proposed(Author.TEACHER, Kind.STYLE, "a b")
    both.kept(Author.TEACHER, Kind.STYLE, "a", forced=True)
    both.rolled_back(Author.TEACHER, " b")
    both.turned(turn)
    assert one.told == other.told
    assert one.told == [
        ("proposed", Author.TEACHER, Kind.STYLE, "a b"),
        ("kept", Author.TEACHER, Kind.STYLE, "a", True),
        ("rolled_back", Author.TEACHER, " b"),
        ("turned", turn),
    ]
