"""What the traces of a run have in common, where nobody says otherwise."""

from __future__ import annotations

from antiphon.engine.scripted import ScriptedEngine
from antiphon.settings import Settings
from antiphon.synth.methods import METHODS
from antiphon.synth.score import Score
from antiphon.trace import Author

from .duets import voice


def test_what_nobody_sets_is_as_in_the_settings() -> None:
    student = voice(Author.STUDENT, ScriptedEngine("student", lambda here: ()), None)
    score, settings = Score(METHODS["student_only"], {Author.STUDENT: student}, student), Settings()
    assert (score.breaks, score.guard_repetition) == (settings.guards.breaks, settings.guards.repetition)
    assert score.close_on_budget is (settings.budget.on_budget == "close")
    assert score.only_student_closes is (settings.thinking_closed_by == "student")
    assert (score.seed, score.keep_rejected) == (settings.seed, settings.keep_rejected)
    assert (score.thinking_budget, score.answer_budget, score.marks) == (0, 0, None)
