"""The record: what was written, by whom, and what it cost.

A *trace* is one answer to one problem, a list of *spans*: stretches with one author and one kind. A *turn* is what
happened at a server; turns feed reports and never the data. All of these are plain values; `antiphon.store` keeps them,
`antiphon.synth` makes them. Six invariants hold of every trace:

1. The spans' texts joined are the response.
2. A cut falls on a token boundary of its author, at or before the first character of the first word of the other class.
   A token of blanks alone before it is rolled back too; line breaks stay. Where one token holds the end of one word and
   the beginning of the next, the kept text is encoded anew, and the span says so. Only whole code points.
3. Every word of a style or capability span had the verdict of that kind from its author's predictor when it was kept;
   forced words apart.
4. Of two turns in a row one keeps at least a word, so every trace ends. After two refusals the author whose verdict was
   less sure keeps its one word, in a forced span.
5. The student opens and writes the whole final answer (method `tessy`).
6. Each model sees its own dialect, its own sampled ids, and the other's text encoded once at the seam. A span's ids,
   decoded in context by their author's tokenizer, give its text, up to that tokenizer's normal form.

A server that tells no ids cannot promise 2 and 6; its spans have `ids_from` `NONE`. `tests/synth/invariants.py`
checks all six on random traces.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from antiphon.display import Displayed


class Author(StrEnum):
    """Who wrote a span. `UNKNOWN`: imported data. `NONE`: markers that no model wrote."""

    STUDENT = "student"
    TEACHER = "teacher"
    UNKNOWN = "unknown"
    NONE = "none"

    @property
    def other(self) -> Author:
        """The other of the two voices.

        Raises:
            ValueError: for `UNKNOWN` and `NONE`, which have no counterpart.
        """
        if self is Author.STUDENT:
            return Author.TEACHER
        if self is Author.TEACHER:
            return Author.STUDENT
        raise ValueError(f"author {self.value!r} has no counterpart")


class Kind(StrEnum):
    """What a span is. `THINKING` where nobody told style from capability; `MARKER` for think markers."""

    STYLE = "style"
    CAPABILITY = "capability"
    THINKING = "thinking"
    ANSWER = "answer"
    MARKER = "marker"


class IdsFrom(StrEnum):
    """Where a span's ids come from: the model sampled them, they were encoded from the text, or there are none."""

    SAMPLED = "sampled"
    ENCODED = "encoded"
    NONE = "none"


class SpanEnd(StrEnum):
    """Why a span ended. `THINK_CLOSE`: its author closed the thinking with a token; `THINK_CLOSE_TEXT`: the close was
    found by its text, outside a code fence (a family without a token for it, a server that tells no ids). `SEAM`: the
    span's last words were forced or its author changed without a cut."""

    BOUNDARY = "boundary"
    THINK_CLOSE = "think_close"
    THINK_CLOSE_TEXT = "think_close_text"
    END_OF_TURN = "end_of_turn"
    BUDGET = "budget"
    CONTEXT = "context"
    SEAM = "seam"

    @property
    def closes_thinking(self) -> bool:
        """Whether the span's author closed the thinking, however that was found."""
        return self in (SpanEnd.THINK_CLOSE, SpanEnd.THINK_CLOSE_TEXT)


class Status(StrEnum):
    """How a trace ended. Only `COMPLETE` is exported unless asked. A trace without a status is pending."""

    COMPLETE = "complete"
    REPETITION = "repetition"
    TOO_LONG = "too_long"
    CONTEXT_FULL = "context_full"
    NO_ANSWER = "no_answer"
    FAILED = "failed"


class Word(NamedTuple):
    """A judged word of a span: where it ends (characters of the span's text), its class, how sure (0.5 to 1)."""

    end: int
    style: bool
    confidence: float


_WORD = struct.Struct("<IBB")


def pack_words(words: Iterable[Word]) -> bytes:
    """Six bytes a word: end as uint32, class, confidence in steps of 1/255. Little endian."""
    return b"".join(_WORD.pack(end, style, round(confidence * 255)) for end, style, confidence in words)


def unpack_words(packed: bytes) -> Iterator[Word]:
    """The words of `pack_words`, confidences as stored."""
    for end, style, confidence in _WORD.iter_unpack(packed):
        yield Word(end, bool(style), confidence / 255)


def estimated_tokens(characters: int) -> int:
    """Tokens that a text takes, about: what lengths come to where a server tells no ids."""
    return -(-characters // 4)


def pack_ids(ids: Iterable[int] = ()) -> array[int]:
    """Token ids, 4 bytes each."""
    return array("I", ids)


@dataclass(frozen=True, slots=True)
class Span:
    """A maximal stretch of a response with one author and one kind.

    `ids` are the author's own token ids (a marker's: the student's). Decoded in context by the author's tokenizer
    they give `text`, up to that tokenizer's normal form. `words` holds the verdicts on thinking words
    (`unpack_words`), empty where nobody judged. `end` is None while the span is still being written.
    `forced`: liveness made its author keep this one word. `reencoded`: a cut fell inside a token, so the last of the
    ids were encoded from the text that was kept.
    """

    author: Author
    kind: Kind
    text: str
    ids: array[int] = field(default_factory=pack_ids)
    ids_from: IdsFrom = IdsFrom.NONE
    end: SpanEnd | None = None
    confidence: float | None = None
    words: bytes = b""
    forced: bool = False
    reencoded: bool = False

    @property
    def tokens(self) -> int:
        """Its length in its author's tokens, estimated where its server tells no ids."""
        return estimated_tokens(len(self.text)) if self.ids_from is IdsFrom.NONE else len(self.ids)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one author did before the other's turn: requests sent, tokens asked for, received and kept (characters where
    the server gives no ids), how long it took in seconds.

    `prompt` counts the prompts of its requests in the author's tokens, the whole prefix each time (an estimate where
    the server gives no ids; 0: recorded before this was counted). How much of a prompt came from the server's cache is
    mostly told at the end of a stream, so never of one that is closed: `cached` is the sum where it was told (None:
    nowhere), `told` counts the prompts of those requests.

    `words` is the number of words kept, `cut` whether a boundary ended it, `span` the index of the span it wrote to
    (None: nothing kept). `rejected` is the text rolled back, only with `keep_rejected`."""

    role: Author
    server: str
    asked: int
    received: int
    kept: int
    words: int
    cut: bool
    seconds: float
    requests: int = 1
    cached: int | None = None
    span: int | None = None
    rejected: str | None = None
    prompt: int = 0
    told: int = 0

    @property
    def thrown_away(self) -> int:
        """Tokens received and rolled back."""
        return self.received - self.kept

    @property
    def usage(self) -> Usage:
        """What it cost."""
        return Usage(
            self.requests, self.received, self.kept, self.cached, self.seconds, prompt=self.prompt, told=self.told
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What one role cost in one trace: the sums of its turns' requests, tokens and seconds (see `Turn`)."""

    requests: int = 0
    received: int = 0
    kept: int = 0
    cached: int | None = None
    seconds: float = 0.0
    prompt: int = 0
    told: int = 0

    def __add__(self, other: Usage) -> Usage:
        cached = [usage.cached for usage in (self, other) if usage.cached is not None]
        return Usage(
            self.requests + other.requests,
            self.received + other.received,
            self.kept + other.kept,
            sum(cached) if cached else None,
            self.seconds + other.seconds,
            self.prompt + other.prompt,
            self.told + other.told,
        )

    @property
    def thrown_away(self) -> int:
        """Tokens received and not kept."""
        return self.received - self.kept

    @property
    def cached_share(self) -> float | None:
        """The share of the prompts that came from the server's cache, where that was told (None: nowhere)."""
        return None if self.cached is None or not self.told else min(1.0, self.cached / self.told)


class Key(NamedTuple):
    """What makes a trace one: the problem's id, the variant's name, the sample's index from 0."""

    problem: str
    variant: str
    sample: int

    def __str__(self) -> str:
        return f"{self.problem}/{self.variant}/{self.sample}"


class Label(StrEnum):
    """What a verifier says of an answer.

    `NO_ANSWER`: there is nothing to judge in it. `TIMED_OUT`, `CRASHED`: the model's program did, which is no right
    answer either. `CANNOT_JUDGE`: the fault is not the answer's, but the problem's or the machine's.
    """

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    CANNOT_JUDGE = "cannot_judge"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's word on a trace: its `detail` is one line for people, `seconds` what the judging took."""

    verifier: str
    version: str
    label: Label
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trace(Displayed):
    """One answer. `status` None: still pending, `spans` is what is kept so far.

    `closed_by` is who closed the thinking (`NONE`: a budget or a full context did). `made_from` are the keys of the
    traces it was made of. `usage` is by role. Times are seconds since the epoch. `change` is the store's monotonic
    change number, 0 for a trace that is not stored.
    """

    key: Key
    spans: tuple[Span, ...] = ()
    status: Status | None = None
    cause: str = ""
    closed_by: Author | None = None
    usage: Mapping[Author, Usage] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    made_from: tuple[Key, ...] = ()
    started: float | None = None
    finished: float | None = None
    change: int = 0

    @property
    def response(self) -> str:
        """The whole response: the spans' texts joined (invariant 1)."""
        return "".join(span.text for span in self.spans)

    @property
    def thinking(self) -> str:
        """The text between the think markers."""
        return "".join(s.text for s in self.spans if s.kind not in (Kind.ANSWER, Kind.MARKER))

    @property
    def answer(self) -> str:
        """The final answer, without markers."""
        return "".join(s.text for s in self.spans if s.kind is Kind.ANSWER)

    @property
    def glued(self) -> int:
        """Seams inside a word: hand-overs where neither side of the thinking has white space."""
        thinking = [s.text for s in self.spans if s.kind not in (Kind.ANSWER, Kind.MARKER) and s.text]
        return sum(not (before[-1].isspace() or after[0].isspace()) for before, after in pairwise(thinking))
