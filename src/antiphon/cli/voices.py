"""The options that all commands share which have models write: who writes, how, and how much."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, get_type_hints

from antiphon.cli import options

if TYPE_CHECKING:
    from antiphon.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """What was given of them; None: nothing."""

    config: options.Config = None
    assignments: options.Assignments = None
    method: options.Method = None
    teacher: options.Teacher = None
    student: options.Student = None
    boundary: options.Boundary = None
    boundary_teacher: options.BoundaryTeacher = None
    boundary_student: options.BoundaryStudent = None
    thinking_budget: options.ThinkingBudget = None
    answer_budget: options.AnswerBudget = None
    on_budget: options.OnBudget = None
    seed: options.Seed = None

    def settings(self, more: Mapping[str, Any]) -> Settings:
        """The settings, of the file and of what was given.

        Args:
            more: what the command's own options say, by dotted names. `--set` wins over all.

        Raises:
            SettingsError: one of them is wrong.
        """
        from antiphon.settings import load

        given = {
            "method": self.method,
            "teacher.model": self.teacher,
            "student.model": self.student,
            "boundary.teacher": self.boundary_teacher or self.boundary,
            "boundary.student": self.boundary_student or self.boundary,
            "budget.thinking": self.thinking_budget,
            "budget.answer": self.answer_budget,
            "budget.on_budget": self.on_budget,
            "seed": self.seed,
        }
        return load(self.config, {**given, **more, **options.assigned(self.assignments)})


def with_voices(command: Callable[..., None]) -> Callable[..., None]:
    """A command with these options in the place of its parameter `voices`."""
    own = inspect.signature(command, eval_str=True)
    hints = get_type_hints(Voices, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(Voices)
    ]
    parameters: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        parameters += shared if name == "voices" else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]

    @wraps(command)
    def called(**given: Any) -> None:
        voices = Voices(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        command(voices=voices, **given)

    vars(called).update(__signature__=own.replace(parameters=parameters))
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called
