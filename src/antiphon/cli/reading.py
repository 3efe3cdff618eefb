"""The problems that a command is given, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.cli.terminal import say, warn
from antiphon.plural import many

if TYPE_CHECKING:
    from antiphon.problem import Loaded, Problem
    from antiphon.problem.shard import Shard

_SHOWN = 10


def read(
    paths: Sequence[str],
    *,
    field: str | None,
    template: str | None,
    where: str | None,
    limit: int | None,
    skip_bad: bool,
    shard: Shard | None = None,
) -> Loaded:
    """The problems, those of a shard where one is given, and on standard error what is wrong with them.

    Raises:
        ProblemError: there are bad records, and none may be skipped; or nothing else.
    """
    from antiphon.errors import ProblemError
    from antiphon.problem import load

    if where is None:
        loaded = load(paths, field=field, template=template, limit=limit, shard=shard)
    else:  # all are looked at, to say how many there are that it does not choose
        loaded = load(paths, field=field, template=template)
    for line in first(loaded.duplicates, "duplicate"):
        warn(line)
    if not skip_bad and loaded.bad:
        try:
            loaded.require_good()
        except ProblemError as error:
            raise ProblemError(f"{error}\nMend these, or pass over them with --skip-bad. Nothing was spent.") from None
    for line in first([str(error) for error in loaded.bad], "bad record"):
        warn(f"skipped: {line}")
    return _narrowed(loaded, where, limit, shard)


def read_run(directory: Path, *, where: str | None, limit: int | None, shard: Shard | None = None) -> Loaded:
    """The problems that a run directory holds, those of a shard where one is given.

    Raises:
        StoreUnfit: it is none.
        ProblemError: nothing is left of them.
    """
    from antiphon.problem import Loaded
    from antiphon.store import Reader

    with Reader(directory) as reader:
        problems = list(reader.problems())
    return _narrowed(Loaded(problems if where is not None else problems[:limit]), where, limit, shard)


def _narrowed(loaded: Loaded, where: str | None, limit: int | None, shard: Shard | None) -> Loaded:
    from antiphon.errors import ProblemError

    if where is not None:
        loaded = replace(loaded, problems=_chosen(loaded.problems, where)[:limit])
    if not loaded.count:
        raise ProblemError("no problem is left to work on; give more, or ask less of them (--where)")
    return loaded if shard is None or loaded.share is not None else loaded.only(shard)


def _chosen(problems: Sequence[Problem], where: str) -> list[Problem]:
    """Those for which the expression is true; says how many these are."""
    from antiphon.problem.where import choose

    chosen = choose(problems, where)
    say(f"where {where}: {len(chosen.problems):,} of {many(len(problems), 'problem')}")
    if chosen.undecided:
        lacking = ", ".join(f"{count} have no {name}" for name, count in chosen.missing.items())
        reason = lacking or "their values are of another kind (in CSV all are text)"
        warn(f"{chosen.undecided} of the others cannot be compared so: {reason}")
    return chosen.problems


def first(lines: Sequence[str], what: str) -> list[str]:
    """The first of some lines, and how many more there are of what one is called."""
    rest = len(lines) - _SHOWN
    return [*lines[:_SHOWN], *([f"and {many(rest, f'more {what}')}"] if rest > 0 else [])]
