"""Options that several commands share, and how they become settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from antiphon.errors import SettingsError, UsageError
from antiphon.trace import Label, Status

MODELS, LENGTHS, SPENDING, JUDGING, MORE = "Models and boundaries", "Lengths", "Spending", "Right answers", "More"
NO_VALUE = ""
"""The metavar of flags, which take none."""

Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Configuration (see synth --init).")]
Teacher = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help="A server's URL, a model directory, a GGUF file or lab:teacher.", rich_help_panel=MODELS
    ),
]
Student = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="The model to be trained, named likewise.", rich_help_panel=MODELS),
]
Boundary = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where style ends: default, a rule page (general, code, math ...), a folder or module:Name.",
        rich_help_panel=MODELS,
    ),
]
BoundaryTeacher = Annotated[
    str | None, typer.Option(metavar="NAME", help="The same for the teacher only.", rich_help_panel=MODELS)
]
BoundaryStudent = Annotated[
    str | None, typer.Option(metavar="NAME", help="The same for the student only.", rich_help_panel=MODELS)
]
MethodName = Annotated[
    str | None,
    typer.Option(
        "--method", metavar="NAME", help="tessy (both in turns), student_only, teacher_only ... (docs/methods.md)."
    ),
]
ThinkingBudget = Annotated[
    int | None, typer.Option(min=1, metavar="TOKENS", help="Most tokens of thinking.", rich_help_panel=LENGTHS)
]
AnswerBudget = Annotated[
    int | None, typer.Option(min=1, metavar="TOKENS", help="Most tokens of the answer.", rich_help_panel=LENGTHS)
]
OnBudget = Annotated[
    str | None,
    typer.Option(
        metavar="stop|close",
        help="Thinking at its budget: stop, or close it and let the student answer.",
        rich_help_panel=LENGTHS,
    ),
]
Samples = Annotated[int | None, typer.Option(min=1, metavar="N", help="Traces per problem.", rich_help_panel=LENGTHS)]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="The first N problems only.", rich_help_panel=LENGTHS)
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Of these the problems of shard I of N, from 0; each has a run directory of its own (docs/scale.md).",
        rich_help_panel=LENGTHS,
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="EXPR",
        help="Only problems whose fields are so, as in 'pass_rate < 0.5' (docs/problems.md); before --limit.",
        rich_help_panel=LENGTHS,
    ),
]
Field = Annotated[
    str | None, typer.Option(metavar="F", help="The field that states the problem.", rich_help_panel=MORE)
]
Template = Annotated[
    str | None, typer.Option(metavar="T", help="A jinja2 template that states it.", rich_help_panel=MORE)
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", metavar=NO_VALUE, help="Report bad records and go on.", rich_help_panel=MORE)
]
Retry = Annotated[list[str] | None, typer.Option(metavar="STATUS", help="Write such traces anew: --retry failed.")]
Concurrency = Annotated[int | None, typer.Option(min=1, metavar="N", help="Traces in flight.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seeds every request; unset: none is sent.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting: --set student.sampling.temperature=0"),
]
VerifierNames = Annotated[
    list[str] | None,
    typer.Option(
        "--verifier",
        metavar="NAME",
        help="Who judges: a name (docs/verify.md), command:PROGRAM or module:Name; else whom the problem's fields tell."
        " Repeatable.",
        rich_help_panel=JUDGING,
    ),
]
UnsafeLocal = Annotated[
    bool,
    typer.Option(
        "--unsafe-local",
        metavar=NO_VALUE,
        help="Run model-written programs without a sandbox.",
        rich_help_panel=JUDGING,
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar=NO_VALUE, help="JSON on standard output, for programs.")]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False)]
RunDirectories = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories.", show_default=False)]


def voices(
    *,
    teacher: str | None,
    student: str | None,
    boundary: str | None,
    boundary_teacher: str | None,
    boundary_student: str | None,
    method: str | None,
    thinking_budget: int | None,
    answer_budget: int | None,
    on_budget: str | None,
    seed: int | None,
) -> dict[str, Any]:
    """The shared flags as settings by dotted name; None where a flag was not given."""
    return {
        "method": method,
        "teacher.model": teacher,
        "student.model": student,
        "boundary.teacher": boundary_teacher or boundary,
        "boundary.student": boundary_student or boundary,
        "budget.thinking": thinking_budget,
        "budget.answer": answer_budget,
        "budget.on_budget": on_budget,
        "seed": seed,
    }


def assigned(given: Iterable[str] | None) -> Mapping[str, Any]:
    """What `--set NAME=VALUE` says.

    Raises:
        SettingsError: it is not NAME=VALUE.
    """
    values = {}
    for assignment in given or ():
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise SettingsError(f"--set {assignment}: write it as NAME=VALUE, as in --set budget.thinking=200")
        values[name.strip()] = value.strip()
    return values


def statuses(given: Iterable[str], flag: str) -> list[Status]:
    """Statuses by their names.

    Raises:
        UsageError: one is none; names the flag and lists them.
    """
    return _named(Status, "status", given, flag)


def labels(given: Iterable[str], flag: str) -> list[Label]:
    """Labels of verdicts by their names.

    Raises:
        UsageError: one is none; names the flag and lists them.
    """
    return _named(Label, "label", given, flag)


_Kind = TypeVar("_Kind", bound=StrEnum)


def _named(kind: type[_Kind], what: str, given: Iterable[str], flag: str) -> list[_Kind]:
    known = {value.value: value for value in kind}
    try:
        return [known[name] for name in given]
    except KeyError as error:
        raise UsageError(f"{flag} {error.args[0]}: there is no such {what}; there are {', '.join(known)}") from None
