"""How far a role's requests run ahead of its predictor: what is written past a boundary is written for nothing.

    streamed   one stream a turn, closed at the cut
    N          N tokens a request, in one piece (as arXiv 2604.14164 does: 20, for code 10 and 5)
    adaptive   in one piece, as long as makes turns cheapest, by what this role's turns have been like in this run
    auto       for each role and server whichever of streamed and adaptive is cheaper there

Both of the last stream while they get to know a server. What is kept does not depend on any of this where a model
writes the same to the same prefix, and is distributed alike where it does not.

A turn that is decided after n tokens takes from the run, in seconds (`_Costs`):

    streamed, looked at every s tokens   request + close + (n + (s - 1) / 2 + late) * token + n / s * look
    in one piece of k                    ceil(n / k) * (request + look) + (n + 2 * (ceil(n / k) * k - n)) * token

A token past the cut costs the server as much as one that is kept; in one piece the trace waits for it, too. How long
requests and tokens take is seen in the turns that were streamed, and shared by the traces in flight. What they take of
this process's time is known (docs/performance.md).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import fmean, quantiles
from typing import Literal, NamedTuple

from antiphon.trace import Author, Turn

Policy = Literal["streamed", "adaptive", "auto"] | int

UNJUDGED = 8
"""Tokens after which text is looked at that no predictor judges."""
_REQUEST, _CLOSE, _LOOK = 200e-6, 150e-6, 40e-6
"""Seconds of this process's time that a request takes, closing a stream early, and a look at what arrived."""
_KNOWN = 64  # turns after which a server is known
_REMEMBERED = 256  # turns
_LATEST = 4  # tokens after which a stream that is to be closed at its cut is looked at, at most
_LONGEST = 256  # tokens in one piece
_UNBOUNDED = 1 << 31
_LEAST = 1e-6  # seconds of a token


class Reach(NamedTuple):
    """How a request is made: the tokens it asks for, and after how many what it wrote is looked at (all: in one
    piece)."""

    ask: int
    look: int = 1


class Settled(NamedTuple):
    """What was settled for a role at a server, and why, in words."""

    way: str
    reason: str


class RunAhead:
    """Says of every request how far it goes, and learns from the turns.

    Attributes:
        in_flight: traces that share the servers.
    """

    def __init__(self, policy: Policy = "streamed"):
        self.in_flight = 1
        self._policy = policy
        self._known: dict[tuple[Author, str], _Acquaintance] = {}

    def reach(self, role: Author, server: str, left: int) -> Reach:
        """How to ask for the next tokens of a judged turn, of which `left` are allowed."""
        if isinstance(self._policy, int):
            ask = min(left, self._policy)
            return Reach(ask, ask)
        if self._policy == "streamed":
            return Reach(left)
        way = self._acquaintance(role, server).way
        ask = min(left, way.ask)
        return Reach(ask, min(ask, way.look))

    def learn(self, turn: Turn, *, waited: float, lookahead: int) -> None:
        """Takes note of a judged turn.

        Args:
            waited: seconds until its first tokens were there.
            lookahead: of its predictor, in words.
        """
        if self._policy in ("adaptive", "auto"):
            self._acquaintance(turn.role, turn.server).learn(_Seen(turn, waited), lookahead, self.in_flight)

    @property
    def settled(self) -> dict[tuple[Author, str], Settled]:
        """What was settled so far."""
        return {place: known.settled for place, known in self._known.items() if known.settled is not None}

    def _acquaintance(self, role: Author, server: str) -> _Acquaintance:
        known = self._known.get((role, server))
        if known is None:
            known = self._known[role, server] = _Acquaintance(streams=self._policy == "auto")
        return known


class _Seen(NamedTuple):
    """A turn, and the seconds until its first tokens were there."""

    turn: Turn
    waited: float


class _Costs(NamedTuple):
    """Of a server, in seconds: a request before its first token, and each token; and how many tokens late it learns
    that a stream is closed."""

    request: float
    token: float
    late: float

    def streamed(self, lengths: Sequence[int], look: int, in_flight: int) -> float:
        """What a turn takes from the run, in the mean."""
        tokens = fmean(lengths) + (look - 1) / 2 + self.late
        looks = fmean(length / look for length in lengths)
        return self.request / in_flight + _REQUEST + _CLOSE + tokens * self.token / in_flight + looks * _LOOK

    def whole(self, lengths: Sequence[int], ask: int, in_flight: int) -> float:
        """The same, asked for in pieces of so many tokens."""
        requests = fmean(math.ceil(length / ask) for length in lengths)
        kept = fmean(lengths)
        tokens = kept + 2 * (requests * ask - kept)
        return requests * (self.request / in_flight + _REQUEST + _LOOK) + tokens * self.token / in_flight


class _Acquaintance:
    """What is known of a role's turns at a server."""

    def __init__(self, *, streams: bool):
        self.way = Reach(_UNBOUNDED)
        self.settled: Settled | None = None
        self._streams = streams
        self._costs: _Costs | None = None
        self._count = 0
        self._turns: deque[_Seen] = deque(maxlen=_REMEMBERED)

    def learn(self, seen: _Seen, lookahead: int, in_flight: int) -> None:
        self._count += 1
        if self._costs is None and self._count <= 2 * in_flight:
            return  # all traces begin at once, with prompts that no cache holds, and it takes a while to work them off
        self._turns.append(seen)
        if len(self._turns) < _KNOWN or self._count % _KNOWN:
            return
        self._costs = self._costs or _costs(self._turns)
        if self._costs is not None:
            self._settle(self._costs, _lengths([seen.turn for seen in self._turns], lookahead), in_flight)

    def _settle(self, costs: _Costs, lengths: Sequence[int], in_flight: int) -> None:
        asks = {min(_LONGEST, math.ceil(length)) for length in quantiles(lengths, n=40, method="inclusive")}
        whole, ask = min((costs.whole(lengths, ask, in_flight), ask) for ask in {*asks, min(_LONGEST, max(lengths))})
        streamed, look = min((costs.streamed(lengths, look, in_flight), look) for look in range(1, _LATEST + 1))
        in_one_piece = whole <= streamed or not self._streams
        self.way = Reach(ask, ask) if in_one_piece else Reach(_UNBOUNDED, look)
        self.settled = Settled(
            f"{_tokens(ask)} in one piece" if in_one_piece else f"streamed, looked at every {_tokens(look)}",
            f"turns are decided after {fmean(lengths):.1f} tokens,"
            f" nine in ten within {quantiles(lengths, n=10)[-1]:.0f};"
            f" a request waits {costs.request * 1e3:.0f} ms, a token takes {costs.token * 1e3:.1f} ms;"
            f" in one piece a turn takes {whole * 1e3:.2f} ms of the run, streamed {streamed * 1e3:.2f} ms",
        )


def _costs(turns: Iterable[_Seen]) -> _Costs | None:
    """By streamed turns, and of these by the quick ones: the others waited for this process, or for each other. None
    where they do not tell."""
    streamed = [seen for seen in turns if seen.turn.requests == 1 and seen.turn.received > 1]
    if len(streamed) < 2:
        return None
    waited = sorted(seen.waited for seen in streamed)
    writing = sum(seen.turn.seconds - seen.waited for seen in streamed)
    token = min(writing / sum(seen.turn.received - 1 for seen in streamed), waited[0])
    token = max(_LEAST, token)
    # Half the time of the quickest request is about what a word to the server takes.
    return _Costs(waited[len(waited) // 4] - token, token, 1 + waited[0] / (2 * token))


def _lengths(turns: Sequence[Turn], lookahead: int) -> list[int]:
    """After how many tokens turns were decided: those kept, the words that had to be seen behind them, and one that
    showed the end of the last. Not by what was received: a busy process receives more than it needs."""
    words = sum(turn.words for turn in turns)
    to_a_word = max(1.0, sum(turn.kept for turn in turns) / words) if words else 1.0
    beyond = math.ceil((1 + lookahead) * to_a_word) + 1
    return [turn.kept + beyond for turn in turns]


def _tokens(count: int) -> str:
    return "1 token" if count == 1 else f"{count} tokens"
