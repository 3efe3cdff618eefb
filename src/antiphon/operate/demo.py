"""The main job on the two embedded models: problems, traces, right answers, a training file, a page to look at."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import antiphon.problem
from antiphon.engine import models
from antiphon.errors import UsageError, VariantChanged
from antiphon.export import write
from antiphon.lab import Record, is_right
from antiphon.lab import problems as draw
from antiphon.problem import Problem
from antiphon.settings import load
from antiphon.store import Reader, Store
from antiphon.synth.run import Run
from antiphon.synth.tally import Tally
from antiphon.trace import Author, Kind, Label, Status, Trace, Verdict
from antiphon.view.file import write_file

METHODS = ("tessy", "teacher_only", "student_only")

PROBLEMS, RUN, TRAINING, PAGE = "problems.jsonl", "run", "train.jsonl", "traces.html"
"""The names of what a demo writes into its folder."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One method's traces: how many, how many complete, how many of all with the right answer."""

    method: str
    traces: int
    complete: int
    right: int


@dataclass(frozen=True, slots=True)
class Story:
    """What a demo did. All figures are counted from its run directory.

    Attributes:
        arms: the methods, in the order of `METHODS`.
        shares: characters of the `tessy` traces by author and kind, markers left out.
        problem, trace: one `tessy` trace, complete where possible, and of a problem that the student alone got wrong.
        rows: of the training file.
        seconds: what it took; little where all was there already.
    """

    folder: Path
    arms: tuple[Arm, ...]
    shares: Mapping[tuple[Author, Kind], int]
    problem: Problem | None
    trace: Trace | None
    rows: int
    seconds: float


def perform(
    folder: Path,
    *,
    seed: int,
    problems: int,
    watching: Callable[[str, Tally], AbstractContextManager[object]],
) -> Story:
    """Does all of it. What is in the folder already is not done again.

    Args:
        problems: how many of the family at which the student is weak, drawn with `seed`.
        watching: a context around each method's run, given its name and tally.

    Raises:
        UsageError: the folder holds another demo, or cannot be written.
    """
    began = time.monotonic()
    records = draw(problems, seed=seed)
    asked = _write_problems(folder, records)
    for method in METHODS:
        _run(asked, folder, method, seed, watching)
    _judge(folder / RUN, {record["id"]: record for record in records})
    with Reader(folder / RUN) as reader:
        exported = write(reader, "messages", folder / TRAINING, variant="tessy", overwrite=True)
        write_file(folder / RUN, folder / PAGE, limit=problems)
        return _told(folder, reader, asked, exported.rows, began)


def _write_problems(folder: Path, records: list[Record]) -> list[Problem]:
    path = folder / PROBLEMS
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{json.dumps(record)}\n" for record in records)
        if path.exists() and path.read_text("utf-8") != text:
            raise _another(folder)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; choose another folder (--to DIR)") from None
    return antiphon.problem.load(path).problems


def _run(
    problems: list[Problem],
    folder: Path,
    method: str,
    seed: int,
    watching: Callable[[str, Tally], AbstractContextManager[object]],
) -> None:
    settings = load(
        flags={
            "method": method,
            "teacher.model": "lab:teacher",
            "student.model": "lab:student",
            "boundary.teacher": "lab",
            "boundary.student": "lab",
            "budget.thinking": 300,
            "budget.answer": 50,
            "seed": seed,
        },
        environment={},
    )
    run = Run(problems, folder / RUN, settings, open_engine=models.open_engine)
    try:
        with watching(method, run.tally):
            asyncio.run(run.work())
    except VariantChanged:
        raise _another(folder) from None


def _judge(directory: Path, records: Mapping[str, Record]) -> None:
    """Hangs on each complete trace what the lab says of its answer, once."""
    with Reader(directory) as reader, Store.open(directory) as store:
        for trace in reader.traces(status=[Status.COMPLETE]):
            if trace.key.problem in records and not trace.verdicts:
                label = Label.RIGHT if is_right(records[trace.key.problem], trace.answer) else Label.WRONG
                store.add_verdicts(trace.key, [Verdict("lab", "1", label)])


def _another(folder: Path) -> UsageError:
    return UsageError(f"{folder} holds another demo; choose another folder (--to DIR), or remove that one")


def _told(folder: Path, reader: Reader, asked: list[Problem], rows: int, began: float) -> Story:
    problems = {problem.id: problem for problem in asked}
    traces: Counter[str] = Counter()
    complete: Counter[str] = Counter()
    right: dict[str, set[str]] = {method: set() for method in METHODS}
    shares: Counter[tuple[Author, Kind]] = Counter()
    for trace in reader.traces():
        key = trace.key
        if key.problem not in problems or key.variant not in right:
            continue
        traces[key.variant] += 1
        if trace.status is Status.COMPLETE:
            complete[key.variant] += 1
            if trace.verdicts[-1].label is Label.RIGHT:
                right[key.variant].add(key.problem)
        if key.variant == "tessy":
            for span in trace.spans:
                if span.kind is not Kind.MARKER:
                    shares[span.author, span.kind] += len(span.text)
    arms = tuple(Arm(name, traces[name], complete[name], len(right[name])) for name in METHODS)
    shown = _shown(reader, problems, right)
    problem = None if shown is None else problems[shown.key.problem]
    return Story(folder, arms, shares, problem, shown, rows, time.monotonic() - began)


def _shown(reader: Reader, problems: Mapping[str, Problem], right: Mapping[str, set[str]]) -> Trace | None:
    """The first trace in turns that is right where the student alone was not, else a complete one, else any."""
    traces = {trace.key.problem: trace for trace in reader.traces(variant="tessy")}

    def worth(id: str) -> tuple[bool, bool]:
        return id in right["tessy"] and id not in right["student_only"], traces[id].status is Status.COMPLETE

    found = [id for id in problems if id in traces]
    return traces[max(found, key=worth)] if found else None
