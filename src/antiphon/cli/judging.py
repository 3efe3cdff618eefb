"""Answers while they are judged, and what traces came to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from antiphon.cli.progress import faults_told_once
from antiphon.cli.terminal import columned, stderr, visible
from antiphon.verify.result import Result, result_of

if TYPE_CHECKING:
    from antiphon.store import Reader
    from antiphon.store.several import Several
    from antiphon.trace import Key, Label, Verdict
    from antiphon.verify.judge import Judged

_EVERY = 5.0  # seconds between two plain lines


class Judging:
    """Shows verdicts as they come, on standard error while the context lasts: a bar on a terminal, a line every few
    seconds elsewhere.

    Args:
        total: how many answers there are, judged before or not.
        quiet: nothing is shown but what `say` is given.
    """

    def __init__(self, total: int, *, quiet: bool = False):
        self._console = stderr()
        self._live = self._console.is_terminal and not quiet
        self._lines = not (self._live or quiet)
        columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=self._console, transient=True, disable=not self._live
        )
        self._task = self._progress.add_task("", total=total)
        self._total, self._done = total, 0
        self._labels: Counter[Label] = Counter()
        self._said = time.monotonic()
        self._shown = ExitStack()

    def heard(self, key: Key, verdict: Verdict) -> None:
        """A verdict was given, or was there already."""
        self._done += 1
        self._labels[verdict.label] += 1
        if self._live:
            self._progress.update(self._task, completed=self._done, description=self._state())
        elif self._lines and time.monotonic() - self._said >= _EVERY:
            self._said = time.monotonic()
            self.say(f"{self._done:,} of {self._total:,} judged: {self._state()}")

    def say(self, text: str) -> None:
        """A line that stays. May be called from a signal handler."""
        self._progress.console.print(visible(text), soft_wrap=True)

    def _state(self) -> str:
        return ", ".join(f"{count:,} {label.value.replace('_', ' ')}" for label, count in self._labels.most_common())

    def __enter__(self) -> Self:
        self._shown.enter_context(faults_told_once(self.say))
        self._shown.enter_context(self._progress)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._shown.close()


def judged(judging: Callable[..., Coroutine[Any, Any, Judged]], total: int, *, quiet: bool) -> Judged | None:
    """What `judge` did, shown while it works; None if that was interrupted.

    Args:
        judging: `judge` with its arguments, all but those that listen.
        total: how many answers there are.
    """
    from antiphon.cli.stopping import Stopping

    async def work() -> Judged:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            loop.call_soon_threadsafe(task.cancel)

        with Stopping(stop, shown.say):
            return await judging(on_verdict=shown.heard, on_known=shown.heard)

    with Judging(total, quiet=quiet) as shown:
        try:
            return asyncio.run(work())
        except asyncio.CancelledError:
            return None


def facts(reader: Reader | Several, variant: str) -> dict[str, Any]:
    """What a variant's traces came to, and the share of right ones among those that count."""
    results: Counter[Result] = Counter()
    for (status, label), count in reader.standing_counts(variant).items():
        results[result_of(status, label)] += count
    counted = sum(count for result, count in results.items() if result.counts)
    judged = any(results[result] for result in Result if result.counts and result not in _BY_STATUS)
    return {
        "results": {result: results[result] for result in Result if results[result]},
        "pass_rate": results[Result.RIGHT] / counted if judged else None,
    }


_BY_STATUS = (Result.NO_ANSWER, Result.CUT_OFF)
"""What is known without a verdict."""


def table(variants: Iterable[Mapping[str, Any]]) -> Table:
    """What the traces of several variants came to, a column each. Takes `facts` with `name`."""
    variants = list(variants)
    found = columned("", *(visible(variant["name"]) for variant in variants))
    for result in Result:
        if any(result in variant["results"] for variant in variants):
            found.add_row(result.says, *(_cell(variant, result) for variant in variants))
    rates = ("-" if variant["pass_rate"] is None else f"{variant['pass_rate']:.1%}" for variant in variants)
    found.add_row("right of those that count", *rates, style="bold")
    return found


def _cell(variant: Mapping[str, Any], result: Result) -> str:
    results: Mapping[Result, int] = variant["results"]
    count = results.get(result, 0)
    counted = sum(n for each, n in results.items() if each.counts)
    return f"{count:,} ({count / counted:.0%})" if result.counts and counted else f"{count:,}"
