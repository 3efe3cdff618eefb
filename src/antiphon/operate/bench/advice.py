"""What to change, by plain rules on what was measured. Nothing is said where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

from antiphon.operate.bench.figures import Figures, RoleFigures
from antiphon.operate.doctor.manual import MANUALS, OTHER, launched
from antiphon.plural import many

BUSY = 0.85  # of a core: an event loop that takes so much, or would if it had one, is the limit itself
CORELESS = 0.15  # of the time: an event loop that waits so much for a core has none of its own
LATE = 0.02  # seconds: streams that are closed so late run on for some tokens
LIMITING = 0.6  # of the traces in flight: where so many wait is the limit
FEW, MANY = 16, 32  # traces at a server: up to so few more cost next to nothing; so many should keep it at work
QUEUED = 0.1  # of the requests being served: a queue so long is one
FULL = 0.75  # of a server's slots, taken on average
FILLED, HALF = 0.9, 0.5  # of a server's cache: no room for more; room for twice as many
CACHED = 0.5  # of the prompt tokens: fewer from the cache, and most of a prefix is read again
OFTEN = 6  # turns of a trace at its server, from which on that matters
WASTED_TOKENS, WASTED_SHARE = 4.0, 0.2  # a turn, beyond the look-ahead; and of what was received
REPEATED, AGAIN = 1.5, 1.1  # requests a turn: asked for in pieces; streams that break
READING = 1 / 3  # of a turn's time, or of the CPU: a predictor that takes so much is slow
SCANTY = 50  # turns: figures of fewer are rough


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong, with the numbers, and what to change.

    Attributes:
        about: `student`, `teacher`, or `run` for what concerns both or this process.
    """

    about: str
    says: str
    change: str


def advise(figures: Figures) -> list[Advice]:
    """All that should be changed, what limits most first."""
    return [advice for rule in _RULES for advice in rule(figures)]


def notes(figures: Figures) -> list[str]:
    """What to bear in mind with these figures."""
    said = []
    if figures.turns < SCANTY:
        turns = many(figures.turns, "turn")
        said.append(f"only {turns} ended in the time measured: the figures are rough; give it more")
    if figures.most == figures.planned < figures.concurrency:
        said.append(
            f"with {many(figures.planned, 'trace')} to write no more were in flight (concurrency "
            f"{figures.concurrency}); give it as many problems as a run has, or samples"
        )
    if figures.silent:
        said.append(f"a server did not answer for {figures.silent:.0%} of the time, and all waited for it")
    return said


def waiting(figures: Figures) -> str:
    """For which role the traces in flight wait."""
    (name, role), *others = sorted(figures.roles.items(), key=lambda item: -item[1].share)
    rest = "".join(f", {other.waiting:.1f} for the {author}" for author, other in others)
    flight = f"{role.waiting:.1f} of {figures.in_flight:.1f} traces in flight"
    return f"{flight} ({role.share:.0%}) wait for the {name}{rest}"


# -- this process


def _is_busy(figures: Figures) -> bool:
    """Whether the event loop has no time left: servers then wait for this process, and not the other way round."""
    return figures.loop + (figures.coreless or 0.0) >= BUSY


def _is_starved(figures: Figures) -> bool:
    """Whether it would have time, or be in time, if it had a core."""
    without = figures.coreless or 0.0
    return without >= CORELESS and (figures.late >= LATE or _is_busy(figures))


def _process(figures: Figures) -> Iterator[Advice]:
    if not _is_busy(figures) or _is_starved(figures) or figures.cpu_per_turn is None:
        return
    reading = _reading(figures)
    says = (
        f"this process is the limit: its event loop takes {figures.loop:.0%} of a core, "
        f"{1000 * figures.cpu_per_turn:.2f} ms of CPU a turn"
    )
    if reading >= READING:
        yield Advice("run", f"{says}, {reading:.0%} of it for the predictors", _FASTER)
    else:
        change = "divide the problems among several runs, each a process and a run directory of its own"
        yield Advice("run", says, change)


def _reading(figures: Figures) -> float:
    """The predictors' share of the CPU, by what they take alone."""
    if not figures.cpu_per_turn or not figures.turns:
        return 0.0
    seconds = sum(role.turns * (role.predictor or 0.0) for role in figures.roles.values())
    return seconds / figures.turns / figures.cpu_per_turn


def _starved(figures: Figures) -> Iterator[Advice]:
    if _is_starved(figures):
        yield Advice(
            "run",
            f"for {figures.coreless:.0%} of the time this process waits for a core, of which it takes "
            f"{figures.loop:.0%}: other work on this machine has it, and streams are closed "
            f"{1000 * figures.late:.0f} ms late",
            "give it a core of its own: servers and other work on other machines, or with fewer threads",
        )


_FASTER = "a faster predictor: the default one or a rule page (--boundary); a tagger behind a server, or on a GPU"


def _predictor(figures: Figures) -> Iterator[Advice]:
    for name, role in figures.roles.items():
        if role.predictor and role.seconds and role.predictor >= READING * role.seconds:
            yield Advice(
                name,
                f"its predictor takes {1000 * role.predictor:.1f} ms for what it is shown in a turn, alone, and a turn "
                f"takes {1000 * role.seconds:.1f} ms",
                _FASTER,
            )


# -- the servers


def _bottleneck(figures: Figures) -> Iterator[Advice]:
    """Where most traces wait, at servers that have enough to do."""
    name, role = max(figures.roles.items(), key=lambda item: item[1].share)
    if role.share < LIMITING or role.kind is None or _is_busy(figures):
        return
    says = waiting(figures)
    running, queued, filled = _sum(role, "running"), _sum(role, "queued"), _most(role, "filled")
    several = "several addresses with commas between them" + (", servers that you start" if role.launched else "")
    replica = f"a replica of the {name}: --{name} URL,URL ({several}); or a faster server"
    if queued and queued >= max(1.0, QUEUED * (running or 0.0)):
        says += f", and {queued:.1f} requests queue there behind {running or 0.0:.1f} that are served"
        if filled is not None and filled < HALF:
            says += f" while these take {filled:.0%} of its cache"
            replica = f"let it serve more at once (vLLM: --max-num-seqs, SGLang: --max-running-requests), or {replica}"
        yield Advice(name, says, replica)
    elif filled is not None and filled >= FILLED:
        yield Advice(name, f"{says}, and its cache is {filled:.0%} full", replica)
    elif role.slots is not None and role.waiting >= FULL * role.slots:
        yield Advice(name, f"{says}: all its slots are taken ({role.slots})", replica)
    elif role.slots is None and _at_each(role) >= MANY:
        yield Advice(name, says, replica)


def _slots(figures: Figures) -> Iterator[Advice]:
    """Slots that keep traces from being in flight, at servers with little to do."""
    if figures.planned <= figures.most or figures.most >= figures.concurrency or not _has_room(figures):
        return
    least = min((role.slots for role in figures.roles.values() if role.slots is not None), default=None)
    for name, role in figures.roles.items():
        if role.slots is not None and role.slots == least and role.kind is not None:
            manual = MANUALS.get(role.kind, OTHER)
            manual = launched(manual) if role.launched else manual
            yield Advice(
                name,
                f"with {many(role.slots, 'slot')} it keeps {many(figures.most, 'trace')} in flight where "
                f"{figures.concurrency} are asked for: {role.waiting:.1f} of them wait for it on average",
                manual.slots or OTHER.slots,
            )


def _room(figures: Figures) -> Iterator[Advice]:
    """Servers with little to do, and traces that could be in flight."""
    if figures.planned > figures.most >= figures.concurrency and _has_room(figures):
        said = ", ".join(
            f"{_at_each(role):.1f} wait for {'each server of ' * (len(role.servers) > 1)}the {name}"
            for name, role in figures.roles.items()
        )
        yield Advice(
            "run",
            f"{figures.in_flight:.0f} traces in flight are few: {said}",
            f"--concurrency {2 * figures.concurrency}, and compare the tokens a second",
        )


def _has_room(figures: Figures) -> bool:
    """Whether every server could take more at next to no cost, and this process as well."""
    return not _is_busy(figures) and not any(
        _at_each(role) >= FEW
        or (_sum(role, "queued") or 0.0) >= 1
        or (_most(role, "filled") or 0.0) >= HALF
        or _forgets(role, figures)
        for role in figures.roles.values()
    )


def _cache(figures: Figures) -> Iterator[Advice]:
    for name, role in figures.roles.items():
        preempted, filled = _sum(role, "preempted"), _most(role, "filled")
        fewer = f"--concurrency {max(1, round(figures.most * 3 / 4))}"
        if preempted:
            yield Advice(
                name,
                f"its server put back {many(round(preempted), 'request')} for want of cache in {figures.seconds:.0f} s",
                f"{fewer}, or give it more memory (vLLM: --gpu-memory-utilization)",
            )
        elif _forgets(role, figures):
            says = f"only {role.cached_share:.0%} of its prompt tokens came from its server's cache"
            says += "" if filled is None else f", {filled:.0%} of which running requests take"
            change = f"antiphon doctor says whether that cache is alive; if it is, prefixes are lost in it: {fewer}"
            yield Advice(name, f"{says}: most of a prefix is read again in every turn", change)


def _forgets(role: RoleFigures, figures: Figures) -> bool:
    """Whether prefixes that it had are read again."""
    return role.cached_share is not None and role.cached_share < CACHED and role.turns >= OFTEN * max(1.0, figures.most)


# -- how far to run ahead


def _waste(figures: Figures) -> Iterator[Advice]:
    for name, role in figures.roles.items():
        if role.thrown_away is None or role.kept is None or role.waste is None:
            continue
        ahead = 0.0 if role.lookahead is None else (role.lookahead + 1) * (role.tokens_per_word or 1.0)
        if role.thrown_away - ahead < WASTED_TOKENS or role.waste < WASTED_SHARE:
            continue
        says = f"{role.thrown_away:.1f} tokens a turn are thrown away, {role.waste:.0%} of what it writes"
        says += f"; its predictor's look-ahead explains {ahead:.1f}" if ahead else ""
        yield Advice(name, says, _shorter(figures, role))


def _shorter(figures: Figures, role: RoleFigures) -> str:
    if _is_busy(figures) or _is_starved(figures):
        return "what keeps this process from closing streams in time (see above)"
    if figures.late >= LATE:
        fewer = max(1, figures.most // 2)
        return (
            f"--concurrency {fewer}: with {many(figures.most, 'trace')} in flight this process comes "
            f"{1000 * figures.late:.0f} ms late to close their streams"
        )
    doctor = "antiphon doctor says whether its server writes on after a close, or sends tokens in groups"
    least = max(1, ceil(role.kept or 0.0))
    if figures.run_ahead == "streamed":
        return f"{doctor}; if it does: --set run_ahead={least}, so many tokens a request"
    if isinstance(figures.run_ahead, int) and figures.run_ahead > least:
        return f"--set run_ahead=streamed, or run_ahead={least} where streams cannot be closed"
    return doctor


def _requests(figures: Figures) -> Iterator[Advice]:
    """One setting for both roles."""
    roles = {name: role for name, role in figures.roles.items() if role.requests and role.kept}
    said = ", ".join(f"the {name} {role.requests:.2f}" for name, role in roles.items())
    most = max((role.requests or 0.0 for role in roles.values()), default=0.0)
    if isinstance(figures.run_ahead, int) and most >= REPEATED:
        kept = ", ".join(f"the {name} {role.kept:.1f}" for name, role in roles.items())
        longest = max(ceil(role.kept or 0.0) for role in roles.values())
        yield Advice(
            "run",
            f"requests a turn of {figures.run_ahead} tokens each: {said}; tokens kept a turn: {kept}",
            f"--set run_ahead=streamed, or run_ahead={longest} where streams cannot be closed",
        )
    elif figures.run_ahead == "streamed" and most >= AGAIN:
        yield Advice(
            "run",
            f"requests a turn: {said}; one would do: streams break and are taken up again",
            "antiphon doctor looks at servers and proxies",
        )


# -- what several rules look at


def _at_each(role: RoleFigures) -> float:
    """Traces that wait for one of its servers."""
    return role.waiting / max(1, len(role.servers))


def _sum(role: RoleFigures, field: str) -> float | None:
    told = [value for server in role.servers if (value := getattr(server, field)) is not None]
    return sum(told) if told else None


def _most(role: RoleFigures, field: str) -> float | None:
    told = [value for server in role.servers if (value := getattr(server, field)) is not None]
    return max(told) if told else None


_RULES: tuple[Callable[[Figures], Iterator[Advice]], ...] = (
    _process,
    _starved,
    _predictor,
    _bottleneck,
    _slots,
    _cache,
    _room,
    _waste,
    _requests,
)
