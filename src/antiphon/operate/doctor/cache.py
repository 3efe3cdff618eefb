"""Whether the prefix cache is alive: a run sends the same growing prefix again with each turn."""

from __future__ import annotations

from typing import NamedTuple

from antiphon.dialect import Part
from antiphon.engine.base import Sequence
from antiphon.operate.doctor.manual import counter
from antiphon.operate.doctor.report import Finding, ok, warning
from antiphon.operate.doctor.subject import GREEDY, Subject, spoken
from antiphon.trace import estimated_tokens

_PREFIX, _LONG_PREFIX = 400, 2000  # tokens; the longer one passes the sliding windows of most models that have some
_LONGEST = 45.0  # seconds that reading the longer one may take
_BARE = 20  # tokens that take no time to read
_WRITTEN, _BACK = 16, 6  # tokens written, and rolled back of these
_ALIVE = 0.6  # share of a prefix: whole blocks of up to 128 tokens are cached
_TELLING = 0.005  # seconds that reading a prefix must take for its absence to be seen


class Seen(NamedTuple):
    """One request: tokens of its prompt from the cache (None: nobody counts), whether the server told of them itself,
    and seconds to its first token."""

    cached: float | None
    told: bool
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
    look = await _look(subject, _PREFIX)
    if look.again.cached is None:
        return await _by_time(subject, [look, await _look(subject, _PREFIX), await _look(subject, _PREFIX)])
    if look.cold.seconds * _LONG_PREFIX / _PREFIX < _LONGEST and _share(subject, look.back, look.kept) >= _ALIVE:
        look = await _look(subject, _LONG_PREFIX)
    again, back = _share(subject, look.again, look.length), _share(subject, look.back, look.kept)
    told = look.again.told
    facts = {
        "again": round(again, 3),
        "after_rollback": round(back, 3),
        "tokens": _tokens(subject, look.length),
        "known_by": "usage" if told else "counters",
    }
    share = (
        f"{again:.0%} of a prompt of {facts['tokens']:,} tokens come from the cache when it is sent again, {back:.0%}"
        f" after a rollback{'' if told else ' (by its /metrics)'}"
    )
    if again < _ALIVE:
        return warning(f"{share}: each turn reads its whole prefix again", subject.manual.cache, **facts)
    if back < _ALIVE:
        return warning(f"{share}: each rollback costs the whole prefix", subject.manual.rollback, **facts)
    if not told and subject.manual.counted:
        return warning(share, subject.manual.counted, **facts)
    return ok(share, **facts)


async def _by_time(subject: Subject, looks: list[Look]) -> Finding:
    """What a prompt that is sent again takes lies between one that is new and one that is hardly any."""
    bare, _ = await subject.counting(_BARE)
    least = min([(await _request(subject, bare, bare.length)).seconds for _ in range(3)])
    new, again, back = (  # whatever else a machine does only ever adds to a time
        min(seen.seconds for seen in each)
        for each in zip(*((look.cold, look.again, look.back) for look in looks), strict=True)
    )
    facts = {"known_by": "time", "new": new * 1000, "again": again * 1000, "after_rollback": back * 1000}
    times = f"{spoken(new * 1000)} to the first token of a new prompt, {spoken(again * 1000)} when it is sent again"
    reading = new - least
    if reading < max(_TELLING, 0.3 * least):
        return ok(f"cannot be told: {times}, and nobody counts", **facts)
    if again - least > _ALIVE * reading:
        return warning(f"{times}: each turn reads its whole prefix again", subject.manual.cache, **facts)
    times += f", {spoken(back * 1000)} after a rollback (by time: nobody counts)"
    if back - least > _ALIVE * reading:
        return warning(f"{times}: each rollback costs the whole prefix", subject.manual.rollback, **facts)
    return ok(times, **facts)


async def _look(subject: Subject, tokens: int) -> Look:
    sequence, number = await subject.counting(tokens)
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
    return min(1.0, (seen.cached or 0) / _tokens(subject, length))


def _tokens(subject: Subject, length: int) -> int:
    return length if subject.can.ids else estimated_tokens(length)


async def _request(subject: Subject, sequence: Sequence, length: int) -> Seen:
    """One token, which is rolled back."""
    before = await _hits(subject)
    written = await subject.write(sequence, GREEDY, 1)
    sequence.truncate(length)
    if written.cached is not None:
        return Seen(written.cached, True, written.first)
    after = await _hits(subject)
    return Seen(None if before is None or after is None else after - before, False, written.first)


async def _hits(subject: Subject) -> float | None:
    return None if subject.http is None else await counter(subject.http.clients[0], subject.manual.hits)
