"""A program of the user's own as the judge."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread, Timer
from time import monotonic
from typing import Any

from antiphon.errors import UsageError
from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.checker import BrokenCheck, Checker, Finding
from antiphon.verify.workers import cores, in_thread

SECONDS = 60.0
LABELS = {0: Label.RIGHT, 1: Label.WRONG, 2: Label.NO_ANSWER, 3: Label.CANNOT_JUDGE}
"""What an exit status means; any other is `CANNOT_JUDGE`."""

_KEPT = 8192  # bytes of the end of what it writes


class CommandVerifier(Checker):
    """Judges by a program's exit status (`LABELS`).

    It is started for each answer and gets one JSON object on standard input, `{"problem": {"id", "messages",
    "metadata", "place"}, "answer"}`. The last line that it writes, on either output, is the verdict's detail. It is
    the user's own program and runs as the user, in no sandbox. After `seconds` it is killed with its process group.

    Args:
        command: the program and its arguments, in words as a shell would split them; no shell reads them.
        jobs: how many run at once; unset: one for each core.

    Raises:
        UsageError: there is no such program.
    """

    version = "1"

    def __init__(self, command: str, *, seconds: float = SECONDS, jobs: int | None = None):
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"the command {command!r} cannot be read: {error}") from None
        if not self._command or shutil.which(self._command[0]) is None:
            raise UsageError(f"there is no program {(self._command or [''])[0]!r} that could be run; give its path")
        self.name = f"command:{os.path.basename(self._command[0])}"  # noqa: PTH119 - of a word, not of a file
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(jobs or cores(), "command")

    def suits(self, problem: Problem) -> bool:
        return True

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        told = {
            "problem": {
                "id": problem.id,
                "messages": list(problem.messages),
                "metadata": dict(fields),
                "place": problem.place,
            },
            "answer": answer,
        }
        run = _Run(self._command, json.dumps(told).encode("ascii"), self._seconds)
        status, line, seconds = await in_thread(self._threads, run.carry_out, run.stop)
        if status is None:
            raise BrokenCheck(f"{self.name} took more than {self._seconds:g} s")
        label = LABELS.get(status, Label.CANNOT_JUDGE)
        if label is Label.CANNOT_JUDGE:
            raise BrokenCheck(f"{self.name} ended with {status}: {line or 'it said nothing'}")
        return Finding(label, line, seconds)


class _Run:
    """One run of the program: carried out in a thread, stopped from another."""

    def __init__(self, command: list[str], told: bytes, seconds: float):
        self._command, self._told, self._seconds = command, told, seconds
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = self._late = False

    def carry_out(self) -> tuple[int | None, str, float]:
        """The exit status (None: time was up), the last line of what it wrote, and the seconds it took.

        Raises:
            UsageError: it cannot be started any more.
        """
        began = monotonic()
        with tempfile.TemporaryFile() as standard_input:
            standard_input.write(self._told)
            standard_input.seek(0)
            with self._lock:
                if self._stopped:
                    return None, "", 0.0
                try:
                    self._process = process = subprocess.Popen(
                        self._command,
                        stdin=standard_input,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                except OSError as error:
                    raise UsageError(f"{self._command[0]} cannot be run: {error.strerror}") from None
        tail = _Tail(process)
        clock = Timer(self._seconds, self._time_is_up)
        clock.start()
        status = process.wait()
        clock.cancel()
        _kill(process)  # what it left running
        line = tail.last_line()
        return None if self._late else status, line, monotonic() - began

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.returncode is None:
                _kill(self._process)

    def _time_is_up(self) -> None:
        self._late = True
        self.stop()


class _Tail:
    """The end of what a process writes; however much it is, it is read, so that the process need not wait."""

    def __init__(self, process: subprocess.Popen[bytes]):
        assert process.stdout is not None
        self._pipe, self._kept = process.stdout, b""
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe:
            while data := os.read(self._pipe.fileno(), 1 << 16):
                self._kept = (self._kept + data)[-_KEPT:]

    def last_line(self) -> str:
        """The last line that is not blank. It waits a moment for processes that left the group and may yet write."""
        self._thread.join(1)
        lines = self._kept.decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody there; on macOS: only those who have ended already
        pass
