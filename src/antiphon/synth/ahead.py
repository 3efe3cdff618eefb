"""How far a role's requests run ahead of its predictor: what is written past a boundary is written for nothing.

    streamed   one stream a turn, closed at the cut
    N          N tokens a request, in one piece (as arXiv 2604.14164 does: 20, for code 10 and 5)
    adaptive   in one piece, as long as makes turns cheapest, by what this role's turns have been like in this run
    auto       for each role and server whichever of streamed and adaptive is cheaper there

Both of the last stream while they get to know a server, and now and then after that. What is kept does not depend on
any of this where a model writes the same to the same prefix, and is distributed alike where it does not.

A turn that is decided after n tokens takes from the run, in seconds (`_Costs`):

    streamed, looked at every s tokens   request + close + (n + (s - 1) / 2 + late) * token + n / s * look
    in one piece of k                    ceil(n / k) * (request + look) + (n + 2 * (ceil(n / k) * k - n)) * token

A token past the cut costs the server as much as one that is kept; in one piece the trace waits for it, too. How long
requests and tokens take is seen in the turns that were streamed, and shared by the traces that are at the server. What
they take of this process's time is known (docs/performance.md), and counts for as much as the process is busy: one that
has time to spare costs nobody anything.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from statistics import fmean, quantiles
from typing import Literal, NamedTuple

from antiphon.plural import many
from antiphon.synth.admission import LONG
from antiphon.trace import Author, Turn

Policy = Literal["streamed", "adaptive", "auto"] | int

UNJUDGED = 8
"""Tokens after which text is looked at that no predictor judges."""
ANEW = 16
"""Of so many turns one is streamed whatever is settled."""
_REQUEST, _CLOSE, _LOOK = 200e-6, 150e-6, 40e-6
"""Seconds of this process's time that a request takes, closing a stream early, and a look at what arrived."""
_KNOWN = 64  # turns after which it is settled, and looked at again
_FEW = 16  # streamed turns that tell what a server costs
_WHILE = 2.0  # seconds
_STEEP = 4  # half busy is hardly busy
_TELL = 64  # of so many one begins with a piece
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


class First(NamedTuple):
    """The first tokens of a turn that arrived together: after how many seconds, and how many."""

    seconds: float = 0.0
    tokens: int = 0


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
        self._seconds = 0.0  # of all turns
        self._busy = _Busy()

    def reach(self, role: Author, server: str, left: int, *, seen: int = 0) -> Reach:
        """How to ask for the next tokens of a judged turn, of which `left` are allowed; the server has seen so many of
        its prompt before."""
        if isinstance(self._policy, int):
            ask = min(left, self._policy)
            return Reach(ask, ask)
        if self._policy == "streamed":
            return Reach(left)
        way = self._acquaintance(role, server).reach(tells=seen >= LONG)
        ask = min(left, way.ask)
        return Reach(ask, min(ask, way.look))

    def learn(self, turn: Turn, *, first: First, lookahead: int) -> None:
        """Takes note of a judged turn.

        Args:
            first: its first tokens.
            lookahead: of its predictor, in words.
        """
        if self._policy in ("adaptive", "auto"):
            known = self._acquaintance(turn.role, turn.server)
            known.learn(turn, first, warm_up=self.in_flight)
            self._seconds += turn.seconds
            if known.due:
                share = known.seconds / self._seconds if self._seconds else 1.0
                known.settle(lookahead, max(1.0, self.in_flight * share), self._busy.share())

    @property
    def settled(self) -> dict[tuple[Author, str], Settled]:
        """What was settled so far."""
        return {place: known.settled for place, known in self._known.items() if known.settled is not None}

    def _acquaintance(self, role: Author, server: str) -> _Acquaintance:
        known = self._known.get((role, server))
        if known is None:
            known = self._known[role, server] = _Acquaintance(streams=self._policy == "auto")
        return known


class _Busy:
    """How busy the event loop's thread is."""

    def __init__(self) -> None:
        self._at, self._used = time.monotonic(), time.thread_time()
        self._share = 1.0

    def share(self) -> float:
        """Of a core, 0 to 1, in the last seconds."""
        at, used = time.monotonic(), time.thread_time()
        if at - self._at > _WHILE:
            self._share = min(1.0, (used - self._used) / (at - self._at))
            self._at, self._used = at, used
        return self._share


class _Costs(NamedTuple):
    """Of a server, in seconds: a request before its first token, and each token; how many tokens late it learns that a
    stream is closed; how many traces are there, and how much this process's time counts."""

    request: float
    token: float
    late: float
    there: float
    weight: float

    def streamed(self, lengths: Sequence[int], look: int) -> float:
        """What a turn takes from the run, in the mean."""
        tokens = fmean(lengths) + (look - 1) / 2 + self.late
        looks = fmean(length / look for length in lengths)
        own = _REQUEST + _CLOSE + looks * _LOOK
        return (self.request + tokens * self.token) / self.there + own * self.weight

    def whole(self, lengths: Sequence[int], ask: int) -> float:
        """The same, asked for in pieces of so many tokens."""
        requests = fmean(math.ceil(length / ask) for length in lengths)
        kept = fmean(lengths)
        tokens = kept + 2 * (requests * ask - kept)
        own = requests * (_REQUEST + _LOOK)
        return (requests * self.request + tokens * self.token) / self.there + own * self.weight


class _Acquaintance:
    """What is known of a role's turns at a server."""

    def __init__(self, *, streams: bool):
        self.settled: Settled | None = None
        self._way = Reach(_UNBOUNDED)
        self._streams = streams
        self.seconds = 0.0
        """Of its turns."""
        self._begun = self._ended = 0
        self._turns: deque[Turn] = deque(maxlen=_REMEMBERED)
        self._streamed: deque[tuple[Turn, First]] = deque(maxlen=_KNOWN)

    def reach(self, *, tells: bool) -> Reach:
        """How the next request is made. Now and then it streams, whatever is settled: what that costs may change. And
        now and then a stream begins with a piece: its server tells how much of a long prompt it had kept."""
        self._begun += 1
        if tells and self._streams and self._begun % _TELL == _TELL - 1:
            return Reach(UNJUDGED, UNJUDGED)
        return Reach(_UNBOUNDED) if self._begun % ANEW == 0 else self._way

    @property
    def due(self) -> bool:
        """Whether it is to be settled now, perhaps anew."""
        return self._ended % _KNOWN == 0 and len(self._turns) >= _KNOWN and len(self._streamed) >= _FEW

    def learn(self, turn: Turn, first: First, *, warm_up: int) -> None:
        self._ended += 1
        self.seconds += turn.seconds
        if self._ended <= warm_up:
            return  # all traces begin at once, with prompts that no cache holds
        self._turns.append(turn)
        if turn.requests == 1 and 0 < first.tokens < turn.received:
            self._streamed.append((turn, first))

    def settle(self, lookahead: int, there: float, busy: float) -> None:
        """Finds the cheapest way, with so many traces at the server and so busy a process."""
        beyond = _beyond(self._turns, lookahead)
        lengths = [turn.kept + beyond for turn in self._turns]
        costs = _costs(self._streamed, beyond, there, busy**_STEEP)
        asks = {min(_LONGEST, math.ceil(length)) for length in quantiles(lengths, n=40, method="inclusive")}
        whole, ask = min((costs.whole(lengths, ask), ask) for ask in {*asks, min(_LONGEST, max(lengths))})
        streamed, look = min((costs.streamed(lengths, look), look) for look in range(1, _LATEST + 1))
        in_one_piece = whole <= streamed or not self._streams
        self._way = Reach(ask, ask) if in_one_piece else Reach(_UNBOUNDED, look)
        looked = f"streamed, looked at every {many(look, 'token')}"
        self.settled = Settled(
            f"{many(ask, 'token')} in one piece" if in_one_piece else looked,
            f"turns are decided after {fmean(lengths):.1f} tokens,"
            f" nine in ten within {quantiles(lengths, n=10)[-1]:.0f};"
            f" a request waits {costs.request * 1e3:.0f} ms, a token takes {costs.token * 1e3:.1f} ms,"
            f" a stream is closed {costs.late:.1f} tokens late;"
            f" with {many(round(costs.there), 'trace')} there a turn takes {whole * 1e3:.2f} ms of the run in one"
            f" piece, {streamed * 1e3:.2f} ms streamed",
        )


def _costs(streamed: Iterable[tuple[Turn, First]], beyond: int, there: float, weight: float) -> _Costs:
    """By streamed turns, a request by the quick ones among them: the others waited for this process."""
    turns = list(streamed)
    waits = sorted(first.seconds for _, first in turns)
    paces = sorted((turn.seconds - first.seconds) / (turn.received - first.tokens) for turn, first in turns)
    token = max(_LEAST, min(paces[len(paces) // 2], waits[0]))
    # What had arrived behind the cut by the time that it was seen, and what is under way for about half the time of the
    # quickest request.
    late = fmean(max(0, turn.thrown_away - beyond) for turn, _ in turns) + 1 + waits[0] / (2 * token)
    return _Costs(max(0.0, waits[len(waits) // 4] - token), token, late, there, weight)


def _beyond(turns: Collection[Turn], lookahead: int) -> int:
    """How many tokens behind the last one kept must be there before a turn is decided: the words that have to be seen,
    and one that shows the end of the last. Not by what was received: a busy process receives more than it needs."""
    words = sum(turn.words for turn in turns)
    to_a_word = max(1.0, sum(turn.kept for turn in turns) / words) if words else 1.0
    return math.ceil((1 + lookahead) * to_a_word) + 1
