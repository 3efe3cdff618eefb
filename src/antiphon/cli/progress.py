"""How a run is doing while it works: a few live lines on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from antiphon.cli.terminal import is_live, stderr, visible
from antiphon.plural import many
from antiphon.synth.tally import Tally
from antiphon.trace import Author, Status

_EVERY = 5.0  # seconds between two plain lines
_GLANCE = 0.2  # and between two looks
_CAUSES = 3  # shown while it runs


class Following:
    """Shows a tally on standard error while the context lasts.

    Args:
        quiet: nothing is shown but what `say` is given.
    """

    def __init__(self, tally: Tally, *, quiet: bool = False):
        self._console = stderr()
        self._sight = Sight(tally)
        self._shown = ExitStack()
        self._quiet = quiet

    def say(self, text: str) -> None:
        """A line that stays, above what is live. May be called from a signal handler."""
        self._console.print(visible(text), soft_wrap=True)

    def __enter__(self) -> Self:
        self._shown.enter_context(faults_told_once(self.say))
        if not self._quiet:
            live = Live(self._sight, console=self._console, refresh_per_second=5, transient=True)
            self._shown.enter_context(live if is_live(self._console) else _Lines(self._sight, self.say))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._shown.close()


@contextmanager
def faults_told_once(say: Callable[[str], None]) -> Iterator[None]:
    """Of the faults that nobody foresaw, tells the first, with its traceback; the others are on the record."""
    faults, logger = _Faults(say), logging.getLogger("antiphon")
    logger.addHandler(faults)
    try:
        yield
    finally:
        logger.removeHandler(faults)


class _Faults(logging.Handler):
    def __init__(self, say: Callable[[str], None]):
        super().__init__(logging.ERROR)
        self._say = say
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            self._say(f"{self.format(record)}\nThis should not happen; what follows of it is only counted.")


class Sight:
    """A tally put into words. A rich renderable: a bar and what belongs to it."""

    def __init__(self, tally: Tally):
        self._tally = tally
        self._since: float | None = None  # when writing began; models are loaded before

    def glance(self) -> None:
        """Notes when writing begins. Called often, whether or not anything is shown."""
        if self._since is None and self._tally.planned:
            self._since = time.monotonic()

    @property
    def loading(self) -> bool:
        """Whether no trace was begun yet."""
        return not (self._tally.planned or self._tally.before)

    def state(self) -> str:
        """What has been done and how fast, in one line."""
        self.glance()
        tally = self._tally
        elapsed = 0.0 if self._since is None else time.monotonic() - self._since
        if self.loading:
            return "loading models"
        aim = tally.aim
        if aim is None:
            said = [f"{tally.done:,}/{many(tally.planned, 'trace')}"]
        else:
            said = [
                f"{aim.settled:,}/{many(aim.problems, 'problem')} settled ({aim.reached:,} right)",
                many(tally.done, "trace"),
            ]
        if tally.before:
            said.append(f"{tally.before} were there")
        kept = {role: usage.kept for role, usage in tally.usage.items()}
        total = sum(kept.values())
        if total and elapsed > 0:
            said.append(f"{total / elapsed:,.0f} tokens/s ({authors(kept)})")
        if tally.spend is not None:
            said += tally.spend.amounts().values()
        said.append(f"{tally.in_flight} in flight")
        if aim is None and 0 < tally.done < tally.planned:
            said.append(f"{duration(elapsed / tally.done * (tally.planned - tally.done))} left")
        if tally.silent:
            said.append("an engine does not answer; waiting for it")
        return ", ".join(said)

    def failures(self) -> list[str]:
        """Failed traces by cause, the most frequent first."""
        if not self._tally.finished[Status.FAILED]:
            return []
        return [f"{count} x {cause}" for cause, count in self._tally.causes.most_common(_CAUSES)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [Text(self.state(), overflow="fold")]
        lines += [Text(visible(line), "red", no_wrap=True, overflow="ellipsis") for line in self.failures()]
        bar = Table.grid(padding=(0, 1))
        tally = self._tally
        total, done = (tally.planned, tally.done) if tally.aim is None else (tally.aim.problems, tally.aim.settled)
        bar.add_row(ProgressBar(total=total or None, completed=done, width=min(60, options.max_width - 8)))
        yield Group(bar, *lines)


class _Lines:
    """A line every few seconds from a thread of its own, whatever the event loop is busy with."""

    def __init__(self, sight: Sight, say: Callable[[str], None]):
        self._sight, self._say = sight, say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="antiphon-progress", daemon=True)

    def _work(self) -> None:
        said = time.monotonic()
        while not self._over.wait(min(_EVERY, _GLANCE)):
            self._sight.glance()
            if time.monotonic() - said < _EVERY:
                continue
            said = time.monotonic()
            for line in (self._sight.state(), *(f"  {failure}" for failure in self._sight.failures())):
                self._say(line)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()


def authors(tokens: Mapping[Author, int]) -> str:
    """Each author's share of some tokens."""
    total = sum(tokens.values())
    return ", ".join(f"{author} {count / total:.0%}" for author, count in tokens.items() if count) if total else "-"


def duration(seconds: float) -> str:
    """Seconds for people, in the unit that fits: 42 s, 3.1 min, 2.3 h, 5.0 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
