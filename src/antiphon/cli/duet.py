"""`antiphon duet`: one problem, live: both voices, and what is rolled back."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.cli import options
from antiphon.cli.terminal import in_colour, is_live, print_json, stderr, stdout, visible, warn
from antiphon.cli.voices import Voices, with_voices
from antiphon.errors import SettingsError
from antiphon.plural import many
from antiphon.trace import Author, Kind, Status

if TYPE_CHECKING:
    from rich.console import Console

    from antiphon.problem import Problem
    from antiphon.settings import Settings
    from antiphon.synth.record import MemoryRecorder
    from antiphon.trace import Trace

_ALONE = {"keep_rejected": True, "concurrency": 1}
_LAB_QUESTION = "What is 347 times 6?"


@with_voices
def duet(
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="What to ask; the embedded pair does sums.")
    ] = _LAB_QUESTION,
    *,
    voices: Voices,
    json: options.Json = False,
) -> None:
    """Answers one question live: both voices, and what is rolled back.

    Example: antiphon duet "What is 347 times 6?"

    Without models, the embedded pair answers (lab:teacher, lab:student, the rule page lab).

    Exit codes: 0 answered, 1 the trace failed, 2 wrong use, 3 a service gave out, 130 interrupted.
    """
    from antiphon.api import ask
    from antiphon.synth.cast import chosen_method

    settings = voices.settings(_ALONE)
    if settings.teacher.model is None and settings.student.model is None:
        voices = replace(voices, teacher="lab:teacher", student="lab:student", boundary=voices.boundary or "lab")
        settings = voices.settings(_ALONE)
    if chosen_method(settings).needs_run:
        raise SettingsError(
            f"the method {settings.method} makes traces of others, so it needs a run: "
            f"antiphon synth --run DIR --method {settings.method}"
        )
    problem = ask(question)
    stage = Stage(stdout(), silent=json)
    trace, recorder = stage.perform(settings, problem)
    code = 1 if trace.status is Status.FAILED else 0
    if json:
        from antiphon.cli.record import trace_json

        print_json(trace_json(trace, problem, recorder.turns), code)
    raise typer.Exit(code)


class Stage:
    """Where one duet is heard.

    Args:
        silent: nothing is shown.
    """

    def __init__(self, console: Console, *, silent: bool):
        self._console = console
        self._silent = silent

    def perform(self, settings: Settings, problem: Problem) -> tuple[Trace, MemoryRecorder]:
        """Writes one trace, showing it as it comes."""
        return asyncio.run(self._perform(settings, problem))

    async def _perform(self, settings: Settings, problem: Problem) -> tuple[Trace, MemoryRecorder]:
        from antiphon.cli.pen import Pen
        from antiphon.engine import models
        from antiphon.synth.cast import assemble
        from antiphon.synth.record import MemoryRecorder
        from antiphon.synth.reply import writer_for
        from antiphon.synth.score import Listener
        from antiphon.trace import Key, Trace

        pen = Pen(self._console)

        class Ear(Listener):
            """Writes what is heard."""

            def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
                pen.write(author, kind, text, forced=forced)

            def rolled_back(self, author: Author, text: str) -> None:
                pen.strike(author, text)

        notes = stderr()
        waiting = notes.status("loading models") if is_live(notes) and not self._silent else nullcontext()
        with waiting:
            cast = await assemble(settings, listener=None if self._silent else Ear(), open_engine=models.open_engine)
        for remark in cast.remarks:
            warn(remark)
        recorder = MemoryRecorder()
        key = Key(problem.id, settings.method, 0)
        started, began = time.time(), time.monotonic()
        try:
            if not self._silent:
                self._announce(settings, problem)
            await writer_for(cast.score)(cast.score, problem, key, recorder).write()
        finally:
            if not self._silent:
                pen.close()
            await cast.close()
        seconds = time.monotonic() - began
        trace = Trace(
            key,
            tuple(recorder.spans),
            recorder.status,
            recorder.cause,
            recorder.closed_by,
            recorder.usage,
            started=started,
            finished=started + seconds,
        )
        if not self._silent:
            self._conclude(trace, recorder, seconds)
        return trace, recorder

    def _announce(self, settings: Settings, problem: Problem) -> None:
        from rich.text import Text

        from antiphon.cli.pen import Look

        colour = in_colour(self._console)
        line = Text()
        for role in (Author.STUDENT, Author.TEACHER):
            model = getattr(settings, role.value).model
            if model is not None:
                look = Look(role, Kind.STYLE)
                opening, closing = ("", "") if colour else look.marks
                line.append("   " if line else "")
                line.append(f"{opening}{role}{closing}", look.style if colour else "")
                line.append(f" {visible(model)}", "dim" if colour else "")
        self._console.print(line, soft_wrap=True)
        for message in problem.messages:
            self._console.print(Text(visible(message["content"]), "bold"))
        self._console.print()

    def _conclude(self, trace: Trace, recorder: MemoryRecorder, seconds: float) -> None:
        from antiphon.cli.pen import Look, write_legend
        from antiphon.cli.progress import duration

        looks = [Look(span.author, span.kind, span.forced) for span in trace.spans]
        looks += [Look(turn.role, Kind.THINKING, struck=True) for turn in recorder.turns if turn.rejected]
        self._console.print()
        write_legend(self._console, looks)
        self._console.print(f"{trace.status}{': ' if trace.cause else ''}{visible(trace.cause)}", style="bold")
        turns = recorder.turns
        self._console.print(f"{many(len(turns), 'turn')} in {duration(seconds)}")
        for role, used in trace.usage.items():
            tokens = many(used.received, "token")
            self._console.print(f"the {role} wrote {tokens}, {used.thrown_away:,} of them rolled back")
