"""A pilot: a small run whose record tells what traces take, and how long turns take with so many in flight."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from antiphon.errors import UsageError
from antiphon.plural import many
from antiphon.scale.plan.law import Array
from antiphon.store import Reader, Session, Variant
from antiphon.synth.spend import Prices
from antiphon.trace import Author, Status, Trace, Turn, Usage, estimated_tokens

PROCESS = "process"
"""The station that is this process."""

_SLACK = 0.5  # seconds by which clocks may differ that tell of one session
_TEXTS = 256  # traces on whose texts a Parquet file is tried


class Column(NamedTuple):
    """What a role took in each trace of a pilot, in the order of its traces; tokens are its own.

    `pieces` are turns that were asked for in pieces of so many tokens, all of which came, and not streamed until they
    were cut (`antiphon.synth.ahead`); then their requests and what they threw away.
    """

    turns: Array
    requests: Array
    received: Array
    kept: Array
    prompt: Array
    cached: Array
    told: Array
    pieces: Array
    piece_requests: Array
    piece_waste: Array


class Waits(NamedTuple):
    """At a station, in each trace: tokens kept of its turns there (all, at the process), and the seconds they took."""

    kept: Array
    seconds: Array


@dataclass(frozen=True)
class Pilot:
    """What a run directory tells of one variant.

    Attributes:
        problems: of which problem each trace is, by id.
        places: traces that might be in flight.
        start: seconds that were lost at the beginning, when all traces open at once and all servers but the first
            role's have nothing to do.
        complete: by trace, 1 where it is.
        roles: by role.
        waits: by station: `teacher`, `student`, or `teacher and student` where both are the same servers', and the
            process. Of the time after the start, and without traces that another session took up.
        replicas: by station, the servers that there were.
        in_flight: traces in flight on average over the work, after the start.
        moments, flying: from when on how many traces were in flight, in seconds. The start is left out: what was lost
            there has no length.
        spans: of each trace, from when to when; nan where it was taken up.
        settled: when the start was over.
        turned: when each turn began, when it ended, and the tokens kept in it.
        processing: seconds of the event loop, waiting for a core included, a kept token; None where no session tells.
        coreless: the share of the time in which the event loop could have gone on and had no core; 0 where that is not
            told.
        database, parquet: bytes, by trace.
    """

    directory: Path
    fingerprint: str
    problems: tuple[str, ...]
    places: int
    start: float
    complete: Array
    roles: Mapping[Author, Column]
    waits: Mapping[str, Waits]
    replicas: Mapping[str, int]
    in_flight: float
    moments: Array
    flying: Array
    spans: tuple[Array, Array]
    settled: float
    turned: tuple[Array, Array, Array]
    processing: float | None
    coreless: float
    prices: Mapping[Author, Prices]
    database: Array
    parquet: Array


def read(directory: Path, variant: str | None = None) -> Pilot:
    """Reads a pilot.

    Args:
        variant: which; None: the only one there is.

    Raises:
        StoreError: it cannot be read.
        UsageError: there is nothing to learn from, it is not finished, or several processes wrote it at once.
    """
    with Reader(directory) as reader:
        chosen = _variant(reader, directory, variant)
        _require_finished(reader, directory, chosen.name)
        traces = [(trace, reader.turns(trace.key)) for trace in reader.traces(variant=chosen.name)]
        sessions = reader.sessions(chosen.name)
        _require_one_process(directory, sessions)
        prompts = _prompts(reader, traces)
    if any(trace.made_from for trace, _ in traces):
        raise UsageError(
            f"{directory}: the traces of {chosen.name} are made of other traces, which cost, too; plan the variants "
            "that write those (--variant)"
        )
    return _pilot(directory, chosen, traces, sessions, prompts)


def _variant(reader: Reader, directory: Path, name: str | None) -> Variant:
    variants = {variant.name: variant for variant in reader.variants()}
    if name is not None and name in variants:
        return variants[name]
    if len(variants) == 1 and name is None:
        return next(iter(variants.values()))
    there = ", ".join(variants) or "none"
    if name is None and variants:
        raise UsageError(f"{directory} holds the variants {there}; say which is the pilot (--variant NAME)")
    raise UsageError(f"{directory} holds no {'traces' if name is None else f'variant {name}'}; variants: {there}")


def _require_finished(reader: Reader, directory: Path, variant: str) -> None:
    counts = reader.counts(variant)
    if pending := counts.pop(None, 0):
        raise UsageError(
            f"{directory}: {pending:,} of {many(pending + sum(counts.values()), 'trace')} not finished, and those are"
            " the longest; finish the pilot with the same antiphon synth command first"
        )
    if not counts:
        raise UsageError(f"{directory} holds no traces of {variant}; write a pilot with antiphon synth --limit 128")


def _require_one_process(directory: Path, sessions: Sequence[Session]) -> None:
    for earlier, later in pairwise(sorted(sessions, key=lambda session: session.began)):
        if later.began < earlier.ended - _SLACK:
            raise UsageError(
                f"{directory}: several processes wrote it at once, as shards that were merged; what one of them can do "
                "is not told by it: write the pilot by one process, without --shard"
            )


def _pilot(
    directory: Path,
    variant: Variant,
    traces: Sequence[tuple[Trace, Sequence[Turn]]],
    sessions: Sequence[Session],
    prompts: int,
) -> Pilot:
    present = [role for role in Author if any(turn.role is role and turn.requests for _, all in traces for turn in all)]
    timed = [_timed(trace, sessions) for trace, _ in traces]
    if not present:
        raise UsageError(f"{directory}: no turn is recorded of {variant.name}: it was imported, or written elsewhere")
    if sum(timed) < len(traces) / 2:
        raise UsageError(
            f"{directory}: most traces were stopped and taken up again, so that nobody knows how long they took; "
            "write the pilot in one go, into a new run directory"
        )
    at = _stations(traces, present)
    spans = np.array(
        [(t.started, t.finished) if known else (np.nan, np.nan) for (t, _), known in zip(traces, timed, strict=True)]
    )
    stays = _stays(traces, timed, at, {role for role in present if _textual(variant.about.get(role, {}))})
    began, ended = spans[~np.isnan(spans[:, 0])].T
    moments, flying = _steps(began, ended)
    settled, lost = _start(stays, moments, flying)
    about = {role: variant.about.get(role, {}) for role in present}
    text = np.array([max(1, len(trace.response)) for trace, _ in traces], dtype=np.float64)
    roles = {role: _column(traces, role, textual=_textual(about[role])) for role in present}
    after = [stay for stay in stays if stay.began >= settled]
    turned = np.array([(stay.began, stay.ended, stay.kept) for stay in stays if stay.station != PROCESS]).T
    lasted = np.diff(np.maximum(moments, settled), append=moments[-1]) * flying
    return Pilot(
        directory=directory,
        fingerprint=variant.fingerprint,
        problems=tuple(trace.key.problem for trace, _ in traces),
        places=max((session.places for session in sessions), default=int(flying.max())),
        start=lost,
        complete=np.array([trace.status is Status.COMPLETE for trace, _ in traces], dtype=np.float64),
        roles=roles,
        waits={name: _waits([s for s in after if s.station == name], len(traces)) for name in (*at.values(), PROCESS)},
        replicas={name: len({s.replica for s in stays if s.station == name}) for name in (*at.values(), PROCESS)},
        in_flight=float((lasted * flying).sum() / lasted.sum()),
        moments=np.maximum(moments, moments[0] + lost),
        flying=flying,
        spans=(np.maximum(spans[:, 0], moments[0] + lost), np.maximum(spans[:, 1], moments[0] + lost)),
        settled=settled,
        turned=(turned[0], turned[1], turned[2]),
        processing=_processing(sessions, roles),
        coreless=sum(session.coreless or 0.0 for session in sessions)
        / max(1e-9, sum(session.ended - session.began for session in sessions)),
        prices={role: Prices(**about[role]["prices"]) for role in present if about[role].get("prices")},
        database=text / text.sum() * _database(directory),
        parquet=text / text.sum() * _parquet(traces, prompts),
    )


def _processing(sessions: Sequence[Session], roles: Mapping[Author, Column]) -> float | None:
    turns = sum(session.turns for session in sessions)
    if not turns:
        return None
    spent = sum(session.cpu + (session.coreless or 0.0) for session in sessions) / turns
    taken = sum(float(column.turns.sum()) for column in roles.values())
    kept = sum(float(column.kept.sum()) for column in roles.values())
    return spent * taken / max(1.0, kept)


def _timed(trace: Trace, sessions: Sequence[Session]) -> bool:
    """Whether it was written in one go, by a clock that went forwards."""
    if trace.started is None or trace.finished is None or trace.finished < trace.started:
        return False
    return not sessions or any(
        session.began - _SLACK <= trace.started and trace.finished <= session.ended + _SLACK for session in sessions
    )


def _textual(about: Mapping[str, Any]) -> bool:
    return not about.get("counts_tokens", about.get("ids", True))


def _stations(traces: Sequence[tuple[Trace, Sequence[Turn]]], roles: Sequence[Author]) -> dict[Author, str]:
    """By role, the name of where its turns wait."""
    servers = {role: {turn.server for _, turns in traces for turn in turns if turn.role is role} for role in roles}
    if len(roles) == 2 and servers[roles[0]] & servers[roles[1]]:
        return dict.fromkeys(roles, " and ".join(sorted(roles, reverse=True)))
    return {role: str(role) for role in roles}


def _column(traces: Sequence[tuple[Trace, Sequence[Turn]]], role: Author, *, textual: bool) -> Column:
    """By the usage, which counts what was written for nothing before a retry, too."""

    def tokens(length: int) -> float:
        return estimated_tokens(length) if textual else length

    rows = []
    for trace, turns in traces:
        used = trace.usage.get(role, Usage())
        mine = [turn for turn in turns if turn.role is role and turn.requests]
        pieces = [turn for turn in mine if tokens(turn.received) >= turn.asked]
        rows.append(
            (
                len(mine),
                used.requests,
                tokens(used.received),
                tokens(used.kept),
                used.prompt,
                min(used.cached or 0, used.told),
                used.told,
                len(pieces),
                sum(turn.requests for turn in pieces),
                sum(tokens(turn.thrown_away) for turn in pieces),
            )
        )
    return Column(*np.array(rows, dtype=np.float64).T)


class _Stay(NamedTuple):
    """A turn at a station, or what lies before it with the process: from when to when."""

    trace: int
    station: str
    replica: str
    began: float
    ended: float
    kept: float


def _stays(
    traces: Sequence[tuple[Trace, Sequence[Turn]]],
    timed: Sequence[bool],
    at: Mapping[Author, str],
    textual: Collection[Author],
) -> list[_Stay]:
    """Each trace's turns one after the other; what is left of its time lies evenly between them, with the process."""
    stays = []
    for number, ((trace, turns), known) in enumerate(zip(traces, timed, strict=True)):
        heard = [turn for turn in turns if turn.requests and turn.role in at]
        if not known or not heard:
            continue
        assert trace.started is not None
        assert trace.finished is not None
        between = max(0.0, trace.finished - trace.started - sum(turn.seconds for turn in heard)) / len(heard)
        now = trace.started
        for turn in heard:
            kept = estimated_tokens(turn.kept) if turn.role in textual else turn.kept
            begins, ends = now + between, now + between + turn.seconds
            stays.append(_Stay(number, PROCESS, "", now, begins, kept))
            stays.append(_Stay(number, at[turn.role], turn.server, begins, ends, kept))
            now = ends
    return stays


def _waits(stays: Sequence[_Stay], traces: int) -> Waits:
    owner = [stay.trace for stay in stays]
    return Waits(
        np.bincount(owner, [stay.kept for stay in stays], traces).astype(np.float64),
        np.bincount(owner, [stay.ended - stay.began for stay in stays], traces).astype(np.float64),
    )


def _steps(began: Array, ended: Array) -> tuple[Array, Array]:
    """From when on how many there are."""
    moments = np.concatenate([began, ended])
    change = np.concatenate([np.ones_like(began), -np.ones_like(ended)])
    order = np.argsort(moments, kind="stable")
    return moments[order], np.cumsum(change[order])


def _start(stays: Sequence[_Stay], moments: Array, flying: Array) -> tuple[float, float]:
    """When the start was over, and how many seconds were lost in it; none where too little comes after it to tell.

    It is over when nine in ten of the first traces have ended a turn of each role; what was lost is the time for which
    there are no turns to show, at the pace that follows while all places are taken.
    """
    began, whole = moments[0], moments[-1] - moments[0]
    emptying = moments[np.flatnonzero(flying == flying.max())[-1] + 1]
    first: dict[int, dict[str, float]] = {}
    ends = np.sort([stay.ended for stay in stays if stay.station != PROCESS])
    for stay in stays:
        if stay.station != PROCESS:
            first.setdefault(stay.trace, {}).setdefault(stay.station, stay.ended)
    wave = [max(by_station.values()) for by_station in list(first.values())[: int(flying.max())]]
    over = float(np.quantile(wave, 0.9))
    if over - began > whole / 4 or emptying - over < whole / 4:
        return float(began), 0.0
    until, after = np.searchsorted(ends, [over, emptying], side="right")
    pace = (after - until) / (emptying - over)
    return over, float(max(0.0, over - began - until / pace)) if pace else 0.0


# -- the disk


def _prompts(reader: Reader, traces: Sequence[tuple[Trace, Sequence[Turn]]]) -> int:
    """Bytes of the problems, about."""
    return sum(len(str(reader.problem(id).messages)) for id in dict.fromkeys(trace.key.problem for trace, _ in traces))


def _database(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("run.sqlite*") if not path.name.endswith("-shm"))


def _parquet(traces: Sequence[tuple[Trace, Sequence[Turn]]], prompts: int) -> float:
    """Bytes that all responses take in a Parquet file with its usual compression, by trying it on some."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    some = [trace.response.encode("utf-8", "replace").decode() for trace, _ in traces[:_TEXTS]]
    file = io.BytesIO()
    pq.write_table(pa.table({"response": some}), file, compression="zstd")
    whole = sum(len(trace.response) for trace, _ in traces) + prompts
    return file.tell() * whole / max(1, sum(map(len, some)))
