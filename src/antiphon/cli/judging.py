"""Answers while they are judged, and what traces came to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from antiphon.cli.counting import Counting
from antiphon.cli.terminal import columned, visible
from antiphon.verify.result import Result, result_of

if TYPE_CHECKING:
    from antiphon.store import Reader
    from antiphon.store.several import Several
    from antiphon.trace import Key, Label, Verdict
    from antiphon.verify.judge import Judged


class Judging(Counting):
    """Shows verdicts as they come.

    Args:
        total: how many answers there are, judged before or not.
    """

    def __init__(self, total: int, *, quiet: bool = False):
        super().__init__("answer", "judged", total, quiet=quiet)
        self._labels: Counter[Label] = Counter()

    def heard(self, key: Key, verdict: Verdict) -> None:
        """A verdict was given, or was there already."""
        self._labels[verdict.label] += 1
        counts = self._labels.most_common()
        self.one(", ".join(f"{count:,} {label.value.replace('_', ' ')}" for label, count in counts))


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
    judged = False
    for (status, label), count in reader.standing_counts(variant).items():
        result = result_of(status, label)
        results[result] += count
        judged |= label is not None and result.counts
    counted = sum(count for result, count in results.items() if result.counts)
    return {
        "results": {result: results[result] for result in Result if results[result]},
        "pass_rate": results[Result.RIGHT] / counted if judged else None,
    }


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
