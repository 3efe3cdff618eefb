"""Benchmarks that are judged by a tool of their own: what it reads is written, and its verdicts are read back.

OJBench (github.com/He-Ren/OJBench, README): a JSON line for each answer with all fields of its prompts file (`id`,
`prompt`, `dataset`, `language`, `difficulty`) and `content`. `ojbench.judge_jsonl` copies each line and adds `verdict`,
a code of DMOJ's judge, and `is_passed`. An id that is a whole number must stay one.

LiveCodeBench-Pro (github.com/GavinZhengOI/LiveCodeBench-Pro, benchmark.py and standard_judge.py): a JSON list of
objects with `problem_id`, `problem_title`, `difficulty`, `platform`, `text_response`, `code`, `judge_result` and
`response_meta`, which is handed through; the judge fills in `judge_result`, in words as go-judge has them.

Each row takes its trace's key along, so that a verdict finds its trace in whatever order it comes back.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.errors import UsageError
from antiphon.files import replaced
from antiphon.problem import Problem
from antiphon.store import Reader, Store
from antiphon.trace import Key, Label, Status, Verdict

_KEY = "antiphon"
_WHOLE = re.compile("0|[1-9][0-9]*")


class Found(NamedTuple):
    """What a tool's row says: of which trace, and the verdict."""

    key: Key
    label: Label
    detail: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that judges: its name is that of its verdicts' verifier, `row` writes an answer for it, `found` reads a
    row of its verdicts (KeyError, TypeError or ValueError: it is none). `lines`: one row a line, else a JSON list."""

    name: str
    says: str
    lines: bool
    row: Callable[[Problem, Key, str], Mapping[str, Any]]
    found: Callable[[Mapping[str, Any]], Found]


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was read back: verdicts by label, rows that are not yet judged, answers of the run that have no row."""

    labels: Mapping[Label, int] = field(default_factory=Counter)
    unjudged: int = 0
    without: int = 0


def tool(name: str) -> Tool:
    """The tool of that name.

    Raises:
        UsageError: there is none; names those there are.
    """
    try:
        return TOOLS[name]
    except KeyError:
        raise UsageError(f"there is no exchange with {name!r}; there are: {', '.join(TOOLS)}") from None


def write(reader: Reader, variant: str, to: Tool, path: Path) -> int:
    """Writes a variant's complete answers for a tool; how many. A file of this name is replaced.

    Raises:
        UsageError: the path cannot be written, or there is no such variant.
    """
    rows = [
        to.row(problem, standing.key, reader.answer(standing.key))
        for standings in reader.standings(variant=variant)
        for problem in [reader.problem(standings[0].key.problem)]
        for standing in standings
        if standing.status is Status.COMPLETE
    ]
    with replaced(path) as file:
        if to.lines:
            file.writelines(json.dumps(row).encode() + b"\n" for row in rows)
        else:
            file.write(json.dumps(rows, indent=1).encode())
    return len(rows)


async def read_back(directory: Path, variant: str, of: Tool, path: Path) -> ReadBack:
    """Hangs a tool's verdicts on the traces that they are of. Reading the same file again changes nothing.

    Raises:
        UsageError: the file is none that the tool writes, or of another run; the message names the row.
        StoreBusy: somebody writes the run.
    """
    found = list(_verdicts(of, path))
    with Reader(directory) as reader:
        complete = {
            standing.key
            for standings in reader.standings(variant=variant)
            for standing in standings
            if standing.status is Status.COMPLETE
        }
    strange = next((one.key for one in found if one is not None and one.key not in complete), None)
    if strange is not None:
        raise UsageError(f"{path}: is of another run: {directory} has no complete trace {strange} in {variant}")
    judged = [one for one in found if one is not None]
    with Store.open(directory) as store:
        for one in judged:
            store.add_verdicts(one.key, [Verdict(of.name, "1", one.label, one.detail)])
        await store.flush()
    return ReadBack(
        Counter(one.label for one in judged),
        len(found) - len(judged),
        len(complete.difference(one.key for one in judged)),
    )


def _verdicts(of: Tool, path: Path) -> Iterator[Found | None]:
    """What each row says, None where it is not yet judged."""
    for number, row in _rows(path):
        try:
            yield of.found(row)
        except _Waiting:
            yield None
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path}: row {number} is none that {of.name} writes for this run ({error!r})") from None


def _rows(path: Path) -> Iterable[tuple[int, Any]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"{path}: cannot be read: {reason}") from None
    try:
        if text.lstrip().startswith("["):
            return list(enumerate(json.loads(text), 1))
        lines = enumerate(text.split("\n"), 1)
        return [(number, json.loads(line)) for number, line in lines if line.strip()]
    except ValueError as error:
        raise UsageError(f"{path}: is not JSON: {error}") from None


class _Waiting(Exception):
    """A row has no verdict yet."""


def _key_out(key: Key) -> dict[str, Any]:
    return {_KEY: {"problem": key.problem, "variant": key.variant, "sample": key.sample}}


def _key_in(value: Mapping[str, Any]) -> Key:
    stated = value[_KEY]
    return Key(str(stated["problem"]), str(stated["variant"]), int(stated["sample"]))


# -- OJBench

_DMOJ = {
    "AC": Label.RIGHT,
    "TLE": Label.TIMED_OUT,
    "RTE": Label.CRASHED,
    "IR": Label.CRASHED,
    "MLE": Label.CRASHED,
    "OLE": Label.CRASHED,
    "IE": Label.CANNOT_JUDGE,
    "Skip": Label.CANNOT_JUDGE,
}
"""Codes of DMOJ's judge, and what the tool says of problems that it passes over; any other is wrong."""


def _ojbench_row(problem: Problem, key: Key, answer: str) -> Mapping[str, Any]:
    names = ("dataset", "language", "difficulty")
    return {
        "id": int(problem.id) if _WHOLE.fullmatch(problem.id) else problem.id,
        "prompt": problem.messages[-1]["content"],
        **{name: problem.metadata[name] for name in names if name in problem.metadata},
        "content": answer,
        **_key_out(key),
    }


def _ojbench_found(row: Mapping[str, Any]) -> Found:
    code = row["verdict"]
    if row["is_passed"] is not (code == "AC"):
        raise ValueError("verdict and is_passed contradict each other")
    return Found(_key_in(row), _DMOJ.get(code, Label.WRONG), str(code))


# -- LiveCodeBench-Pro

_GO_JUDGE = {
    "Accepted": Label.RIGHT,
    "Time Limit Exceeded": Label.TIMED_OUT,
    "Memory Limit Exceeded": Label.CRASHED,
    "Output Limit Exceeded": Label.CRASHED,
    "Runtime Error": Label.CRASHED,
    "Nonzero Exit Status": Label.CRASHED,
    "Signalled": Label.CRASHED,
    "File Error": Label.CRASHED,
    "Dangerous Syscall": Label.CRASHED,
    "Internal Error": Label.CANNOT_JUDGE,
    "Judge Failed": Label.CANNOT_JUDGE,
}
"""Words of go-judge and of the tool around it; any other is wrong."""

_WAITING = "Judging"


def _pro_row(problem: Problem, key: Key, answer: str) -> Mapping[str, Any]:
    fields = {name: str(problem.metadata.get(name, "")) for name in ("problem_title", "difficulty", "platform")}
    return {
        "problem_id": problem.id,
        **fields,
        "text_response": answer,
        "code": None,  # which the tool takes out of the response
        "judge_result": _WAITING,
        "response_meta": _key_out(key),
    }


def _pro_found(row: Mapping[str, Any]) -> Found:
    said = str(row["judge_result"])
    key = _key_in(row["response_meta"])
    if said == _WAITING:
        raise _Waiting
    if said == "Judge Failed" and not row["code"]:
        return Found(key, Label.NO_ANSWER, "no code was found in the answer")
    return Found(key, _GO_JUDGE.get(said, Label.WRONG), said)


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("ojbench", "OJBench's judge_jsonl", True, _ojbench_row, _ojbench_found),
        Tool("livecodebench-pro", "LiveCodeBench-Pro's standard_judge.py", False, _pro_row, _pro_found),
    )
}
"""The tools by name."""
