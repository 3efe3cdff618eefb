"""Variants of every method, written by a scripted pair in a run directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from bench.pair import settings

from antiphon.engine.base import Reply
from antiphon.engine.scripted import Control, Fault, Request, ScriptedEngine, Situation, Token
from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.synth.run import Run
from antiphon.trace import Author, Kind, Trace
from tests.synth.test_reply import Completer, says

CLOSE, END = Control("</think>"), Control("<|im_end|>")
STUDENT, TEACHER = Author.STUDENT, Author.TEACHER


class Pair:
    """Student and teacher by script: each thinks of itself, in turns too, and answers with a number that is new.

    Args:
        grades: what the teacher says of the n-th answer of the student's, reply by reply; None: it is not asked.
        faults: by role and request.
    """

    def __init__(
        self,
        grades: Mapping[int, Sequence[str]] | None = None,
        faults: Callable[[str, Request], Fault | None] = lambda role, request: None,
        chat: Iterable[str] = (),
    ):
        self.grades = {number: iter(replies) for number, replies in (grades or {}).items()}
        self.faults = faults
        self.chat = tuple(chat)
        self.requests: Counter[str] = Counter()
        self.prompts: list[str] = []
        self._numbers = {"student": count(), "teacher": count(100)}

    def open_engine(self, role: str, **_: object) -> Any:
        if role in self.chat:
            return Completer(role, lambda number: self._reply(role))
        engine = ScriptedEngine(role, lambda here: self._script(role, here))
        engine.controls = tuple(engine.vocabulary.controls)
        engine.faults = lambda request: self._asked(role, request)
        return engine

    def _reply(self, role: str) -> Reply:
        self.requests[role] += 1
        return says(f"answer{next(self._numbers[role])}", "Chat thinks.")

    def _asked(self, role: str, request: Request) -> Fault | None:
        self.requests[role] += 1
        return self.faults(role, request)

    def _script(self, role: str, here: Situation) -> Iterator[Token]:
        prompt, _, said = here.text.rpartition("<think>")
        self.prompts.append(prompt)
        if "</think>" not in said:
            if len(said) > 60:
                yield CLOSE
            elif role == "student":
                yield from (" Student", " thinks", " 1", " 2")
            else:
                yield from (" calculate", " 3", " 4", " Hence")
            yield CLOSE
        elif "Grade: N" in prompt:
            number = int(prompt.rpartition("answer")[2].split("\n")[0])
            yield from (next(self.grades[number]), END)
        else:
            yield from (f"answer{next(self._numbers[role])}", END)


def run(directory: Path, method: str, pair: Pair, problems: int | Sequence[Problem] = 1, **flags: Any) -> Run:
    asked = [problem(n) for n in range(problems)] if isinstance(problems, int) else problems
    how = {name: flags.pop(name) for name in ("variant", "retry") if name in flags}
    given = {"method": method, "concurrency": 1, **{name.replace("__", "."): value for name, value in flags.items()}}
    return Run(asked, directory / "run", settings(**given), open_engine=pair.open_engine, **how)


def problem(number: int, **metadata: Any) -> Problem:
    return Problem(f"p{number}", ({"role": "user", "content": f"Question {number}"},), metadata)


def written(directory: Path, method: str, pair: Pair | None = None, *args: Any, **flags: Any) -> list[Trace]:
    return sorted(run(directory, method, pair or Pair(), *args, **flags), key=lambda trace: trace.key)


def paid(directory: Path, variant: str) -> dict[Author, int]:
    with Reader(directory / "run") as reader:
        return {role: total.received for role, total in reader.totals(variant).items() if total.received}


def variants(directory: Path) -> list[str]:
    with Reader(directory / "run") as reader:
        return [variant.name for variant in reader.variants()]


def by(trace: Trace) -> list[tuple[Author, Kind]]:
    return [(span.author, span.kind) for span in trace.spans if span.kind is not Kind.MARKER]
