"""Shards of a run over all attempts at them, as who watches them knows them; and the tally of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from antiphon.synth.tally import Aim, Tally
from antiphon.trace import Author, Label, Status, Usage


@dataclass(frozen=True, slots=True)
class State:
    """How an attempt at a shard is doing.

    Attributes:
        there, now: the variant's traces by status, when this attempt began and now.
        earlier, textual: what the variant had cost then, see `Spend`.

    The others are as `Tally` has them.
    """

    there: Mapping[Status | None, int]
    now: Mapping[Status | None, int]
    planned: int
    before: int
    in_flight: int
    places: int
    turns: int
    causes: Mapping[str, int]
    labels: Mapping[Label, int]
    aim: tuple[int, ...] | None
    usage: Mapping[Author, Usage]
    earlier: Mapping[Author, Usage]
    textual: Collection[Author]
    silent: bool
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a shard's work ended early. `again`: another attempt may do."""

    text: str
    exit_code: int
    again: bool


@dataclass(slots=True)
class Attempts:
    """A shard over all attempts at it.

    Attributes:
        first: the first that was heard of it.
        state: the last that was heard of the attempt that is under way, None before it writes.
        lost: the last of each attempt that was lost.
        deaths: attempts lost in a row without anything of them kept.
        ended: there will be no other.
    """

    first: State | None = None
    state: State | None = None
    lost: list[State] = field(default_factory=list)
    deaths: int = 0
    ended: bool = False
    _held: int = -1

    def heard(self, state: State) -> None:
        """It is doing so."""
        held = sum(usage.received for usage in state.earlier.values())
        if held > self._held:  # something of the attempt before was kept
            self._held, self.deaths = held, 0
        self.first = self.first or state
        self.state = state

    def died(self) -> None:
        """This attempt is lost, or gave up."""
        self.deaths += 1
        if self.state is not None:
            self.lost.append(self.state)
            self.state = None

    @property
    def all(self) -> list[State]:
        """The last of each attempt."""
        return [*self.lost, *([] if self.state is None else [self.state])]


def sum_up(shards: Sequence[Attempts], tally: Tally, earlier: dict[Author, Usage], textual: set[Author]) -> None:
    """Makes a tally that of all shards.

    What lost attempts have cost is counted, also where what they wrote is not kept: it was paid for.

    Args:
        earlier: gets what each role had cost before, and `textual` the roles whose tokens are counted in characters.
    """
    pairs = [(shard.first, shard.all[-1]) for shard in shards if shard.first is not None]
    firsts = [first for first, _ in pairs]
    states = [state for _, state in pairs]
    every = [state for shard in shards for state in shard.all]
    at_work = [shard.state for shard in shards if shard.state is not None and not shard.ended]
    tally.before = sum(first.before for first in firsts)
    tally.planned = sum(state.planned + state.before - first.before for first, state in pairs)
    finished = Counter[Status]()
    for first, state in pairs:
        there = Counter(first.there)
        finished.update({status: n - there[status] for status, n in state.now.items() if status and n > there[status]})
    tally.finished = finished
    tally.in_flight = sum(state.in_flight for state in at_work)
    tally.places = sum(state.places for state in at_work)
    tally.silent = any(state.silent for state in at_work)
    tally.turns = sum(state.turns for state in every)
    tally.causes = sum((Counter(state.causes) for state in states), Counter())
    tally.labels = sum((Counter(state.labels) for state in states), Counter())
    aims = [state.aim for state in states if state.aim is not None]
    tally.aim = Aim(*map(sum, zip(*aims, strict=True))) if aims else None
    tally.usage.update(_added(state.usage for state in every))
    earlier.update(_added(first.earlier for first in firsts))
    textual.update(role for first in firsts for role in first.textual)


def _added(usages: Iterable[Mapping[Author, Usage]]) -> dict[Author, Usage]:
    total: dict[Author, Usage] = {}
    for each in usages:
        for role, usage in each.items():
            total[role] = total.get(role, Usage()) + usage
    return total
