"""Options that several commands share, each declared once: the same flag means the same everywhere.

How they are declared: a metavar for what has a value, a help of one or two lines, a panel. What holds unless an option
is given is its default or, where that is None, a text as `show_default`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from antiphon.cli import completing
from antiphon.errors import SettingsError, UsageError
from antiphon.trace import Label, Status

READS, MAKES, WORKING, SHOWS = "What it reads", "What it makes", "How it works", "What it shows"
MODELS, LENGTHS, JUDGING, SPENDING = "Models and boundaries", "Lengths", "Right answers", "Spending"
CLUSTER, MACHINES, LEARNING, DEVICE = "On a Ray cluster", "Machines and prices", "How it learns", "Memory and devices"
CLEAN, ELSEWHERE = "Clean data", "Benchmarks with a judge of their own"
PANELS = (
    *(READS, MAKES, CLEAN, MODELS, LENGTHS, LEARNING, DEVICE, JUDGING, ELSEWHERE),
    *(WORKING, SPENDING, CLUSTER, MACHINES, SHOWS),
)
"""Headings over options in the order of all help: what is read, what is made, how, what is shown. An option without one
stands under the last."""

NO_VALUE = ""
"""The metavar of flags, which take none."""


def option(*names: str, metavar: str, help: str, panel: str, values: Any = None, **more: Any) -> Any:
    """An option of the command line.

    Args:
        values: what completes it (`antiphon.cli.completing`).
        more: further arguments of `typer.Option`.
    """
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, autocompletion=values, **more)


def flag(name: str, *, help: str, panel: str | None) -> Any:
    """An option without a value."""
    return typer.Option(name, metavar=NO_VALUE, help=help, rich_help_panel=panel)


# -- what is read

RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.", show_default=False)]
RunDirectories = Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run directories.", show_default=False)]
PROBLEMS: Any = typer.Argument(
    metavar="PROBLEMS...", help="Files, folders, globs, URLs, or - for standard input (docs/problems.md)."
)

Config = Annotated[
    Path | None, option(metavar="FILE", help="Settings from a TOML file; options win over it.", panel=READS)
]


def assignments(values: Any = completing.settings) -> Any:
    """`--set`."""
    return option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other setting of such a file.",
        panel=READS,
        values=completing.names(values),
    )


Assignments = Annotated[list[str] | None, assignments()]
Field = Annotated[str | None, option(metavar="NAME", help="The field that states the problem.", panel=READS)]
Template = Annotated[
    str | None, option(metavar="TEXT", help="A jinja2 template of a record that states it.", panel=READS)
]
SkipBad = Annotated[bool, flag("--skip-bad", help="Pass over bad records, and say which.", panel=READS)]
Where = Annotated[
    str | None,
    option(metavar="EXPR", help="Only problems of which this is true, as 'pass_rate < 0.5'.", panel=READS),
]


def limit(what: str = "problems") -> Any:
    """`--limit`: of so many problems, or what else is counted."""
    return option(min=1, metavar="N", help=f"Only the first N {what}.", panel=READS)


Limit = Annotated[int | None, limit()]
Shard = Annotated[
    str | None, option(metavar="I/N", help="Only shard I of N of them, from 0 (docs/scale.md).", panel=READS)
]


def status(default: str) -> Any:
    """`--status`."""
    return option(
        "--status",
        metavar="STATUS",
        help="Only traces that ended so.",
        panel=READS,
        values=completing.names(lambda: Status),
        show_default=default,
    )


def variant(default: str | bool = True, *, panel: str = READS) -> Any:
    """`--variant`.

    Args:
        default: which one unless it is given, in words.
        panel: another where it names what is made.
    """
    return option(
        "--variant",
        metavar="NAME",
        help="A variant of the run, by its name.",
        panel=panel,
        values=completing.variants,
        show_default=default,
    )


def format(values: Any) -> Any:
    """`--format`; the formats stand in the command's help."""
    return option(metavar="NAME", help="The format of the rows.", panel=READS, values=completing.names(values))


def problem_count(max: int | None = None) -> Any:
    """`--problems`."""
    return option("--problems", min=1, max=max, metavar="N", help="How many problems.", panel=MAKES)


def data() -> Any:
    """`--data`."""
    return option(metavar="PATH", help="What is trained or judged on.", panel=READS)


# -- what is made


def run(*, panel: str = MAKES) -> Any:
    """`--run`."""
    return option("--run", metavar="DIR", help="The run directory.", panel=panel)


def to(default: str | bool = True) -> Any:
    """`--to`."""
    return option("--to", metavar="PATH", help="Where it writes.", panel=MAKES, show_default=default)


def samples(default: str | bool = "1") -> Any:
    """`--samples`."""
    return option(min=1, metavar="N", help="Traces of each problem.", panel=MAKES, show_default=default)


Samples = Annotated[int | None, samples()]
Html = Annotated[Path | None, option(metavar="FILE", help="Write it as one page for a browser.", panel=MAKES)]
Scores = Annotated[Path, option(metavar="DIR", help="Where likelihoods are kept once measured.", panel=MAKES)]


# -- how

Method = Annotated[
    str | None,
    option(
        "--method",
        metavar="NAME",
        help="How traces are written (docs/methods.md).",
        panel=MODELS,
        values=completing.names(completing.methods),
        show_default="tessy, both in turns",
    ),
]
Teacher = Annotated[
    str | None,
    option(
        metavar="MODEL", help="The strong model: a server's URL, a folder, a GGUF file or lab:teacher.", panel=MODELS
    ),
]


def student(default: str | bool = True) -> Any:
    """`--student`."""
    return option(
        metavar="MODEL",
        help="The model to be trained: a server's URL, a folder, a GGUF file or lab:student.",
        panel=MODELS,
        show_default=default,
    )


Student = Annotated[str | None, student()]


def model(default: str | bool = True) -> Any:
    """`--model`."""
    return option(
        metavar="MODEL",
        help="The model: a server's URL, a folder, a GGUF file or lab:student.",
        panel=MODELS,
        show_default=default,
    )


def boundary(default: str | bool = True) -> Any:
    """`--boundary`."""
    return option(
        "--boundary",
        metavar="NAME",
        help="What tells style: default, a rule page (general, code ...), a folder or module:Name.",
        panel=MODELS,
        values=completing.names(completing.boundaries),
        show_default=default,
    )


Boundary = Annotated[str | None, boundary("default")]
BoundaryTeacher = Annotated[
    str | None,
    option(
        metavar="NAME",
        help="The same of the teacher's text only.",
        panel=MODELS,
        values=completing.names(completing.boundaries),
    ),
]
BoundaryStudent = Annotated[
    str | None,
    option(
        metavar="NAME",
        help="The same of the student's text only.",
        panel=MODELS,
        values=completing.names(completing.boundaries),
    ),
]
ThinkingBudget = Annotated[int | None, option(min=1, metavar="TOKENS", help="Most tokens of thinking.", panel=LENGTHS)]
AnswerBudget = Annotated[int | None, option(min=1, metavar="TOKENS", help="Most tokens of the answer.", panel=LENGTHS)]
OnBudget = Annotated[
    str | None,
    option(
        metavar="stop|close",
        help="Thinking at its budget: stop, or close it and have it answered.",
        panel=LENGTHS,
        values=completing.names(lambda: ("stop", "close")),
        show_default="stop",
    ),
]


def epochs(default: str | bool = True) -> Any:
    """`--epochs`."""
    return option(min=0, metavar="N", help="How often every row is read.", panel=LEARNING, show_default=default)


def batch(default: str | bool = True) -> Any:
    """`--batch`."""
    return option(min=1, metavar="ROWS", help="Rows of an optimizer step.", panel=LEARNING, show_default=default)


def rate(default: str | bool = True) -> Any:
    """`--rate`."""
    return option(metavar="R", help="Highest learning rate.", panel=LEARNING, show_default=default)


def max_length(default: str | bool = True, *, panel: str) -> Any:
    """`--max-length`."""
    return option(
        min=1, metavar="TOKENS", help="The longest row that is trained on.", panel=panel, show_default=default
    )


Device = Annotated[
    str | None,
    option(metavar="NAME", help="auto (a GPU if there is one), cpu; of a tagger also cuda:1 ...", panel=DEVICE),
]
VerifierNames = Annotated[
    list[str] | None,
    option(
        "--verifier",
        metavar="NAME",
        help="Who judges: a name (docs/verify.md), command:PROGRAM or module:Name.",
        panel=JUDGING,
        values=completing.names(completing.verifiers),
        show_default="as a problem's fields tell",
    ),
]
UnsafeLocal = Annotated[
    bool, flag("--unsafe-local", help="Run model-written programs without a sandbox.", panel=JUDGING)
]


def concurrency(default: str | bool = "64") -> Any:
    """`--concurrency`."""
    return option(min=1, metavar="N", help="Traces in flight at once.", panel=WORKING, show_default=default)


Concurrency = Annotated[int | None, concurrency()]


def jobs(default: str) -> Any:
    """`--jobs`."""
    return option(min=1, metavar="N", help="Processes at once.", panel=WORKING, show_default=default)


def seed(default: str | bool = True) -> Any:
    """`--seed`."""
    return option(metavar="N", help="Seeds what is drawn at random.", panel=WORKING, show_default=default)


Seed = Annotated[int | None, seed("requests have none")]


def shards(default: str | bool = True, *, panel: str) -> Any:
    """`--shards`."""
    return option(
        min=1, metavar="N", help="Parts that the problems are shared among.", panel=panel, show_default=default
    )


Ray = Annotated[
    str | None,
    option(
        metavar="ADDRESS",
        help="Work on a cluster's machines: auto, local or host:port (docs/scale.md).",
        panel=CLUSTER,
        values=completing.names(lambda: ("auto", "local")),
    ),
]
Retry = Annotated[
    list[str] | None,
    option(
        metavar="STATUS",
        help="Write traces anew that ended so, as in --retry failed.",
        panel=WORKING,
        values=completing.names(lambda: Status),
    ),
]
Again = Annotated[bool, flag("--again", help="Once more what has a verdict, or a reply of no use.", panel=WORKING)]


# -- what is shown

Json = Annotated[bool, flag("--json", help="One JSON value on standard output, for programs.", panel=SHOWS)]


# -- what was given


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
