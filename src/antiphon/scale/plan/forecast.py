"""What a run will take, from pilots.

Everything is drawn a thousand times: problems of the pilots with putting back, the run's problems among these, how
far the pace strays from the law, as it did in the pilots, and how much of what grows with the traces in flight grows on
beyond the pilots. The middle of the draws is the forecast, what lies between 2.5% and 97.5% of them its interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np

from antiphon.errors import UsageError
from antiphon.plural import many
from antiphon.scale.plan.course import PLAYED, Course, course
from antiphon.scale.plan.law import Array, Station, paces, rates, together
from antiphon.scale.plan.pilot import PROCESS, Column
from antiphon.scale.plan.pool import Pool
from antiphon.statistics import mean_interval
from antiphon.synth.ahead import ANEW
from antiphon.synth.spend import Prices
from antiphon.trace import Author, Usage

_DRAWS = 1000
_TAIL = 0.025
_IDLE = 0.5  # a busiest station that is less busy than this limits nothing
_BEYOND = 2  # times as many traces as the pilots had, from which on a forecast is an extrapolation to be told of
_CORELESS = 0.2  # of the time: a pilot that waited so much for a core was not alone on its machine
_PROBLEMS, _TURNS = 64, 500  # of which pilots should have no fewer
_WASTE_STRAYS, _REQUESTS_STRAY = 0.15, 0.04  # by which runs were off what pilots told: docs/scale.md, does it hold
_FACTORS = (1, 2, 4)  # of the replicas that are asked for, in the table of choices
_SOME = 100  # draws, for that table


class Estimate(NamedTuple):
    """A value, and between which two it lies in 95 of 100 cases."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: Sequence[float] | Array) -> Estimate:
        """By draws of it."""
        low, value, high = np.quantile(np.asarray(draws, dtype=np.float64), (_TAIL, 0.5, 1 - _TAIL))
        return cls(float(value), float(low), float(high))


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        samples: traces of each problem.
        concurrency: traces in flight; None: as many as in the largest pilot.
        replicas: of a role's servers; as many as in the pilots where none are named.
        longer: how many times as many turns a trace has.
        shards: processes that share the problems and the traces in flight.
        gpus: of each replica of a role; one where nothing is said.
        gpu_hour: price of an hour of one GPU, for roles that are not paid by token; None: nothing is paid by the hour.
        prices: of roles that are paid by token; the pilots' where none are named.
    """

    problems: int
    samples: int = 1
    concurrency: int | None = None
    replicas: Mapping[Author, int] = field(default_factory=dict)
    longer: float = 1.0
    shards: int = 1
    gpus: Mapping[Author, int] = field(default_factory=dict)
    gpu_hour: float | None = None
    prices: Mapping[Author, Prices] = field(default_factory=dict)


class RoleForecast(NamedTuple):
    """What a role takes. Tokens are its own; those `written` are kept or thrown away (`waste`: the share).

    `cached` is the share of the prompt tokens that came from the cache, where that was told (None: nowhere). `cost` is
    None where it has no price.
    """

    replicas: int
    turns: Estimate
    requests: Estimate
    kept: Estimate
    written: Estimate
    waste: Estimate
    prompt: Estimate
    cached: float | None
    gpu_hours: Estimate
    cost: Estimate | None


class StationForecast(NamedTuple):
    """How it is at a station while all places are taken: the share of what it can do, the traces at each replica, and
    how many the largest pilot had there (None for the process, of which that does not matter)."""

    busy: Estimate
    there: Estimate
    seen: float | None


class Choice(NamedTuple):
    """With other numbers of replicas: the time, and which station is the busiest."""

    replicas: Mapping[Author, int]
    seconds: Estimate
    bottleneck: str


@dataclass(frozen=True)
class Forecast:
    """What a run will take.

    Attributes:
        traces: that are written, `complete` of them whole.
        seconds: from the first trace's beginning to the last one's end.
        stations: by name.
        bottleneck: the busiest station.
        balance: replicas of the student for each of the teacher with which both are equally busy; None where the
            pilots do not say.
        cost: in the currency of the prices; None without prices.
        database, parquet: bytes.
        choices: for other numbers of replicas.
        notes: what to bear in mind.
    """

    concurrency: int
    traces: int
    complete: Estimate
    seconds: Estimate
    roles: Mapping[Author, RoleForecast]
    stations: Mapping[str, StationForecast]
    bottleneck: str
    balance: Estimate | None
    cost: Estimate | None
    database: Estimate
    parquet: Estimate
    choices: Sequence[Choice]
    notes: Sequence[str]


class _Habit(NamedTuple):
    """By how much a role's turns are asked for otherwise than in the pilots: a factor to what a turn throws away, and
    requests more or fewer for a turn. A run learns how to ask as it goes, and none learns quite the same."""

    waste: float
    requests: float


class _Draw(NamedTuple):
    """One of many: of the pilots' traces how often each is drawn to stand for the pilots, and to be in the run; the
    run's course; the stations; by how much the pace strays; how much goes on as it began beyond the pilots: what a turn
    takes with more traces in flight, and how many turns are asked for in pieces; each role's habit."""

    pilots: Array
    run: Array
    course: Course
    stations: list[Station]
    stray: float
    grows: float
    settles: float
    habits: Mapping[Author, _Habit]


def forecast(pool: Pool, question: Question, *, seed: int = 0, draws: int = _DRAWS) -> Forecast:
    """Answers a question. Equal seeds give equal answers.

    Raises:
        UsageError: replicas of a role that takes no turns.
    """
    if unknown := [role for role in question.replicas if role not in pool.roles]:
        raise UsageError(f"the pilots have no turns of the {unknown[0]}; leave its replicas out")
    places = min(question.concurrency or pool.largest.places, question.problems * question.samples)
    rng = np.random.default_rng(seed)
    drawn = [_draw(pool, question, places, rng) for _ in range(draws)]
    known = together([draw.stations for draw in drawn])
    asked = _with_replicas(known, question.replicas, question.shards)
    seconds = _seconds(pool, drawn, asked, places)
    roles, costs = {}, []
    for role in pool.roles:
        roles[role], paid = _role(pool, question, role, drawn, seconds)
        costs += [] if paid is None else [paid]
    stations = {station.name: _station(station, asked, places) for station in asked}
    return Forecast(
        concurrency=places,
        traces=question.problems * question.samples,
        complete=_complete(pool, question.problems * question.samples),
        seconds=Estimate.of(seconds),
        roles=roles,
        stations=stations,
        bottleneck=_busiest(asked),
        balance=_balance(known),
        cost=Estimate.of(np.sum(costs, axis=0)) if costs else None,
        database=Estimate.of(question.longer * _sums(pool, "database", drawn)),
        parquet=Estimate.of(question.longer * _sums(pool, "parquet", drawn)),
        choices=list(_choices(pool, question, drawn, places)),
        notes=list(_notes(pool, question, stations, places)),
    )


# -- one draw


def _draw(pool: Pool, question: Question, places: int, rng: np.random.Generator) -> _Draw:
    weights = rng.multinomial(pool.problems, np.full(pool.problems, 1 / pool.problems))
    pilots = weights[pool.problem].astype(np.float64)
    for number in range(len(pool.pilots)):  # a pilot none of whose problems was drawn tells what it told
        mine = pool.pilot == number
        if not pilots[mine].any():
            pilots[mine] = 1.0
    chance = pilots / np.bincount(pool.problem)[pool.problem]
    traces = question.problems * question.samples
    run = rng.multinomial(question.problems, chance / chance.sum()).astype(np.float64) * question.samples
    lengths = pool.lengths * question.longer
    some = min(traces, PLAYED * places)
    played = rng.choice(lengths, some, p=run / traces) if some < traces else np.repeat(lengths, run.astype(int))
    rng.shuffle(played)
    more = max(0.0, float(run @ lengths - played.sum())) if some < traces else 0.0
    return _Draw(
        pilots=pilots,
        run=run,
        course=course(played, places, more),
        stations=pool.stations(pilots, own=rng.uniform(size=len(pool.largest.waits)).tolist()),
        stray=float(np.exp(rng.normal(0, pool.stray))),
        grows=rng.uniform(),
        settles=rng.uniform(),
        habits={
            role: _Habit(float(np.exp(rng.normal(0, _WASTE_STRAYS))), rng.normal(0, _REQUESTS_STRAY))
            for role in pool.roles
        },
    )


def _seconds(pool: Pool, drawn: Sequence[_Draw], stations: Sequence[Station], places: int) -> Array:
    """How long the run of each draw takes. The start takes longer the more traces open at once at a server."""
    largest = pool.largest
    crowd = places / largest.places
    crowd /= min((s.replicas / largest.replicas[s.name] for s in stations if s.name != PROCESS), default=1.0)
    played = [draw.course.seconds(pace) / draw.stray for draw, pace in zip(drawn, paces(stations, places), strict=True)]
    return largest.start * crowd + np.array(played)


def _with_replicas(stations: Sequence[Station], replicas: Mapping[Author, int], shards: int) -> list[Station]:
    """The same with other numbers of replicas. Where both roles are the same servers', the larger number counts."""
    return [
        station._replace(
            replicas=shards
            if station.name == PROCESS
            else max((number for role, number in replicas.items() if role in _roles(station)), default=station.replicas)
        )
        for station in stations
    ]


def _roles(station: Station) -> list[str]:
    return station.name.split(" and ")


def _complete(pool: Pool, traces: int) -> Estimate:
    values = np.concatenate([pilot.complete for pilot in pool.pilots])
    by_problem = np.bincount(pool.problem, values) / np.bincount(pool.problem)
    low, high = mean_interval(by_problem.tolist())
    return Estimate(traces * float(by_problem.mean()), traces * low, traces * high)


def _sums(pool: Pool, name: str, drawn: Sequence[_Draw]) -> Array:
    """Something that each trace has, summed over the run of each draw."""
    values = np.concatenate([getattr(pilot, name) for pilot in pool.pilots])
    return np.array([draw.run @ values for draw in drawn], dtype=np.float64)


# -- of all draws


def _role(
    pool: Pool, question: Question, role: Author, drawn: Sequence[_Draw], seconds: Array
) -> tuple[RoleForecast, Array | None]:
    columns = Column(*(pool.column(role, name) for name in Column._fields))
    used = [_usage(pool, columns, draw, draw.habits[role], question) for draw in drawn]
    station = next(s for s in drawn[0].stations if role in _roles(s))
    replicas = _with_replicas([station], question.replicas, 1)[0].replicas
    hours = seconds / 3600 * replicas * question.gpus.get(role, 1)
    price = question.prices.get(role) or pool.largest.prices.get(role)
    costs: Array | None = None
    if price is not None:
        costs = np.array([price.cost(one) for _, one in used])
    elif question.gpu_hour is not None:
        costs = hours * question.gpu_hour
    told = columns.told.sum()
    forecast = RoleForecast(
        replicas=replicas,
        turns=Estimate.of([turns for turns, _ in used]),
        requests=Estimate.of([one.requests for _, one in used]),
        kept=Estimate.of([one.kept for _, one in used]),
        written=Estimate.of([one.received for _, one in used]),
        waste=Estimate.of([one.thrown_away / one.received if one.received else 0.0 for _, one in used]),
        prompt=Estimate.of([one.prompt for _, one in used]),
        cached=float(columns.cached.sum() / told) if told else None,
        gpu_hours=Estimate.of(hours),
        cost=None if costs is None else Estimate.of(costs),
    )
    return forecast, costs


def _usage(pool: Pool, columns: Column, draw: _Draw, habit: _Habit, question: Question) -> tuple[float, Usage]:
    """A role's turns and usage in the run of a draw; prompts go with the length of what stands before them.

    What a turn throws away depends on how it is asked for. A stream is closed late, and the later the more traces are
    in flight; a piece of so many tokens throws away what lies behind its cut, however many there are. With more traces
    more turns are asked for in pieces, as streams get dearer: all but those that stream now and then to learn. Where
    the pilots asked in one way only, nothing was to be chosen, and each turn takes as many requests as there.
    """
    longer, here = question.longer, draw.course.in_flight / question.shards
    sums = Column(*(pool.by_pilot(values, draw.pilots) for values in columns))
    turns = float(draw.run @ columns.turns) * longer
    kept = float(draw.run @ columns.kept) * longer
    shares = sums.pieces / np.maximum(sums.turns, 1)
    pieces = min(_at(pool, shares, here, draw.settles), max(1 - 1 / ANEW, float(shares.max())))

    def of_a_turn(in_all: Array, in_pieces: Array) -> float:
        streamed = (in_all - in_pieces) / np.maximum(sums.turns - sums.pieces, 1)
        a_piece = float(in_pieces.sum() / max(sums.pieces.sum(), 1))
        return pieces * a_piece + (1 - pieces) * _at(pool, streamed, here, draw.grows)

    chosen = 0 < sums.pieces.sum() < sums.turns.sum()
    requests = turns * max(1.0, of_a_turn(sums.requests, sums.piece_requests) + habit.requests * chosen)
    waste = turns * of_a_turn(sums.received - sums.kept, sums.piece_waste) * habit.waste
    prompt = requests * longer * sums.prompt[-1] / max(sums.requests[-1], 1)
    cached = prompt * sums.cached.sum() / max(sums.prompt.sum(), 1)
    return turns, Usage(
        round(requests), round(kept + waste), round(kept), round(cached), prompt=round(prompt), told=round(prompt)
    )


def _at(pool: Pool, values: Array, here: float, grows: float) -> float:
    """A value with so many traces in flight in a process, by those of the pilots. Beyond them it stays as it was in the
    last, or goes on to grow as from the one before, or anything between: by the share `grows`."""
    there = np.array([pilot.in_flight for pilot in pool.pilots])
    if here <= there[-1]:
        return float(np.interp(here, there, values))
    slope = (values[-1] - values[-2]) / (there[-1] - there[-2])
    return float(values[-1] + grows * max(0.0, slope) * (here - there[-1]))


def _station(station: Station, stations: Sequence[Station], places: int) -> StationForecast:
    rate = rates(stations, np.array([float(places)]))
    busy, there = np.minimum(1, rate / station.capacity), np.minimum(places, station.there(rate))
    return StationForecast(Estimate.of(busy), Estimate.of(there), float(np.median(station.seen)) or None)


def _busiest(stations: Sequence[Station]) -> str:
    """The station that most draws find the busiest."""
    least = np.argmin([station.capacity[:, 0] for station in stations], axis=0)
    return stations[int(np.bincount(least).argmax())].name


def _balance(stations: Sequence[Station]) -> Estimate | None:
    each = {station.name: station.capacity / station.replicas for station in stations}
    teacher, student = each.get(Author.TEACHER), each.get(Author.STUDENT)
    if teacher is None or student is None or not (np.isfinite(teacher) & np.isfinite(student)).all():
        return None
    return Estimate.of(teacher / student)


def _choices(pool: Pool, question: Question, drawn: Sequence[_Draw], places: int) -> Sequence[Choice]:
    some = drawn[:: max(1, len(drawn) // _SOME)]
    known = together([draw.stations for draw in some])
    asked = {
        role: question.replicas.get(role, next(s.replicas for s in known if role in _roles(s))) for role in pool.roles
    }
    found = []
    for factors in product(_FACTORS, repeat=len(asked)):
        replicas = {role: number * factor for (role, number), factor in zip(asked.items(), factors, strict=True)}
        stations = _with_replicas(known, replicas, question.shards)
        found.append(Choice(replicas, Estimate.of(_seconds(pool, some, stations, places)), _busiest(stations)))
    return found


def _notes(pool: Pool, question: Question, stations: Mapping[str, StationForecast], places: int) -> Sequence[str]:
    largest = pool.largest
    said = []
    if pool.problems < _PROBLEMS:
        said.append(
            f"the pilots have {many(pool.problems, 'problem')}: below {_PROBLEMS} intervals are narrower than they"
            " should be"
        )
    for role, column in largest.roles.items():
        if column.turns.sum() < _TURNS and question.problems > len(set(largest.problems)):
            said.append(
                f"the larger pilot has {column.turns.sum():.0f} turns of the {role}: requests a turn may still change,"
                " as a run learns how to ask (run_ahead); give it more problems"
            )
    for name, station in stations.items():
        if station.seen is not None and station.there.value > _BEYOND * station.seen:
            said.append(
                f"{station.there.value:.0f} traces would be at each {name}, the pilots had {station.seen:.0f}: what a "
                "server does with more (its limit of sequences, its cache) is not known; a pilot with more traces tells"
            )
    said += [
        f"in {pilot.directory} this process waited for a core for {pilot.coreless:.0%} of the time, which other"
        " programs had: the forecast is of a machine as busy as that"
        for pilot in pool.pilots
        if pilot.coreless > _CORELESS
    ]
    if largest.processing is None:
        said.append("the pilots do not tell what this process took (an older version, or killed): its limit is unknown")
    if all(station.busy.value < _IDLE for name, station in stations.items()):
        said.append("nothing is busy for half of the time: more traces in flight (--concurrency) make it quicker")
    return said
