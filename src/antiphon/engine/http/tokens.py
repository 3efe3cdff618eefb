"""Text to ids and back for a model behind a server: by its own tokenizer files, or by the server's routes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from collections.abc import Sequence as List
from typing import Protocol, TypeVar

from antiphon.dialect import Part
from antiphon.dialect.base import joined
from antiphon.engine.base import Piece
from antiphon.engine.http.client import Client
from antiphon.engine.http.faults import Fault, Refused
from antiphon.engine.http.servers import Servers
from antiphon.engine.http.wire import Wire
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.engine.vocabulary import Assembler
from antiphon.errors import DialectError, RequestRefused
from antiphon.trace import pack_ids

_Answer = TypeVar("_Answer")
_Key = TypeVar("_Key", bound=Hashable)
_REMEMBERED = 4096  # texts whose ids are kept: prompts' frames and openings come again and again


class Assembles(Protocol):
    """Ids as they arrive, to pieces."""

    @property
    def invalid(self) -> bool:
        """As `Assembler.invalid`."""

    async def push(self, ids: List[int], text: str) -> list[Piece]:
        """Takes ids and the text that the server sent with them."""


class Tokens(ABC):
    """What one model's ids mean.

    Attributes:
        source: where this is known from, for people.
        digest: a hash of all that shapes ids ("" where only the server knows).
        start_id: the token that the tokenizer itself puts before every text, if it does.
        by_ids: whether the ids alone tell the pieces, and not the text that the server sends with them.
        controls: the control tokens by spelling, as far as they are known.
    """

    source: str
    by_ids = False
    digest: str
    start_id: int | None
    controls: Mapping[str, int]
    spellings: Mapping[int, str]
    """And by id."""

    async def encode_parts(self, parts: Iterable[Part]) -> array[int]:
        """Parts of a prompt to ids: adjacent texts as one.

        Raises:
            DialectError: a control part is no token of this model.
        """
        ids = pack_ids()
        for part in joined(parts):
            if not part.control:
                ids += await self.encode(part.text)
            elif (token := self.controls.get(part.text)) is not None:
                ids.append(token)
            else:
                raise DialectError(
                    f"the model has no control token {part.text!r}, which its dialect writes; "
                    "choose another dialect, or auto"
                )
        return ids

    async def learn(self, spellings: Iterable[str]) -> None:
        """Finds out which of these are control tokens, where that is not known yet."""

    def spelled(self, ids: List[int], text: str) -> bool:
        """Whether the text is known to be what these ids spell, and nothing more."""
        return False

    @abstractmethod
    async def encode(self, text: str) -> array[int]:
        """As `Engine.encode`."""

    @abstractmethod
    async def decode(self, ids: Iterable[int]) -> str:
        """As `Engine.decode`."""

    @abstractmethod
    def assembler(self) -> Assembles:
        """One for each stream."""


class FileTokens(Tokens):
    """By a `tokenizer.json` or a GGUF file on this machine."""

    by_ids = True

    def __init__(self, vocabulary: TokenizerVocabulary, source: str):
        self.source = source
        self.digest = vocabulary.digest
        self.start_id = vocabulary.start_id
        self.controls = vocabulary.controls
        self.spellings = {token: spelling for spelling, token in vocabulary.controls.items()}
        self._vocabulary = vocabulary

    def spelled(self, ids: List[int], text: str) -> bool:
        try:
            return b"".join(map(self._vocabulary.bytes_of, ids)) == text.encode("utf-8", "surrogatepass")
        except KeyError:
            return True  # no tokens, which the assembler tells

    async def encode(self, text: str) -> array[int]:
        return self._vocabulary.encode(text)

    async def decode(self, ids: Iterable[int]) -> str:
        return self._vocabulary.decode(ids)

    def assembler(self) -> Assembles:
        return _ByVocabulary(self._vocabulary)


class _ByVocabulary:
    def __init__(self, vocabulary: TokenizerVocabulary):
        self._assembler = Assembler(vocabulary)

    @property
    def invalid(self) -> bool:
        return self._assembler.invalid

    async def push(self, ids: List[int], text: str) -> list[Piece]:
        return self._assembler.push(ids)


class ServerTokens(Tokens):
    """By the server's own routes: a request for each new text."""

    source = "the server's tokenise route"
    digest = ""
    start_id = None

    def __init__(self, servers: Servers, wire: Wire):
        self.controls: dict[str, int] = {}
        self.spellings: dict[int, str] = {}
        self._servers = servers
        self._wire = wire
        self._learned: set[str] = set()
        self._encode = _remembered(self._encode_anew)
        self._decode: Callable[[tuple[int, ...]], Awaitable[str]] = _remembered(self.decode)

    async def learn(self, spellings: Iterable[str]) -> None:
        for spelling in spellings:
            if spelling not in self._learned:
                self._learned.add(spelling)
                ids = await self._tokenize(spelling, controls=True)
                if len(ids) == 1 and not (self._wire.spells and len(await self.encode(spelling)) == 1):
                    self.controls[spelling] = ids[0]
                    self.spellings[ids[0]] = spelling
                    self._encode = _remembered(self._encode_anew)

    async def encode(self, text: str) -> array[int]:
        return await self._encode(text)

    async def _encode_anew(self, text: str) -> array[int]:
        ids = pack_ids()
        for stretch in [text] if self._wire.spells else _halved(text, self.controls):
            ids.extend(await self._tokenize(stretch, controls=False))
        return ids

    async def _tokenize(self, text: str, *, controls: bool) -> List[int]:
        return await self._asked(lambda client: self._wire.tokenize(client, text, controls=controls))

    async def decode(self, ids: Iterable[int]) -> str:
        wanted = list(ids)
        return await self._asked(lambda client: self._wire.detokenize(client, wanted))

    async def _asked(self, ask: Callable[[Client], Awaitable[_Answer]]) -> _Answer:
        """What one of the servers answers.

        Raises:
            RequestRefused, EngineUnavailable: none does.
        """
        server, attempt = self._servers.choose(), 0
        while True:
            try:
                return await ask(await self._servers.assured(server))
            except Fault as fault:
                if isinstance(fault, Refused) and not server.doubtful:  # doubtful: another model is there
                    raise RequestRefused(f"{server.client.shown}: cannot tokenise: {fault}") from None
                attempt += 1
                failed = fault
            server = await self._servers.again(server, failed, attempt)

    def assembler(self) -> Assembles:
        return _ByText(self.spellings, self._decode)


class _ByText:
    """Ids whose text the server sent with them: held until there is any. Control tokens stand alone, whether the
    server spells them (vLLM) or not (llama.cpp). The last of several ids may be part of a character to come: that is
    seen by what the others spell."""

    invalid = False

    def __init__(self, spellings: Mapping[int, str], decode: Callable[[tuple[int, ...]], Awaitable[str]]) -> None:
        self._spellings = spellings
        self._decode = decode
        self._held: list[int] = []

    async def push(self, ids: List[int], text: str) -> list[Piece]:
        pieces: list[Piece] = []
        for token in ids:
            spelling = self._spellings.get(token)
            if spelling is None:
                self._held.append(token)
                continue
            before, spelled, after = text.partition(spelling)
            if spelled:
                pieces += self._taken(before, len(self._held))
                text = after
            pieces.append(Piece(spelling, (token,)))
        return [*pieces, *self._taken(text, await self._spelling(text))]

    async def _spelling(self, text: str) -> int:
        """How many of the ids that are held spell the text."""
        count = len(self._held)
        for fewer in range(min(4, count) if count > 1 and text else 0):
            spelled = await self._decode(tuple(self._held[: count - fewer]))
            if text.removeprefix(" ") == spelled.removeprefix(" "):  # some tokenizers drop a blank at the beginning
                return count - fewer
        return count

    def _taken(self, text: str, count: int) -> list[Piece]:
        if not text or not count:
            return []
        piece = Piece(text, tuple(self._held[:count]))
        del self._held[:count]
        return [piece]


def _halved(text: str, controls: Iterable[str]) -> list[str]:
    """Stretches of a text, none of which spells a control token."""
    stretches = [text]
    for spelling in controls:
        parted = [stretch.split(spelling) for stretch in stretches]
        stretches = []
        for first, *others in parted:
            stretches.append(first)
            for other in others:
                stretches[-1] += spelling[:1]
                stretches.append(spelling[1:] + other)
    return [stretch for stretch in stretches if stretch]


def _remembered(ask: Callable[[_Key], Awaitable[_Answer]]) -> Callable[[_Key], Awaitable[_Answer]]:
    known: dict[_Key, _Answer] = {}

    async def look_up(key: _Key) -> _Answer:
        if key not in known:
            if len(known) >= _REMEMBERED:
                known.pop(next(iter(known)))
            answer = await ask(key)
            known[key] = answer
            return answer
        return known[key]

    return look_up
