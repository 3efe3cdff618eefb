"""`antiphon doctor`: what the servers of a run can do, and what to change before money is spent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from antiphon.cli import options
from antiphon.cli.terminal import print_json, stdout, visible
from antiphon.cli.voices import Voices, with_voices

if TYPE_CHECKING:
    from rich.console import Console

    from antiphon.operate.doctor import Chart, Finding, Report

_COLOURS = {"ok": "green", "warning": "bold yellow", "failure": "bold red"}
_GRADE, _CHECK = 7, 12  # widths of the first columns, with two blanks behind each
_INDENT = _GRADE + _CHECK + 4


@with_voices
def doctor(
    voices: Voices,
    concurrency: options.Concurrency = None,
    json: options.Json = False,
) -> None:
    """Looks at the models of a run: what they can do, what to change.

    Example: antiphon doctor --teacher http://host:8000 --student http://host:8001

    One model alone can be looked at, too. Give it what you give synth. It writes a few hundred tokens.

    Exit codes: 0 a run would work, 2 wrong use, 3 it would not.
    """
    from antiphon.engine import models
    from antiphon.operate.doctor import examine

    settings = voices.settings({"concurrency": concurrency})
    notes = _Notes(stdout())
    report = asyncio.run(
        examine(settings, open_engine=models.open_engine, hear=(lambda chart, finding: None) if json else notes.hear)
    )
    code = 0 if report.works else 3
    if json:
        print_json(_as_json(report), code)
    else:
        notes.conclude(report)
    raise typer.Exit(code)


class _Notes:
    """Writes findings down as they are made."""

    def __init__(self, console: Console):
        self._console = console
        self._chart: Chart | None = None

    def hear(self, chart: Chart, finding: Finding) -> None:
        from rich.text import Text

        if chart is not self._chart:
            self._chart = chart
            self._console.print()
            where = f"  {visible(chart.where)}".rstrip()
            self._console.print(Text.assemble((chart.title, "bold"), where), soft_wrap=True)
        says = Text(visible(finding.says))
        if finding.advice:
            says.append(f"\n→ {visible(finding.advice)}", "italic")
        lines = says.wrap(self._console, max(20, self._console.width - _INDENT))
        grade = Text(f"{finding.grade:{_GRADE}}", _COLOURS[finding.grade])
        before = Text.assemble(grade, f"  {finding.check:{_CHECK}}  ")
        for line in lines:
            line.rstrip()
            self._console.print(before + line, soft_wrap=True)
            before = Text(" " * _INDENT)

    def conclude(self, report: Report) -> None:
        from antiphon.cli.trace import tell
        from antiphon.operate.doctor import Grade

        if report.trace is not None and report.problem is not None:
            self._console.print()
            tell(self._console, report.trace, report.problem)
        failures, warnings = report.count(Grade.FAILURE), report.count(Grade.WARNING)
        counted = [f"{count} {name}{'s' * (count > 1)}" for count, name in _named(failures, warnings) if count]
        end = "A run would work" if report.works else "A run would not work as it is"
        self._console.print()
        self._console.print(f"{end}{': ' if counted else ''}{', '.join(counted)}.", style="bold")


def _named(failures: int, warnings: int) -> tuple[tuple[int, str], tuple[int, str]]:
    return (failures, "failure"), (warnings, "warning")


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "charts": [
            {
                "title": chart.title,
                "where": chart.where,
                "findings": [
                    {
                        "check": finding.check,
                        "grade": finding.grade,
                        "says": finding.says,
                        "advice": finding.advice,
                        "facts": dict(finding.facts),
                    }
                    for finding in chart.findings
                ],
            }
            for chart in report.charts
        ],
        "works": report.works,
    }
