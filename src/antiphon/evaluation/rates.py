"""A model's pass rate at each problem, written back into the problems file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.errors import ProblemError, UsageError
from antiphon.evaluation.report import rate_of
from antiphon.evaluation.results import Evaluation
from antiphon.export.jsonl import SUFFIXES, compressing, encoded
from antiphon.files import replaced
from antiphon.problem.read import rows
from antiphon.problem.record import problem_of, template_of
from antiphon.problem.source import expand

RATE, SAMPLES = "pass_rate", "pass_samples"
"""The fields: the share of right samples, and of how many."""


@dataclass(frozen=True, slots=True)
class Rated:
    """What was written: records in all, those with a rate, and those left out as no problem can be made of them."""

    records: int
    rated: int
    bad: int


def require_place(paths: Collection[str], to: Path) -> None:
    """Sees that rates of these problems can be written there.

    Raises:
        UsageError: they cannot.
    """
    if "-" in paths:
        raise UsageError("rates cannot be written to problems from standard input; give them as a file")
    if not to.name.endswith(SUFFIXES):
        raise UsageError(f"{to}: must end in {', '.join(SUFFIXES)}")
    if not to.resolve().parent.is_dir():
        raise UsageError(f"{to}: cannot be written: there is no folder {to.resolve().parent}; make it first")


def write_rates(
    paths: Iterable[str],
    evaluation: Evaluation,
    to: Path,
    *,
    field: str | None = None,
    template: str | None = None,
) -> Rated:
    """Writes the records of problem files again, as JSON lines, each with the pass rate of its problem.

    A record whose problem has no sample that counts is written without a rate, an earlier one included.

    Args:
        paths, field, template: as for `antiphon.problem.load`.
        to: ends in .jsonl, .jsonl.gz or .jsonl.zst; a file of this name is replaced, also one of `paths`.

    Raises:
        UsageError: the file cannot be written, or standard input would have to be read again.
        ProblemError: a problem file cannot be read.
    """
    named = list(paths)
    require_place(named, to)
    rates = {id: (rate_of(samples), len(samples)) for id, samples in evaluation.by_problem().items()}
    ask = None if template is None else template_of(template)
    records = rated = bad = 0
    with replaced(to) as file, compressing(file, to.name) as stream:
        for source in expand(named):
            for row in rows(source):
                try:
                    if row.fields is None:
                        raise ProblemError(row.fault)
                    id = problem_of(row.fields, field=field, ask=ask).id
                except ProblemError:
                    bad += 1
                    continue
                stream.write(encoded(_with(row.fields, rates.get(id)))[0])
                records += 1
                rated += id in rates
    return Rated(records, rated, bad)


def _with(fields: Mapping[str, Any], rate: tuple[float, int] | None) -> dict[str, Any]:
    record = {name: value for name, value in fields.items() if name not in (RATE, SAMPLES)}
    return record if rate is None else {**record, RATE: rate[0], SAMPLES: rate[1]}
