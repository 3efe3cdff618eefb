"""What a run sets down before a token is spent: problems, variants, the traces to write."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from antiphon.errors import ProblemError, StoreUnfit, UsageError, VariantChanged
from antiphon.problem import Problem
from antiphon.problem.shard import Share
from antiphon.store import columns, load
from antiphon.store.batch import Changes
from antiphon.store.columns import json_in, json_out, text_in
from antiphon.store.found import Session
from antiphon.trace import Key, Status

_GROUP = 100  # of problems that may each hold megabytes

T = TypeVar("T")


def set_share(share: Share | None, directory: Path, connection: sqlite3.Connection, changes: Changes) -> None:
    """See `Store.set_share`."""
    known = load.share_of(connection)
    if share is None:
        if known is not None:
            raise StoreUnfit(
                f"{directory} holds shard {known.shard} of a run; give --shard {known.shard}, or another run directory"
            )
        return
    if known is None:
        shapings = (json_out(shaping) for (shaping,) in connection.execute("SELECT shaping FROM variants"))
        if not all(isinstance(shaping.get("method"), str) for shaping in shapings):  # imported ones may be rewritten
            raise StoreUnfit(
                f"{directory} holds a run that is no shard; give shard {share.shard} a run directory of its own"
            )
        sizes = share.problems
    else:
        if known.shard != share.shard:
            raise StoreUnfit(
                f"{directory} holds shard {known.shard}, not {share.shard}; each shard has a run directory of its own"
            )
        sizes = tuple(map(max, known.problems, share.problems))  # a session may be given less than an earlier one
    if known is None or sizes != known.problems:
        row = columns.shares_in([Share(share.shard, sizes)])
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('share', ?)", (row,))


def add_problems(
    problems: Iterable[Problem], directory: Path, connection: sqlite3.Connection, changes: Changes
) -> None:
    """See `Store.add_problems`."""
    for group in _groups(problems):
        rows = [_row(problem) for problem in group]
        found = _among(connection, f"SELECT number, {columns.PROBLEM} FROM problems WHERE id", [row[0] for row in rows])
        stored = {known[0]: (number, known) for number, *known in found}
        for problem, row in zip(group, rows, strict=True):
            id, messages, *rest = row
            if id not in stored:
                number = connection.execute(
                    f"INSERT INTO problems ({columns.PROBLEM}, change) VALUES (?, ?, ?, ?, ?, ?)",
                    (*row, changes.next()),
                ).lastrowid
                stored[id] = number, [*row]
                continue
            number, known = stored[id]
            if known[1] != messages:
                here, there = problem.place, columns.problem_out(known).place
                raise StoreUnfit(
                    f"{here or 'a problem'}: id {problem.id!r} is in {directory} already, with other messages"
                    f"{f' (from {there})' if there else ''}; give it another id, or take another run directory"
                )
            if known[2:] != rest:
                connection.execute(
                    "UPDATE problems SET metadata = ?, source = ?, line = ?, change = ? WHERE number = ?",
                    (*rest, changes.next(), number),
                )
                stored[id] = number, [*row]


def _row(problem: Problem) -> columns.Row:
    try:
        return columns.problem_in(problem)
    except (TypeError, ValueError) as error:
        where = problem.place or f"problem {problem.id!r}"
        raise ProblemError(f"{where}: its metadata hold what JSON cannot: {error}") from None


def add_variant(
    name: str, shaping: Mapping[str, Any], about: Mapping[str, Any], connection: sqlite3.Connection, changes: Changes
) -> None:
    """See `Store.add_variant`."""
    now, fingerprint = time.time(), columns.fingerprint(shaping)
    stored = connection.execute(
        "SELECT number, fingerprint, shaping FROM variants WHERE name = ?", (text_in(name),)
    ).fetchone()
    if stored is None:
        number = connection.execute(
            "INSERT INTO variants (name, fingerprint, shaping, created, change) VALUES (?, ?, ?, ?, ?)",
            (text_in(name), fingerprint, json_in(shaping), now, changes.next()),
        ).lastrowid
    else:
        number, known, before = stored
        if known != fingerprint:
            lines = "\n".join(differences(json_out(before), json.loads(columns.canonical(shaping))))
            raise VariantChanged(
                f"variant {name!r} was begun with another configuration:\n{lines}\n"
                "take that one again, or give this one a name of its own (--variant NAME)"
            )
    latest = connection.execute(
        "SELECT about FROM about WHERE variant = ? ORDER BY number DESC LIMIT 1", (number,)
    ).fetchone()
    if latest is None or latest[0] != json_in(about):
        connection.execute(
            "INSERT INTO about (variant, about, created, change) VALUES (?, ?, ?, ?)",
            (number, json_in(about), now, changes.next()),
        )


def add_session(variant: str, session: Session, connection: sqlite3.Connection, changes: Changes) -> None:
    """See `Store.add_session`."""
    connection.execute(
        """INSERT INTO sessions (variant, began, ended, places, turns, cpu, coreless, change)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (load.variant_number(connection, variant), *astuple(session), changes.next()),
    )


def plan(keys: Iterable[Key], connection: sqlite3.Connection, changes: Changes) -> None:
    """See `Store.plan`."""
    variants: dict[str, int] = {}
    for group in _groups(keys):
        ids = [text_in(key.problem) for key in group]
        problems: dict[str | bytes, int] = dict(_among(connection, "SELECT id, number FROM problems WHERE id", ids))
        planned = set(
            _among(connection, "SELECT problem, variant, sample FROM traces WHERE problem", [*problems.values()])
        )
        for key, id in zip(group, ids, strict=True):
            if key.variant not in variants:
                variants[key.variant] = load.variant_number(connection, key.variant)
            if id not in problems:
                raise UsageError(f"there is no problem {key.problem!r} in this run directory")
            place = (problems[id], variants[key.variant], key.sample)
            if place not in planned:
                planned.add(place)
                connection.execute(
                    "INSERT INTO traces (problem, variant, sample, change) VALUES (?, ?, ?, ?)",
                    (*place, changes.next()),
                )


def pending(variant: str, retry: Collection[Status], connection: sqlite3.Connection, changes: Changes) -> list[Key]:
    """See `Store.pending`."""
    number = load.variant_number(connection, variant)
    for status in retry:
        traces = connection.execute(
            "SELECT number FROM traces WHERE variant = ? AND status = ?", (number, status.value)
        ).fetchall()
        for table in ("spans", "growing", "turns", "verdicts", "made_from"):
            connection.executemany(f"DELETE FROM {table} WHERE trace = ?", traces)
        connection.executemany(
            """UPDATE usage SET kept = 0, turns = 0, words = 0, refused = 0, spans = 0, forced = 0 WHERE trace = ?""",
            traces,
        )
        connection.executemany(
            """UPDATE traces SET status = NULL, cause = '', closed_by = NULL, finished = NULL, change = ?
            WHERE number = ?""",
            [(changes.next(), trace) for (trace,) in traces],
        )
    return list(load.keys(connection, "WHERE traces.variant = ? AND status IS NULL ORDER BY traces.number", (number,)))


def left_behind(connection: sqlite3.Connection, writer: str) -> str | None:
    """What a writer that died has left unfinished; None if nothing."""
    (open_traces,) = connection.execute(
        "SELECT count(*) FROM traces WHERE status IS NULL AND started IS NOT NULL"
    ).fetchone()
    if not open_traces:
        return None
    (inside,) = connection.execute("SELECT count(DISTINCT trace) FROM growing").fetchone()
    return (
        f"{writer} ended without closing this run; traces under way: {open_traces}, in the middle of a span: {inside};"
        " they go on from where they were last saved"
    )


def _groups(items: Iterable[T]) -> Iterator[list[T]]:
    """The same in groups, with one query for each: a query for each item would take five times as long."""
    rest = iter(items)
    while group := list(islice(rest, _GROUP)):
        yield group


def _among(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> sqlite3.Cursor:
    """The rows of a query that ends in a column which is one of `values`."""
    return connection.execute(f"{query} IN ({', '.join('?' * len(values))})", values)


def differences(before: Any, after: Any, at: str = "") -> list[str]:
    """Of two shapings every value that is not the same, as `dotted.name: old -> new`."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [*before, *(name for name in after if name not in before)]
        lines = []
        for name in names:
            there = f"{at}.{name}" if at else name
            lines += differences(before.get(name, _ABSENT), after.get(name, _ABSENT), there)
        return lines
    old, new = _shown(before), _shown(after)
    return [] if old == new else [f"  {at}: {old} -> {new}"]


_ABSENT = object()


def _shown(value: Any) -> str:
    return "(none)" if value is _ABSENT else columns.canonical(value)
