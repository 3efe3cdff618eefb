"""A narrow domain, from problems to trained students: text-to-SQL in miniature (docs/narrow.md).

python -m bench.narrow --model smollm2-hf --data problems --to narrow    all of it; goes on where it stood
python -m bench.narrow --to narrow --tables                              the tables of the page, of what is there

`problems` is a folder with text2sql_sqlite.jsonl and text2sql_schemas.jsonl, `smollm2-hf` what scripts/hf-form writes.
What is done is done by antiphon's own commands (`COMMANDS`), in the folder `narrow`, and shown as it runs.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.lab.report.findings import Contrast, Data, Findings, Score
from antiphon.lab.report.measure import find
from antiphon.lab.results import BASE, read
from antiphon.trace import Kind
from bench import narrow_problems

CONFIGURATION = Path(__file__).with_suffix(".toml")
LAB, TEACHER = "lab", "teacher.json"


class Command(NamedTuple):
    """A command; what it makes, where it would not find out by itself that it was done; where its output goes."""

    text: str
    makes: str | None = None
    output: str | None = None


def _taught(role: str, epochs: int) -> Iterator[Command]:
    """How one of the pair is made."""
    yield Command(f"antiphon import {role}.jsonl --run gold --variant {role}")
    yield Command(f"antiphon verify gold --variant {role}")
    yield Command(
        f"antiphon export gold --variant {role} --format tokens --student smollm2 --only right --to {role}-train.jsonl",
        f"{role}-train.jsonl",
    )
    yield Command(
        f"antiphon train --data {role}-train.jsonl --student smollm2 --to {role} --preset cpu --epochs {epochs}"
        " --batch 4 --rate 2e-4 --precision mixed --set floor=0.1"
    )


COMMANDS = (
    *_taught("student", 1),
    *_taught("teacher", 4),
    Command(
        "antiphon evaluate other.jsonl same.jsonl --model teacher/model --to evaluations/teacher --by part --json"
        " --verifier sql --temperature 0 --thinking-budget 160 --answer-budget 90 --concurrency 56"
        " --set budget.on_budget=close --set student.runs=in-process --set student.context=1024",
        output=TEACHER,
    ),
    Command(f"antiphon lab run --config narrow.toml --to {LAB}"),
)
"""From the files to the experiment's report, in this order. Each goes on where it stood."""


def carry_out(folder: Path, data: Path, model: Path) -> None:
    """Writes the files and runs the commands.

    Raises:
        SystemExit: one of them fails.
    """
    narrow_problems.write(data, folder)
    shutil.copyfile(CONFIGURATION, folder / CONFIGURATION.name)
    named = folder / "smollm2"
    if not named.is_symlink():
        named.symlink_to(model.resolve())
    for command in COMMANDS:
        if command.makes is not None and (folder / command.makes).exists():
            continue
        print(f"$ {command.text}", flush=True)
        arguments = [sys.executable, "-m", *shlex.split(command.text)]
        done = subprocess.run(arguments, cwd=folder, stdout=subprocess.PIPE if command.output else None)
        if done.returncode:
            raise SystemExit(done.returncode)
        if command.output:
            (folder / command.output).write_bytes(done.stdout)


def tables(folder: Path) -> Iterator[str]:
    """The page's tables, in Markdown, as far as there are results."""
    teacher = folder / TEACHER
    if teacher.exists():
        yield from _teacher(json.loads(teacher.read_text("utf-8")))
    if (folder / LAB).is_dir():
        yield from ("", *shown(find(read(folder / LAB))))


def shown(found: Findings) -> Iterator[str]:
    """What the experiment came to: right answers, differences, data."""
    yield from (*_scores(found), "", *_contrasts((*found.primary, *found.forgetting)), "", *_data(found.data))


def _teacher(told: Mapping[str, Any]) -> Iterator[str]:
    yield from _table(
        ("the teacher on", "problems", "right", "95%"),
        (
            (part["name"], part["problems"], _share(rate["rate"]), f"{_share(rate['low'])} to {_share(rate['high'])}")
            for part in told["groups"]
            for rate in part["pass"]
        ),
    )


def _scores(found: Findings) -> Iterator[str]:
    """Right answers before training and at each point of the main rate, by the two families."""
    families = tuple(found.problems)
    scores = {(one.arm, one.step, one.of): one for one in found.scores if one.rate in (None, found.rate)}
    steps = (0, *found.points)
    heads = [f"{family}: {'before' if not step else f'step {step}'}" for family in families for step in steps]
    cells = {
        arm: [_score(scores.get((arm, step, family))) for family in families for step in steps]
        for arm in (BASE, *found.arms)
    }
    yield from _table(("arm", *heads), ((f"`{arm}`", *row) for arm, row in cells.items()))


def _score(score: Score | None) -> str:
    if score is None:
        return ""
    by_seed = ", ".join(_share(value) for _, value in sorted(score.seeds.items()))
    return _share(score.value) + (f" ({by_seed})" if len(score.seeds) > 1 else "")


def _contrasts(contrasts: Sequence[Contrast]) -> Iterator[str]:
    yield from _table(
        ("difference", "on", "step", "points", "95% interval", "p, corrected"),
        (
            (
                f"`{one.first}` less `{one.second}`",
                one.of,
                one.step,
                f"{100 * one.mean:+.1f}",
                f"{100 * one.low:+.1f} to {100 * one.high:+.1f}",
                f"{one.adjusted:.2g}",
            )
            for one in contrasts
        ),
    )


def _data(data: Sequence[Data]) -> Iterator[str]:
    """What students were trained on, in the mean over seeds."""
    yield from _table(
        ("data", "traces", "rows", "right", "thinking, answer", "teacher's", "L_Sty", "L_Cap"),
        (
            (
                f"`{one.arm}`",
                f"{one.traces:.0f}",
                f"{one.rows:.0f}",
                "" if one.right is None else _share(one.right),
                f"{one.thinking:.0f}, {one.answer:.0f}",
                _share(sum(share for part, share in one.shares.items() if part.startswith("teacher "))),
                *(_nats(one.likelihood.get(f"{kind} part")) for kind in (Kind.STYLE, Kind.CAPABILITY)),
            )
            for one in data
        ),
    )


def _table(head: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def _share(value: float) -> str:
    return f"{value:.1%}"


def _nats(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="the folder of all of it")
    parser.add_argument("--model", type=Path, help="SmolLM2-135M-Instruct, a Hugging Face folder")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/problems"), help="the problems")
    parser.add_argument("--tables", action="store_true", help="only print the tables")
    args = parser.parse_args()
    if not args.tables:
        if args.model is None:
            parser.error("--model: which folder?")
        carry_out(args.to, args.data, args.model)
    print("\n".join(tables(args.to)))


if __name__ == "__main__":
    main()
