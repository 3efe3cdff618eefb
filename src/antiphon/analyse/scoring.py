"""Texts scored by a model: how likely it finds each of their tokens.

The model reads the prompt in its own dialect, with the thinking opened, and is scored on the rest, as if it were
trained on it: thinking, close, answer, end of turn. The whole is encoded at once, as a trainer does; a token belongs to
the stretch that holds its first character that is no blank.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from antiphon.analyse.scores import TENTHS, Cell, Scored, Scores, digest
from antiphon.analyse.text import Stretch, Text
from antiphon.dialect import Part, text_of
from antiphon.engine import models
from antiphon.engine.base import Engine
from antiphon.errors import DialectError, ModelError, RequestRefused
from antiphon.settings import Role
from antiphon.synth.cast import EngineOpener, find_voice
from antiphon.synth.voice import Voice
from antiphon.tasks import end
from antiphon.trace import Author, Kind

AT_ONCE = 8
"""Texts at a server at once."""

_FORMAT = 1
_HELD = 12  # tokens that may make up one character
_LEAST = -100.0  # of a token that the model cannot write at all


class Scoring(Protocol):
    """What scores texts: a model in this process (`Model`), or on other machines.

    Attributes:
        name: the model.
        kept_as: the name of the file in which its scores are kept.
        at_once: how many texts it is best given at once.
    """

    name: str
    kept_as: str
    at_once: int

    async def require(self) -> None:
        """Returns if the model can score at all.

        Raises:
            ModelError: it cannot.
        """
        ...

    def score(self, texts: Sequence[Text]) -> AsyncGenerator[tuple[int, Scored | str]]:
        """A score of each text, by its number, in any order; a text that says why, where there is none.

        Raises:
            EngineUnavailable, ClusterError: the model is out of reach.
        """
        ...


class Scorer:
    """Scores texts by a model, each once.

    Attributes:
        name, at_once: as of `Scoring`.
        texts: how many were scored now, not counting those known before.
        cut: how many of all did not fit into its context.
        unscored: why texts could not be scored at all, one line each.
    """

    def __init__(self, model: Scoring, directory: Path | None = None):
        """Args:
            model: what scores (see `open_model`).
            directory: where scores are kept, in a file of the model's; None: nowhere.

        Raises:
            StoreFull: nothing can be kept there.
        """
        self._model = model
        self.name, self.at_once = model.name, model.at_once
        self.texts = self.cut = 0
        self.unscored: list[str] = []
        self._scores = Scores(None if directory is None else directory / model.kept_as)

    async def require(self) -> None:
        """As `Scoring.require`."""
        await self._model.require()

    async def score(self, texts: Sequence[Text], done: Callable[[], None] = lambda: None) -> list[Scored]:
        """Scores texts; those known before are not scored again. A text that cannot be scored (its conversation is none
        that the model's family can express, the server refuses it) is one without cells.

        Args:
            done: called for each text.

        Raises:
            EngineUnavailable, ClusterError: the model is out of reach; what was scored before is kept.
        """
        found = [Scored((), False)] * len(texts)
        unknown: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            known = self._scores.get(known_as := digest(text))
            if known is None:
                unknown.setdefault(known_as, []).append(number)
            else:
                self._found(found, [number], known, done)
        wanted = list(unknown.items())
        async with aclosing(self._model.score([texts[numbers[0]] for _, numbers in wanted])) as scores:
            async for at, scored in scores:
                known_as, numbers = wanted[at]
                if isinstance(scored, str):
                    self.unscored += (f"{texts[number].key}: {scored}" for number in numbers)
                    scored = Scored((), False)
                else:
                    self._scores.put(known_as, scored)
                    self.texts += 1
                self._found(found, numbers, scored, done)
        return found

    def _found(self, found: list[Scored], numbers: Sequence[int], scored: Scored, done: Callable[[], None]) -> None:
        for number in numbers:
            found[number] = scored
            self.cut += scored.cut
            done()


class Model:
    """A model in this process, or at a server, that scores texts; as `Scoring`.

    Args:
        voice: the model with its dialect.
    """

    at_once = 2 * AT_ONCE

    def __init__(self, voice: Voice):
        self.name = voice.engine.name
        self._voice = voice
        self._engine: Engine = voice.engine
        self._spelled: dict[int, str] = {}
        identity = json.dumps([dict(voice.engine.identity), voice.dialect.fingerprint, _FORMAT], sort_keys=True)
        named = re.sub(r"[^\w.-]+", "-", self.name).strip("-.") or "model"
        hashed = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        self.kept_as = f"{named}-{hashed}.jsonl"

    async def require(self) -> None:
        """As `Scoring.require`."""
        if not (await self._engine.capabilities()).scoring:
            raise ModelError(
                f"{self.name} cannot tell how likely a given text is; name a model of this machine, or a server of"
                " vLLM or SGLang whose tokenizer is here (llama.cpp's server and chat endpoints do not tell)"
            )

    async def score(self, texts: Sequence[Text]) -> AsyncGenerator[tuple[int, Scored | str]]:
        """As `Scoring.score`, some at once."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, text: Text) -> tuple[int, Scored | str]:
            async with gate:
                return number, await self.one(text)

        tasks = [asyncio.create_task(one(number, text)) for number, text in enumerate(texts)]
        try:
            for scored in asyncio.as_completed(tasks):
                yield await scored
        finally:
            await end(tasks)

    async def close(self) -> None:
        """Lets go of it."""
        await self._engine.close()

    async def one(self, text: Text) -> Scored | str:
        """A text's score, or why it has none.

        Raises:
            EngineUnavailable: the model does not answer.
        """
        try:
            return await self._score(text)
        except (DialectError, RequestRefused) as error:
            return str(error)

    async def _score(self, text: Text) -> Scored:
        thinks = any(stretch.kind is not Kind.ANSWER for stretch in text.stretches)
        dialect = self._voice.dialect
        prompt = await self._prompt_ids(dialect.prompt(text.messages) if thinks else dialect.render(text.messages))
        ids, owners = await self._response(text, thinks)
        room = len(ids) if self._voice.context is None else max(0, self._voice.context - len(prompt))
        kept = list(ids[:room])
        given = await self._engine.score([*prompt, *kept]) if kept else []
        nats: dict[tuple[Author, Kind, int], float] = {}
        tokens: Counter[tuple[Author, Kind, int]] = Counter()
        for number, (chance, (author, kind)) in enumerate(zip(given[len(prompt) :], owners, strict=False)):
            part = (author, kind, TENTHS * number // len(ids))
            nats[part] = nats.get(part, 0.0) - max(chance, _LEAST)
            tokens[part] += 1
        return Scored(tuple(Cell(*part, tokens[part], nats[part]) for part in nats), len(kept) < len(ids))

    async def _prompt_ids(self, parts: Sequence[Part]) -> list[int]:
        """A prompt's ids, the tokenizer's own start token among them where the dialect has none."""
        sequence = await self._engine.open(())
        try:
            starts = sequence.length
            ids = list(await sequence.append(parts))
        finally:
            await sequence.close()
        if not starts:
            return ids
        bos = self._engine.control_id(self._engine.special_tokens.get("bos_token", ""))
        return ids if bos is None or ids[:1] == [bos] else [bos, *ids]

    async def _response(self, text: Text, thinks: bool) -> tuple[list[int], list[tuple[Author, Kind]]]:
        """The ids of a response, and whose and of which kind each of them is."""
        pieces = list(self._pieces(text, thinks))
        whole = "".join(text_of(parts) for _, parts in pieces)
        ids = await self._encode(part for _, parts in pieces for part in parts)
        places = await self._places(ids, whole)
        owners = [owner for owner, _ in pieces]
        if places is None:  # a tokenizer that does not give back what it read: each piece is encoded alone
            apart = [await self._encode(parts) for _, parts in pieces]
            told = [owner for owner, part in zip(owners, apart, strict=True) for _ in part]
            return [token for part in apart for token in part], told
        begins = [0, *accumulate(len(text_of(parts)) for _, parts in pieces)]
        return ids, [owners[min(bisect_right(begins, place) - 1, len(owners) - 1)] for place in places]

    def _pieces(self, text: Text, thinks: bool) -> Iterator[tuple[tuple[Author, Kind], Sequence[Part]]]:
        thinking = [stretch for stretch in text.stretches if stretch.kind is not Kind.ANSWER]
        answer = [stretch for stretch in text.stretches if stretch.kind is Kind.ANSWER]
        yield from (_piece(stretch) for stretch in thinking)
        if thinks and (answer or text.complete):
            yield (Author.NONE, Kind.MARKER), self._voice.dialect.closing(thinking[-1].text)
        yield from (_piece(stretch) for stretch in answer)
        ends = self._voice.dialect.ends
        if text.complete and ends and self._engine.control_id(ends[0]) is not None:
            yield (Author.NONE, Kind.MARKER), [Part(ends[0], True)]

    async def _encode(self, parts: Iterable[Part]) -> list[int]:
        sequence = await self._engine.open(())
        try:
            return list(await sequence.append(list(parts)))
        finally:
            await sequence.close()

    async def _places(self, ids: Sequence[int], text: str) -> list[int] | None:
        """Where the first character of each token stands that is no blank, found by spelling the tokens one after the
        other; None where they do not spell the text."""
        places: list[int] = []
        held: list[int] = []
        at = 0
        for token in ids:
            held.append(token)
            said = await self._spelling(token) if len(held) == 1 else await self._engine.decode(held)
            if said and text.startswith(said, at):
                blanks = len(said) - len(said.lstrip())
                places += [at + (blanks if blanks < len(said) else 0)] * len(held)
                at += len(said)
                held.clear()
            elif len(held) > _HELD:
                return None
        return places if at == len(text) and not held else None

    async def _spelling(self, token: int) -> str:
        if token not in self._spelled:
            self._spelled[token] = await self._engine.decode([token])
        return self._spelled[token]


async def open_model(role: Role, open_engine: EngineOpener | None = None) -> Model:
    """The model that a role names, to score texts.

    Args:
        open_engine: opens it; `antiphon.engine.models.open_engine` if not given.

    Raises:
        UsageError, EngineUnavailable: as of a run; none can be opened.
    """
    engine = (open_engine or models.open_engine)(
        role.model or "", device=role.device, context=role.context, runs=role.runs, server=role.server
    )
    try:
        await models.start([engine])
        return Model(await find_voice(Author.STUDENT, engine, role))
    except BaseException:
        await engine.close()
        raise


def _piece(stretch: Stretch) -> tuple[tuple[Author, Kind], Sequence[Part]]:
    return (stretch.author, stretch.kind), [Part(stretch.text)]
