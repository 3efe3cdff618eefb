"""What happens around traces, for whoever keeps a log: sessions, outages, servers that come and go, retries, failures.

Events are records of the standard library's logger `antiphon.events`, each with its name and fields. Nobody is told who
does not listen: `written_to` writes them to a file, one JSON object a line, with all else that the package logs.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from antiphon.errors import UsageError

_ROOT = logging.getLogger("antiphon")
_log = logging.getLogger("antiphon.events")
_log.addHandler(logging.NullHandler())  # without any handler, the library would write warnings to the terminal
_log.setLevel(logging.INFO)
_trace: ContextVar[str | None] = ContextVar("trace", default=None)


def happened(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Tells those who keep a log.

    Args:
        event: its name, as in `docs/scale.md`.
        fields: what else is known of it; None is left out. They hold no secrets.
    """
    _log.log(level, "%s", event, extra={"event": event, "fields": fields})


def warned(event: str, **fields: object) -> None:
    """As `happened`, of what somebody should look at when it comes often."""
    happened(event, level=logging.WARNING, **fields)


@contextmanager
def concerning(trace: object) -> Iterator[None]:
    """Events of this task name the trace while the context lasts (None: no trace)."""
    before = _trace.set(None if trace is None else str(trace))
    try:
        yield
    finally:
        _trace.reset(before)


@contextmanager
def written_to(path: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Adds events to a file while the context lasts.

    Args:
        warn: is told, once, if the file can be written no more; the log then ends, and nothing else.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        handler = _Lines(path, warn)
    except OSError as error:
        raise UsageError(f"{path}: the log cannot be written: {error.strerror}; name another file") from None
    _ROOT.addHandler(handler)
    try:
        yield
    finally:
        _ROOT.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class _Lines(logging.FileHandler):
    """A line for each record, which is in the file when it is told."""

    def __init__(self, path: Path, warn: Callable[[str], None]):
        super().__init__(path, encoding="utf-8", errors="replace")
        self._warn: Callable[[str], None] | None = warn

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON, without names and passwords that URLs in it may hold."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "message"),
        }
        if (trace := _trace.get()) is not None:
            said["trace"] = trace
        fields = getattr(record, "fields", None)
        said |= {"text": record.getMessage()} if fields is None else {k: v for k, v in fields.items() if v is not None}
        if record.exc_info:
            said["traceback"] = logging.Formatter().formatException(record.exc_info)
        return re.sub(r"://[^\s/@\"]*@", "://", json.dumps(said, default=str))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A disk that is full ends the log, not the run."""
        _ROOT.removeHandler(self)
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(f"{self.baseFilename}: the log cannot be written any more: {sys.exception()}")
