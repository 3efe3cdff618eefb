"""Whether the prefix cache is alive: a run sends the same growing prefix again with each turn."""

from __future__ import annotations

from statistics import median
from typing import Literal, NamedTuple

from antiphon.dialect import Part
from antiphon.engine.base import Sequence
from antiphon.operate.doctor.manual import counter
from antiphon.operate.doctor.report import Finding, ok, warning
from antiphon.operate.doctor.subject import GREEDY, Subject, spoken
from antiphon.trace import estimated_tokens

_PREFIX = 400  # tokens
_WRITTEN, _BACK = 16, 6  # tokens written, and rolled back of these
_ALIVE = 0.6  # share of a prefix: whole blocks of up to 128 tokens are cached
_QUICK = 0.3  # seconds; what is quicker is measured three times
_TELLING = 0.01  # seconds by which reading a prefix must differ from finding it

How = Literal["usage", "counters", "time"]


class Seen(NamedTuple):
    """One request: tokens of its prompt from the cache (None: nobody told), and seconds to its first token."""

    cached: float | None
    seconds: float


class Look(NamedTuple):
    """Three requests with one prefix of `length` tokens: new, the same again, after a rollback to `kept` tokens."""

    length: int
    kept: int
    cold: Seen
    again: Seen
    back: Seen


async def cache(subject: Subject) -> Finding:
    """The same prompt twice, and once more after a rollback."""
    looks = [await _look(subject)]
    while len(looks) < 3 and looks[0].again.cached is None and looks[0].cold.seconds < _QUICK:
        looks.append(await _look(subject))
    look = looks[-1]
    if look.again.cached is None:
        return _by_time(subject, looks)
    again, back = _share(subject, look.again, look.length), _share(subject, look.back, look.kept)
    usage = subject.http is None or await _told(subject)
    how = "as the server tells" if usage else "by its /metrics"
    facts = {"again": round(again, 3), "after_rollback": round(back, 3), "known_by": "usage" if usage else "counters"}
    share = f"{again:.0%} of a prompt sent twice come from the cache, {back:.0%} after a rollback ({how})"
    if again < _ALIVE:
        return warning(f"{share}: each turn reads its whole prefix again", subject.manual.cache, **facts)
    if back < _ALIVE:
        return warning(f"{share}: each rollback costs the whole prefix", subject.manual.rollback, **facts)
    if not usage and subject.manual.counted:
        return warning(share, subject.manual.counted, **facts)
    return ok(share, **facts)


def _by_time(subject: Subject, looks: list[Look]) -> Finding:
    cold, again, back = (
        median(seen.seconds for seen in each)
        for each in zip(*((look.cold, look.again, look.back) for look in looks), strict=True)
    )
    facts = {"known_by": "time", "new": cold * 1000, "again": again * 1000, "after_rollback": back * 1000}
    times = f"{spoken(cold * 1000)} to the first token of a new prompt, {spoken(again * 1000)} when sent again"
    if cold - again < _TELLING and cold < 2 * again:
        if cold < 5 * _TELLING:
            return ok(f"cannot be told: {times}, too quick to see a difference", **facts)
        return warning(f"{times}: each turn reads its whole prefix again", subject.manual.cache, **facts)
    if cold < 1.5 * again:
        return warning(f"{times}: each turn reads its whole prefix again", subject.manual.cache, **facts)
    times += f", {spoken(back * 1000)} after a rollback (by time: nobody counts)"
    if cold < 1.5 * back:
        return warning(f"{times}: each rollback costs the whole prefix", subject.manual.rollback, **facts)
    return ok(times, **facts)


async def _look(subject: Subject) -> Look:
    sequence, number = await subject.counting(_PREFIX)
    length = sequence.length
    cold = await _request(subject, sequence, length)
    again = await _request(subject, sequence, length)
    await subject.write(sequence, GREEDY, subject.most(sequence, _WRITTEN))
    kept = max(length, sequence.length - _BACK)
    sequence.truncate(kept)
    await sequence.append((Part(f" Wait, {number}?"),))
    return Look(length, kept, cold, again, await _request(subject, sequence, sequence.length))


def _share(subject: Subject, seen: Seen, length: int) -> float:
    """How much of a prefix came from the cache; its length is an estimate without ids."""
    tokens = length if subject.can.ids else estimated_tokens(length)
    return min(1.0, (seen.cached or 0) / tokens)


async def _request(subject: Subject, sequence: Sequence, length: int) -> Seen:
    """One token, which is rolled back."""
    before = await _hits(subject)
    written = await subject.write(sequence, GREEDY, 1)
    sequence.truncate(length)
    if written.cached is not None:
        return Seen(written.cached, written.first)
    after = await _hits(subject)
    return Seen(None if before is None or after is None else after - before, written.first)


async def _hits(subject: Subject) -> float | None:
    return None if subject.http is None else await counter(subject.http.clients[0], subject.manual.hits)


async def _told(subject: Subject) -> bool:
    """Whether the server itself says of a request how much of its prompt was cached."""
    sequence, _ = await subject.counting(60)
    return (await subject.write(sequence, GREEDY, 1)).cached is not None
