"""All methods on the embedded pair, one after the other in one run directory, as a table.

python -m bench.methods                          64 problems of the target family
python -m bench.methods --problems 8 --only tessy swapped
python -m bench.methods --teacher http://... --student http://... --data problems.jsonl --boundary code

The embedded teacher cannot grade, so where grades are asked for a script gives them: by whether the answer is right,
and one reply in five cannot be read. With other models theirs is asked.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import antiphon
from antiphon import lab
from antiphon.boundary.words import words
from antiphon.engine.base import Engine
from antiphon.engine.models import open_engine
from antiphon.engine.scripted import Control, ScriptedEngine, Situation, Token
from antiphon.problem import Problem
from antiphon.settings import load
from antiphon.synth.methods import METHODS
from antiphon.synth.run import Run
from antiphon.trace import Author, Kind, Status, Trace

ORDER = ("student_only", "teacher_only", *(name for name in METHODS if not name.endswith("_only")))
"""What others are made of comes first."""

_GRADER = "scripted:grader"
_UNREADABLE = ("", "7 or 8", "It is a fine response.", "Grade: 11", "Grade: high")


class Row(NamedTuple):
    """A method's traces: how many, complete, right (None: nobody can tell); the student's share of the words of
    thinking, words of a response on average, tokens that were paid for in this run, grades that could not be read."""

    method: str
    traces: int
    complete: int
    right: int | None
    share: float
    words: float
    paid: Mapping[Author, int]
    unreadable: int = 0


def measured(
    directory: Path, problems: Sequence[Problem], flags: Mapping[str, Any], only: Sequence[str] = ORDER
) -> Iterator[Row]:
    """Each method's row, when it is written."""
    embedded = flags["teacher.model"] == "lab:teacher"
    for name in (name for name in ORDER if name in only):
        given = {**flags, "method": name, "like": "tessy", "source": "teacher_only"}
        opener = open_engine
        if embedded and name == "teacher_score":
            given |= {"teacher.model": _GRADER, "teacher.dialect": "qwen3"}
            opener = _with_grader({problem.messages[0]["content"]: problem for problem in problems})
        run = Run(problems, directory, load(flags=given), open_engine=opener)
        yield _row(name, list(run), run, {problem.id: problem for problem in problems})


def _row(name: str, traces: Sequence[Trace], run: Run, problems: Mapping[str, Problem]) -> Row:
    written: Counter[Author] = Counter()
    for span in (span for trace in traces for span in trace.spans):
        if span.kind not in (Kind.MARKER, Kind.ANSWER):
            written[span.author] += len(words(span.text))
    judged = [
        lab.is_right(record, trace.answer) for trace in traces if (record := _record(problems[trace.key.problem]))
    ]
    with antiphon.read(run.directory) as reader:
        calls = [call for trace in traces for call in reader.calls(trace.key)]
    return Row(
        name,
        len(traces),
        sum(trace.status is Status.COMPLETE for trace in traces),
        sum(judged) if judged else None,
        written[Author.STUDENT] / max(1, written.total()),
        sum(len(words(trace.response)) for trace in traces) / max(1, len(traces)),
        {role: usage.received for role, usage in run.tally.usage.items()},
        sum(call.text in _UNREADABLE for call in calls),
    )


def _record(problem: Problem) -> lab.Record | None:
    fields = problem.metadata
    if fields.get("family") not in lab.FAMILIES:
        return None
    question = problem.messages[0]["content"]
    return lab.Record(id=problem.id, problem=question, family=fields["family"], answer=fields["answer"])


def _with_grader(problems: Mapping[str, Problem]) -> Any:
    """An opener of engines of which one grades answers to these problems, by their text."""
    asked: Counter[str] = Counter()

    def script(here: Situation) -> Iterator[Token]:
        prompt, _, said = here.text.rpartition("<think>")
        if "</think>" not in said:
            yield Control("</think>")
            return
        task = prompt.split("===== the task =====\n")[1].split("\n\n=====")[0]
        answer = prompt.split("\n\n===== end =====")[0].rpartition("\n")[2]
        record = _record(problems[task])
        is_right = record is not None and lab.is_right(record, answer)
        asked[prompt] += 1
        chance = zlib.crc32(f"{prompt}{asked[prompt]}".encode())
        unreadable = _UNREADABLE[chance // 5 % len(_UNREADABLE)]
        yield unreadable if chance % 5 == 0 else f"Grade: {9 if is_right else 2}"
        yield Control("<|im_end|>")

    def open_one(reference: str, **how: Any) -> Engine:
        if reference != _GRADER:
            return open_engine(reference, **how)
        engine = ScriptedEngine("grader", script)
        engine.controls = tuple(engine.vocabulary.controls)
        return engine

    return open_one


def table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    lines = [
        "| method | right | complete | student's share | words | tokens paid: student | teacher |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        right = "" if row.right is None else f"{row.right} of {row.traces}"
        paid = " | ".join(f"{row.paid.get(role, 0):,}" for role in (Author.STUDENT, Author.TEACHER))
        complete = f"{row.complete} of {row.traces}"
        lines.append(f"| `{row.method}` | {right} | {complete} | {row.share:.0%} | {row.words:.0f} | {paid} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=ORDER, default=ORDER)
    parser.add_argument("--teacher", default="lab:teacher")
    parser.add_argument("--student", default="lab:student")
    parser.add_argument("--boundary", default="lab")
    parser.add_argument("--data", help="problems; unset: the lab's")
    parser.add_argument("--run", type=Path, help="a run directory that stays")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="any setting")
    args = parser.parse_args()
    flags: dict[str, Any] = {
        "teacher.model": args.teacher,
        "student.model": args.student,
        "boundary.teacher": args.boundary,
        "boundary.student": args.boundary,
        "seed": 0,
    }
    if args.teacher.startswith("lab:"):
        flags |= {"teacher.runs": "in-process", "student.runs": "in-process", "chunk": 4}
        flags |= {"budget.thinking": 200, "budget.answer": 60}
    flags |= dict(assignment.split("=", 1) for assignment in args.set)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = args.data
        if data is None:
            data = folder / "problems.jsonl"
            data.write_text(
                "".join(json.dumps(record) + "\n" for record in lab.problems(args.problems, seed=8)), "utf-8"
            )
        asked = antiphon.problem.load([data], limit=args.problems).problems
        rows = []
        for row in measured(args.run or folder / "run", asked, flags, args.only):
            rows.append(row)
            print(row, flush=True)
        print(table(rows))


if __name__ == "__main__":
    main()
