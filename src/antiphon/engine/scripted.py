"""An engine that says what it is told to, cut into pieces of any size, with delays and faults at any point.

The first-class fixture of this package's tests, and of its users'. A *script* is a function from a `Situation` (all
that the sequence holds) to the tokens that the model would write next; since it sees only that, the engine is
deterministic however often it is cut, rolled back and asked again.

    def script(here: Situation) -> Iterable[Token]:
        return [" three", " times", " four", Control("</think>")] if here.written == 0 else [Control("<|im_end|>")]

    engine = ScriptedEngine("teacher", script)
"""

from __future__ import annotations

import asyncio
import re
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from antiphon.dialect import Part
from antiphon.engine.base import Capabilities, Chunk, Engine, Finish, Piece, Sequence
from antiphon.engine.vocabulary import Assembler, Vocabulary
from antiphon.errors import EngineUnavailable, RequestRefused, StreamBroken
from antiphon.settings import Sampling
from antiphon.trace import pack_ids

CONTROLS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>")
"""The control tokens of `ScriptVocabulary` unless others are given: Qwen3's."""


class Control(NamedTuple):
    """A control token in a script, by its spelling."""

    text: str


Token = str | bytes | Control
"""What a script says: a token's text, a control token, or bytes that are part of a character."""


class Situation:
    """What a script may look at.

    Attributes:
        opened: tokens with which the sequence was opened: the prompt (characters without ids).
        length: tokens in all (characters without ids).
    """

    def __init__(self, opened: int, length: int, read: Callable[[], str]):
        self.opened = opened
        self.length = length
        self._read = read

    @property
    def written(self) -> int:
        """Tokens since the sequence was opened, by whoever wrote them, think markers among them."""
        return self.length - self.opened

    @property
    def text(self) -> str:
        """All of the sequence as text, prompt included (decoded when asked for)."""
        return self._read()


Script = Callable[[Situation], Iterable[Token]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request after `after` tokens: the stream breaks, the request is refused, the engine is
    gone, nothing comes any more, the model ends its turn at once, or writes a byte that is not UTF-8."""

    kind: Literal["break", "refuse", "gone", "hang", "end", "invalid"]
    after: int = 0


class Request(NamedTuple):
    """A request as `ScriptedEngine.faults` sees it: its number from 1, and where it stands."""

    number: int
    situation: Situation


class ScriptVocabulary(Vocabulary):
    """A vocabulary that grows: every token of a script is one id; other text is split before each blank."""

    start_id = None

    def __init__(self, controls: Iterable[str] = CONTROLS):
        super().__init__()
        self._bytes: list[bytes] = []
        self._known: dict[bytes, int] = {}
        self.controls = {}
        for control in controls:
            self._bytes.append(control.encode())
            self.controls[control] = len(self._bytes) - 1
        self.digest = "script"

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self._bytes)

    @property
    def tokens(self) -> range:
        return range(len(self._bytes))

    def token(self, token: str | bytes) -> int:
        """The id of one token, made if it is new."""
        spelled = token if isinstance(token, bytes) else token.encode("utf-8", "replace")
        known = self._known.get(spelled)
        if known is None:
            self._bytes.append(spelled)
            known = self._known[spelled] = len(self._bytes) - 1
        return known

    def encode(self, text: str) -> array[int]:
        return pack_ids(map(self.token, _split(text)))

    def bytes_of(self, token: int) -> bytes:
        try:
            return self._bytes[token]
        except IndexError:
            raise KeyError(token) from None


_split = re.compile(r"[^\S\n]?[^\s]+\n*|\s").findall


class ScriptedEngine(Engine):
    """An engine by script.

    Args:
        name: the model's name in the record.
        script: what it says.
        vocabulary: a real one encodes each text of the script into its own ids; the default makes each one token.
        chunk: tokens that arrive together, or a function that gives the next number of them.
        delay: seconds a token takes.
        context: tokens it can hold (None: unknown).
        faults: asked for each request; None for no fault.
        ids: False for a server that sends and takes text only.

    Attributes:
        requests, written: how many requests were served and tokens sent.
        down: set True for an engine that does not answer at all.
    """

    def __init__(
        self,
        name: str,
        script: Script,
        *,
        vocabulary: Vocabulary | None = None,
        chunk: int | Callable[[], int] = 1,
        delay: float = 0.0,
        context: int | None = None,
        faults: Callable[[Request], Fault | None] = lambda request: None,
        ids: bool = True,
    ):
        self.name = name
        self.script = script
        self.vocabulary = vocabulary or ScriptVocabulary()
        self.next_chunk = chunk if callable(chunk) else lambda: chunk
        self.delay = delay
        self.context = context
        self.faults = faults
        self.ids = ids
        self.requests = 0
        self.written = 0
        self.down = False

    @property
    def identity(self) -> Mapping[str, str]:
        return {"model": self.name, "tokenizer": self.vocabulary.digest}

    async def capabilities(self) -> Capabilities:
        await self.probe()
        return Capabilities(ids=self.ids, context=self.context)

    async def probe(self) -> None:
        if self.down:
            raise EngineUnavailable(f"{self.name} does not answer")

    async def open(self, parts: Iterable[Part]) -> Sequence:
        await self.probe()
        sequence = _IdSequence(self) if self.ids else _TextSequence(self)
        await sequence.append(parts)
        sequence.opened = sequence.length
        return sequence

    async def encode(self, text: str) -> array[int]:
        return self.vocabulary.encode(text) if self.ids else pack_ids()

    async def decode(self, ids: Iterable[int]) -> str:
        return self.vocabulary.decode(ids)

    def control_id(self, token: str) -> int | None:
        return self.vocabulary.control_id(token) if self.ids else None

    def ids_of(self, token: Token) -> list[int]:
        """A script's token as ids."""
        if isinstance(token, Control):
            return [self.vocabulary.controls[token.text]]
        if isinstance(self.vocabulary, ScriptVocabulary):
            return [self.vocabulary.token(token)]
        return list(self.vocabulary.encode(token if isinstance(token, str) else token.decode()))


class _Scripted(Sequence):
    """What both kinds of sequence share: the stream with its faults."""

    def __init__(self, engine: ScriptedEngine):
        self.server = f"scripted:{engine.name}"
        self._engine = engine
        self.opened = 0

    async def stream(
        self, sampling: Sampling, max_tokens: int, stop_ids: Collection[int], seed: int | None = None, look: int = 1
    ) -> AsyncIterator[Chunk]:
        engine = self._engine
        situation = Situation(self.opened, self.length, self._read)
        engine.requests += 1
        fault = engine.faults(Request(engine.requests, situation))
        await engine.probe()
        sent = 0
        tokens = self._tokens(situation, max_tokens, stop_ids)
        while True:
            size = max(1, engine.next_chunk())
            if fault is not None:
                size = min(size, fault.after - sent)
            pieces: list[Piece] = []
            finish = None
            for made in islice(tokens, size):
                if isinstance(made, Finish):
                    finish = made
                    break
                pieces += made
                sent += 1
                engine.written += 1
            await asyncio.sleep(engine.delay * max(1, len(pieces)) if engine.delay else 0)
            if pieces or finish is not None:
                self._take(pieces)
                yield Chunk(tuple(pieces), finish)
            if finish is not None:
                return
            if fault is not None and sent >= fault.after:
                stopped = await self._fail(fault)
                yield Chunk((), stopped)
                return

    async def _fail(self, fault: Fault) -> Finish:
        name = self._engine.name
        if fault.kind == "break":
            raise StreamBroken(f"{name} closed the stream")
        if fault.kind == "refuse":
            raise RequestRefused(f"{name} refused the request")
        if fault.kind == "gone":
            self._engine.down = True
            raise EngineUnavailable(f"{name} does not answer")
        if fault.kind == "hang":
            await asyncio.Event().wait()
        return Finish("invalid") if fault.kind == "invalid" else Finish("stop")

    def _tokens(
        self, situation: Situation, max_tokens: int, stop_ids: Collection[int]
    ) -> Iterator[list[Piece] | Finish]:
        raise NotImplementedError

    def _read(self) -> str:
        raise NotImplementedError

    def _take(self, pieces: list[Piece]) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class _IdSequence(_Scripted):
    def __init__(self, engine: ScriptedEngine):
        super().__init__(engine)
        self._ids = pack_ids()

    @property
    def length(self) -> int:
        return len(self._ids)

    async def append(self, parts: Iterable[Part]) -> array[int]:
        added = self._engine.vocabulary.encode_parts(parts)
        self._ids += added
        return added

    async def append_ids(self, ids: Iterable[int]) -> None:
        self._ids.extend(ids)

    def truncate(self, length: int) -> None:
        if not 0 <= length <= len(self._ids):
            raise ValueError(f"cannot cut {len(self._ids)} ids back to {length}")
        del self._ids[length:]

    def _read(self) -> str:
        return self._engine.vocabulary.decode(self._ids)

    def _take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            self._ids.extend(piece.ids)

    def _tokens(
        self, situation: Situation, max_tokens: int, stop_ids: Collection[int]
    ) -> Iterator[list[Piece] | Finish]:
        assembler = Assembler(self._engine.vocabulary)
        left = max_tokens
        for token in self._engine.script(situation):
            for id_ in self._engine.ids_of(token):
                if id_ in stop_ids:
                    yield Finish("stop", id_)
                    return
                yield assembler.push((id_,))
                left -= 1
                if assembler.invalid:
                    yield Finish("invalid")
                    return
                if left == 0:
                    yield Finish("length")
                    return
        yield Finish("stop")


class _TextSequence(_Scripted):
    def __init__(self, engine: ScriptedEngine):
        super().__init__(engine)
        self._text = ""

    @property
    def length(self) -> int:
        return len(self._text)

    async def append(self, parts: Iterable[Part]) -> array[int]:
        self._text += "".join(part.text for part in parts)
        return pack_ids()

    async def append_ids(self, ids: Iterable[int]) -> None:
        self._text += self._engine.vocabulary.decode(ids)

    def truncate(self, length: int) -> None:
        if not 0 <= length <= len(self._text):
            raise ValueError(f"cannot cut {len(self._text)} characters back to {length}")
        self._text = self._text[:length]

    def _read(self) -> str:
        return self._text

    def _take(self, pieces: list[Piece]) -> None:
        self._text += "".join(piece.text for piece in pieces)

    def _tokens(
        self, situation: Situation, max_tokens: int, stop_ids: Collection[int]
    ) -> Iterator[list[Piece] | Finish]:
        spoken = islice(self._engine.script(situation), max_tokens)
        count = 0
        held = b""
        for token in spoken:
            if isinstance(token, Control) and token.text not in ("<think>", "</think>"):
                yield Finish("stop")
                return
            count += 1
            if isinstance(token, bytes):
                held += token
                try:
                    text = held.decode()
                except UnicodeDecodeError:
                    yield []
                    continue
                held = b""
            else:
                text = token.text if isinstance(token, Control) else token
            yield [Piece(text)]
        yield Finish("length" if count == max_tokens else "stop")
