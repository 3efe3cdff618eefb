"""From what was noted to figures.

The first fifth of the time is left out: in it all traces open at once with the same role and a prompt that no cache
holds, and connections are made. The window ends with the time given, or where the problems run out: when fewer than
half of the traces are in flight, servers idle for want of work. A turn that began before the window or ended behind it
counts with the share of it that lies inside; figures "a turn" are means over the turns that ended inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import NamedTuple

from antiphon.operate.bench.counters import Counted
from antiphon.operate.bench.watch import Heard, Moment
from antiphon.trace import Author, Turn, Usage, estimated_tokens

WARM_UP = 1 / 5
"""The share of the time that is left out at its beginning."""
EMPTYING = 1 / 2
"""Fewer than this share of the most traces in flight, and the window is over."""
_TOLD = 1 / 2  # of the prompts: where fewer of them told their cached part, the server's counters know better


class Seat(NamedTuple):
    """What is known of a role before it writes.

    `kind` of server is None for a model in this process. `slots` is how many prefixes its engine keeps at once (None:
    as many as memory holds), `textual` whether its turns are counted in characters.
    """

    kind: str | None
    slots: int | None
    textual: bool
    launched: bool = False


class Reading(NamedTuple):
    """How a role's predictor reads: seconds a character, alone; and its look-ahead in words."""

    seconds: float
    lookahead: int


class Window(NamedTuple):
    """The time that is measured (`time.monotonic`)."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """One server of a role, as it was on average. None: it does not tell.

    `waiting` is how many traces waited for it, by our own clock. `running`, `queued`, `filled` (a share), `written`
    (tokens a second) and `preempted` (requests) are what it told of itself, other users' requests among them.
    """

    address: str
    waiting: float
    running: float | None = None
    queued: float | None = None
    filled: float | None = None
    written: float | None = None
    preempted: float | None = None


@dataclass(frozen=True, slots=True)
class RoleFigures:
    """One role in the window. Tokens are its own (estimates where its server tells no ids).

    Attributes:
        kind, slots, launched: see `Seat`.
        kept_per_second, received_per_second: tokens.
        turns: that ended in it. What follows is None where none did.
        kept, thrown_away, requests, seconds: per turn.
        tokens_per_word: of the words that were judged; None where nobody judged.
        cached_share: of the prompt tokens, where that is known.
        cached_by: how it is known: `replies` (of `cached_told` of the prompt tokens) or `counters`.
        waiting: traces that waited for this role, on average; `share` of those in flight.
        idle: the share of the time without a request of this run at its servers.
        predictor: seconds a turn that its predictor takes for what it is shown, alone; None where it has none.
        lookahead: its predictor's, in words.
        servers: where its turns went.
    """

    kind: str | None
    slots: int | None
    launched: bool
    estimated: bool
    kept_per_second: float
    received_per_second: float
    turns: int
    kept: float | None
    thrown_away: float | None
    requests: float | None
    seconds: float | None
    tokens_per_word: float | None
    cached_share: float | None
    cached_by: str | None
    cached_told: float
    waiting: float
    share: float
    idle: float
    predictor: float | None
    lookahead: int | None
    servers: tuple[ServerFigures, ...]

    @property
    def waste(self) -> float | None:
        """The share of the received tokens that was thrown away."""
        if self.kept is None or self.thrown_away is None or not self.kept + self.thrown_away:
            return None
        return self.thrown_away / (self.kept + self.thrown_away)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a bench measured.

    Attributes:
        seconds: of the window; `left_out` before it.
        concurrency, run_ahead: as set.
        planned: traces there were to write.
        in_flight: on average; `most` at once.
        kept_per_second: tokens of both roles, each in its own.
        cpu_per_turn: seconds of this process's CPU.
        process, loop: cores that this process, and its event loop alone, took.
        coreless: the share of the time in which the event loop could have gone on and had no core; None where the
            system does not tell.
        late: seconds by which the event loop was late, on average.
        silent: the share of the time in which an engine was being waited for.
    """

    seconds: float
    left_out: float
    concurrency: int
    run_ahead: int | str
    planned: int
    in_flight: float
    most: int
    turns: int
    kept_per_second: float
    cpu_per_turn: float | None
    process: float
    loop: float
    coreless: float | None
    late: float
    silent: float
    roles: Mapping[Author, RoleFigures]

    @property
    def elsewhere(self) -> float:
        """The share of the traces in flight that waited for no model: for this process, a tokenizer or the record."""
        return max(0.0, 1 - sum(role.share for role in self.roles.values()))


class Noted(NamedTuple):
    """All that was noted. `counted`: by server, when it was asked (`time.monotonic`) and what it told."""

    turns: Sequence[Heard]
    moments: Sequence[Moment]
    counted: Mapping[str, Sequence[tuple[float, Counted]]]
    judged: Mapping[Author, int]
    readings: Mapping[Author, Reading]


def window(moments: Sequence[Moment]) -> Window:
    """What is measured of a run."""
    most = max(moment.in_flight for moment in moments)
    full = next((n for n, moment in enumerate(moments) if moment.in_flight == most), 0)
    emptying = (moment.time for moment in moments[full:] if moment.in_flight < most * EMPTYING)
    began, end = moments[0].time, next(emptying, moments[-1].time)
    return Window(began + (end - began) * WARM_UP, end)


def figures(
    noted: Noted, seats: Mapping[Author, Seat], *, concurrency: int, run_ahead: int | str, planned: int
) -> Figures:
    """The figures of a run that was watched for at least two moments."""
    span = window(noted.moments)
    inside = [moment for moment in noted.moments if span.begin <= moment.time <= span.end]
    first, last = inside[0], inside[-1]
    clock = max(last.time - first.time, 1e-9)
    in_flight = fmean(moment.in_flight for moment in inside)
    roles = {role: _role(role, seat, noted, span, in_flight) for role, seat in seats.items()}
    turns = sum(heard.within(*span) for heard in noted.turns if heard.turn.requests)
    return Figures(
        seconds=span.seconds,
        left_out=span.begin - noted.moments[0].time,
        concurrency=concurrency,
        run_ahead=run_ahead,
        planned=planned,
        in_flight=in_flight,
        most=max(moment.in_flight for moment in noted.moments),
        turns=sum(role.turns for role in roles.values()),
        kept_per_second=sum(role.kept_per_second for role in roles.values()),
        cpu_per_turn=(last.process - first.process) / clock * span.seconds / turns if turns else None,
        process=(last.process - first.process) / clock,
        loop=(last.loop - first.loop) / clock,
        coreless=None if first.coreless is None else ((last.coreless or 0.0) - first.coreless) / clock,
        late=fmean(moment.late for moment in inside),
        silent=fmean(moment.silent for moment in inside),
        roles=roles,
    )


def _role(role: Author, seat: Seat, noted: Noted, span: Window, in_flight: float) -> RoleFigures:
    heard = [each for each in noted.turns if each.turn.role is role]
    ended = [each.turn for each in heard if span.begin < each.ended <= span.end]
    turns = sum(turn.requests > 0 for turn in ended)
    usage = sum((turn.usage for turn in ended), Usage())

    def tokens(length: float) -> float:
        return estimated_tokens(round(length)) if seat.textual else length

    def rate(lengths: Iterable[float]) -> float:
        return tokens(sum(lengths)) / span.seconds

    kept, received = tokens(usage.kept), tokens(usage.received)
    waiting = sum(each.within(*span) * each.turn.seconds for each in heard) / span.seconds
    places = dict.fromkeys(each.turn.server for each in heard)
    told = {place: _inside(noted.counted.get(place, ()), span) for place in places}
    reading = noted.readings.get(role)
    whole = sum(each.turn.requests > 0 for each in noted.turns if each.turn.role is role)
    share, known_by = _cached(usage, list(told.values()))
    return RoleFigures(
        kind=seat.kind,
        slots=seat.slots,
        launched=seat.launched,
        estimated=seat.textual,
        kept_per_second=rate(each.within(*span) * each.turn.kept for each in heard),
        received_per_second=rate(each.within(*span) * each.turn.received for each in heard),
        turns=turns,
        kept=kept / turns if turns else None,
        thrown_away=(received - kept) / turns if turns else None,
        requests=usage.requests / turns if turns else None,
        seconds=usage.seconds / turns if turns else None,
        tokens_per_word=_per_word(ended, tokens),
        cached_share=share,
        cached_by=known_by,
        cached_told=min(1.0, usage.told / usage.prompt) if usage.prompt else 0.0,
        waiting=waiting,
        share=waiting / in_flight if in_flight else 0.0,
        idle=1 - _covered(heard, span) / span.seconds,
        predictor=None if reading is None or not whole else reading.seconds * noted.judged.get(role, 0) / whole,
        lookahead=None if reading is None else reading.lookahead,
        servers=tuple(_server(place, heard, told[place], span) for place in places),
    )


def _per_word(turns: Iterable[Turn], tokens: Callable[[float], float]) -> float | None:
    judged = [turn for turn in turns if turn.words and turn.requests]
    return tokens(sum(turn.kept for turn in judged)) / sum(turn.words for turn in judged) if judged else None


def _covered(heard: Iterable[Heard], span: Window) -> float:
    """Seconds of the window in which at least one of these turns went on."""
    covered, until = 0.0, span.begin
    for began, ended in sorted((each.began, each.ended) for each in heard):
        covered += max(0.0, min(ended, span.end) - max(began, until))
        until = max(until, ended)
    return covered


def _inside(counted: Sequence[tuple[float, Counted]], span: Window) -> list[tuple[float, Counted]]:
    return [each for each in counted if span.begin <= each[0] <= span.end]


def _cached(usage: Usage, told: Sequence[Sequence[tuple[float, Counted]]]) -> tuple[float | None, str | None]:
    """The share of the prompts that came from the cache, and how that is known."""
    by_replies = usage.cached_share
    if by_replies is not None and usage.told >= _TOLD * usage.prompt:
        return by_replies, "replies"
    cached = [_grown(server, "cached") for server in told]
    prompt = [_grown(server, "prompt") for server in told]
    if told and None not in cached and None not in prompt and sum(filter(None, prompt)):
        return min(1.0, sum(filter(None, cached)) / sum(filter(None, prompt))), "counters"
    return (by_replies, "replies") if by_replies is not None else (None, None)


def _grown(told: Sequence[tuple[float, Counted]], field: str) -> float | None:
    """How much a counter grew; None where it was not told twice. One that fell began anew, with its server."""
    values = [value for _, counted in told if (value := getattr(counted, field)) is not None]
    return sum(max(0.0, after - before) for before, after in pairwise(values)) if len(values) > 1 else None


def _server(place: str, heard: Iterable[Heard], told: Sequence[tuple[float, Counted]], span: Window) -> ServerFigures:
    def mean(field: str) -> float | None:
        values = [value for _, counted in told if (value := getattr(counted, field)) is not None]
        return fmean(values) if values else None

    written = _grown(told, "written")
    here = [each for each in heard if each.turn.server == place]
    return ServerFigures(
        address=place,
        waiting=sum(each.within(*span) * each.turn.seconds for each in here) / span.seconds,
        running=mean("running"),
        queued=mean("queued"),
        filled=mean("filled"),
        written=None if written is None else written / (told[-1][0] - told[0][0]),
        preempted=_grown(told, "preempted"),
    )
