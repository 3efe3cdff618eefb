"""How far a piece of work is: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from antiphon.cli.progress import faults_told_once
from antiphon.cli.terminal import is_live, stderr, visible
from antiphon.plural import many

_EVERY = 5.0  # seconds between two plain lines


class Counting:
    """Shows on standard error, while the context lasts, how much is done: `12 of 40 answers judged: 10 right, 2 wrong`.

    Args:
        what: what is counted, as one of them is called.
        done: what is done with it.
        total: how much there is; None: not known, or not yet.
        lines: whether there are plain lines where there is no terminal.
        quiet: nothing is shown but what `say` is given.
    """

    def __init__(self, what: str, done: str, total: int | None = None, *, lines: bool = True, quiet: bool = False):
        console = stderr()
        live = is_live(console) and not quiet
        self._lines = lines and not (live or quiet)
        columns = (TextColumn(f"{what}s {done}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not live)
        self._task = self._bar.add_task("", total=total)
        self._what, self._how, self._total, self._done = what, done, total, 0
        self._said = time.monotonic()
        self._shown = ExitStack()

    def at(self, done: int, state: str = "", *, total: int | None = None) -> None:
        """So much is done.

        Args:
            state: what it has come to.
            total: how much there is, where that is known by now.
        """
        self._done, self._total = done, self._total if total is None else total
        self._bar.update(self._task, completed=done, total=self._total, description=visible(state))
        if self._lines and time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            so_far = many(done, self._what) if self._total is None else f"{done:,} of {many(self._total, self._what)}"
            self.say(f"{so_far} {self._how}{': ' if state else ''}{state}")

    def one(self, state: str = "") -> None:
        """One more is done."""
        self.at(self._done + 1, state)

    def say(self, text: str) -> None:
        """A line that stays. May be called from a signal handler."""
        self._bar.console.print(visible(text), soft_wrap=True)

    def __enter__(self) -> Self:
        self._shown.enter_context(faults_told_once(self.say))
        self._shown.enter_context(self._bar)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._shown.close()
