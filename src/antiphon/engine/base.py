"""The contract of an engine: token ids in, token ids out, streamed; a rollback is a shorter prefix.

An engine serves one model. A *sequence* is one prefix at it that grows, is cut back and grows again; it stays with
its server, slot or cache row. Lengths are counted in token ids, or in characters where the engine has no ids
(`Capabilities.ids` false). "Ordinary text" is text whose control tokens, if it spells any, are encoded as letters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from collections.abc import Sequence as List
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from antiphon.dialect import Dialect, Message, Part
from antiphon.settings import Sampling

if TYPE_CHECKING:
    from antiphon.engine.launch import Launch


class Piece(NamedTuple):
    """The smallest stretch of whole code points: its text and its ids (mostly one; none where there are no ids).

    A piece with ids is never divided; one without can be cut after any character.
    """

    text: str
    ids: tuple[int, ...] = ()


class Finish(NamedTuple):
    """Why a stream ended: `stop` at `stop_id` (None: the server's own end, unnamed), `length` after max_tokens, or
    `invalid`: the model wrote bytes that are not UTF-8, which were not kept."""

    reason: Literal["stop", "length", "invalid"]
    stop_id: int | None = None


class Chunk(NamedTuple):
    """What arrived together. The last chunk of a stream, and only it, has a `finish`. Empty chunks are legal. One chunk
    of a stream may tell in `cached` how many tokens of the prompt came from the engine's cache."""

    pieces: tuple[Piece, ...]
    finish: Finish | None = None
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. `context` is the longest sequence in tokens (None: unknown), `scoring` whether `score`
    works, `slots` how many prefixes it keeps at once (None: as many as memory holds). `continues` is whether it goes on
    from any prefix; if not, only `complete` works. `renders`: it is given conversations (`begin`), never prompts."""

    ids: bool
    context: int | None
    scoring: bool = False
    slots: int | None = None
    continues: bool = True
    renders: bool = False


class Reply(NamedTuple):
    """A whole reply. `thinking` is what the engine itself tells apart from the answer; where it does not, `answer` may
    begin with thinking between the model's markers. `finish` is `stop`, `length`, or the server's own word.

    Counts are in tokens, the server's where it tells, else estimates. `requests` counts those that broke off, too, as
    do `prompt` and `received`; `kept` is what the reply itself took. `cached` is how much of the prompts of `told`
    tokens came from the server's cache (None: not told)."""

    thinking: str
    answer: str
    finish: str
    server: str
    prompt: int
    received: int
    kept: int
    requests: int = 1
    cached: int | None = None
    told: int = 0


class Sequence(ABC):
    """One prefix at one server. Not for use by two tasks at once."""

    server: str
    """Where it lives, for the record (never holds a secret)."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Tokens it holds (characters without ids), prompt included."""

    @abstractmethod
    async def append(self, parts: Iterable[Part]) -> array[int]:
        """Adds parts at the end, adjacent texts encoded as one. Gives the new ids (empty without ids).

        Raises:
            DialectError: a control part is no token of this model.
        """

    @abstractmethod
    async def append_ids(self, ids: Iterable[int]) -> None:
        """Adds ids of this engine's own vocabulary as they are."""

    @abstractmethod
    def truncate(self, length: int) -> None:
        """Cuts back to `length`. Cheap; what the cut tokens cost is gone.

        Raises:
            ValueError: for a length below 0 or above `length`.
        """

    @abstractmethod
    def stream(
        self, sampling: Sampling, max_tokens: int, stop_ids: Collection[int], seed: int | None = None, look: int = 1
    ) -> AsyncIterator[Chunk]:
        """Writes on from the prefix: an async generator. What it has yielded is part of the sequence, what it has not
        is not; the stop id never is. Closing it (`aclose`) aborts the request at the server.

        `look`: the caller wants to see what is written after so many tokens; fewer may be held back until there are
        as many, and all may come in one piece where it is `max_tokens`.

        `max_tokens` >= 1. Prompt and max_tokens together must fit the context: the caller clamps.

        Raises:
            StreamBroken: it ended without a finish; what was yielded stands.
            RequestRefused, EngineUnavailable: see `antiphon.errors`.
        """

    @abstractmethod
    async def close(self) -> None:
        """Gives back slot, row or session. Safe to call twice."""


class ServerState(NamedTuple):
    """How one of an engine's servers is doing: whether it answered when it was last asked, how many sequences live
    there, how many requests failed there and were tried again, there or elsewhere."""

    address: str
    up: bool
    sequences: int
    retries: int


class Engine(ABC):
    """One model, somewhere. Safe for many tasks of one event loop."""

    name: str
    """The model as the record and the fingerprint name it."""

    chat_template: str | None = None
    """The model's own chat template (jinja2), where it is known."""

    controls: Collection[str] = ()
    """Spellings of the model's control tokens, where they are known."""

    special_tokens: Mapping[str, str] = MappingProxyType({})
    """The tokenizer's special tokens by the names that templates use (`bos_token` ...), where they are known."""

    remarks: List[str] = ()
    """What a user should know before spending, one line each."""

    launched: Launch | None = None
    """The server that is started for it, where one is."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What is recorded of it beside the fingerprint: kind and version of a server, its addresses ..."""
        return {}

    @property
    def servers(self) -> List[ServerState]:
        """How its servers are doing; none for a model in this process, or before it was asked what it can do."""
        return ()

    async def learn(self, spellings: Collection[str]) -> None:
        """Hears which control tokens will be asked for, where it must find them out one by one."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """What shapes its text, for a variant's fingerprint: model name, hashes of tokenizer and template; no URL."""

    @abstractmethod
    async def capabilities(self) -> Capabilities:
        """What it can do, found by asking it once.

        Raises:
            EngineUnavailable: it does not answer.
        """

    @abstractmethod
    async def probe(self) -> None:
        """Returns if it serves requests now; raises EngineUnavailable if not."""

    @abstractmethod
    async def open(self, parts: Iterable[Part]) -> Sequence:
        """A new sequence that begins with `parts` (and the tokenizer's own start token where the dialect has none)."""

    async def begin(self, messages: List[Message], dialect: Dialect) -> Sequence:
        """A new sequence in which an assistant is to reply to a conversation, by default as the dialect renders it."""
        return await self.open(dialect.render(messages))

    async def rehearse(self, opening: str) -> None:
        """Returns if replies that begin so can be written in turns.

        Raises:
            ModelError: they cannot; says what was seen.
            EngineUnavailable: it does not answer.
        """

    @abstractmethod
    async def encode(self, text: str) -> array[int]:
        """Ordinary text to ids, without any added start token. Empty where there are no ids."""

    @abstractmethod
    async def decode(self, ids: Iterable[int]) -> str:
        """Ids to text, control tokens as they are spelled. Bytes that are not UTF-8 become U+FFFD."""

    @abstractmethod
    def control_id(self, token: str) -> int | None:
        """The id of a control token by its spelling, None if the model has no such token."""

    async def score(self, ids: List[int]) -> List[float]:
        """Log-probability (natural) of each id given those before it; the first is 0.0.

        Raises:
            RequestRefused: the engine cannot score.
        """
        from antiphon.errors import RequestRefused

        raise RequestRefused(f"{self.name} cannot score text")

    async def complete(
        self, messages: List[Message], sampling: Sampling, max_tokens: int, seed: int | None = None
    ) -> Reply:
        """A whole reply to a conversation (all that most chat endpoints can do). `max_tokens` bounds thinking and
        answer together.

        Raises:
            RequestRefused: this request failed while others are served, or the engine has no such route.
            EngineUnavailable: it does not answer.
        """
        from antiphon.errors import RequestRefused

        raise RequestRefused(f"{self.name} has no chat route")

    async def close(self) -> None:
        """Lets go of connections, memory or a server started for it."""
