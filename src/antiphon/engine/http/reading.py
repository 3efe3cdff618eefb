"""A stream's events as pieces of the sequence, and the finish that ends it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from antiphon.engine.base import Finish, Piece
from antiphon.engine.http.faults import Fault
from antiphon.engine.http.tokens import Assembles, Tokens
from antiphon.engine.http.wire import Event, Wire, read_event


class Reading(ABC):
    """A stream's events as pieces and, at last, a finish."""

    joins = False
    """Whether its pieces do not depend on how the stream was cut into events."""

    def __init__(self) -> None:
        self.received = 0
        """Ids so far."""
        self.characters = 0
        """And characters."""

    def events(self, wire: Wire, burst: Iterable[Any]) -> Iterator[Event]:
        """The events of a burst, to be taken one by one; where `joins`, those that only bring more as one.

        Raises:
            Fault: one is none. Those before it are given first.
        """
        ids: list[int] = []
        text = ""
        try:
            for data in burst:
                event = read_event(wire, data, self.received + len(ids), self.characters + len(text))
                if self.joins and event.finish is None and event.cached is None and event.missing is None:
                    ids += event.ids
                    text += event.text
                    continue
                if ids or text:
                    yield Event(ids, text)
                    ids, text = [], ""
                yield event
        except Fault:
            if ids or text:
                yield Event(ids, text)
            raise
        if ids or text:
            yield Event(ids, text)

    async def take(self, event: Event) -> tuple[list[Piece], Finish | None]:
        """What an event adds, and whether it ends the stream."""
        self.received += len(event.ids)
        self.characters += len(event.text)
        return await self._take(event)

    @abstractmethod
    async def _take(self, event: Event) -> tuple[list[Piece], Finish | None]:
        """The same of one kind of reading."""


class ReadingText(Reading):
    """A character beyond the first 65,536 may come in halves, as JSON spells it."""

    def __init__(self) -> None:
        super().__init__()
        self._half = ""

    async def _take(self, event: Event) -> tuple[list[Piece], Finish | None]:
        text = _paired(self._half + event.text)
        self._half = text[-1:] if event.finish is None and "\ud800" <= text[-1:] <= "\udbff" else ""
        text = text[: len(text) - len(self._half)]
        return [Piece(text)] if text else [], None if event.finish is None else Finish(event.finish)


class ReadingIds(Reading):
    """Stops at a stop id. A control token is held until it is known whether the server ended with it."""

    def __init__(self, tokens: Tokens, stop_ids: Collection[int]):
        super().__init__()
        self._tokens = tokens
        self._assembler: Assembles = tokens.assembler()
        self.joins = tokens.by_ids
        self._spellings = tokens.spellings
        self._stop_ids = stop_ids
        self._held: int | None = None

    async def _take(self, event: Event) -> tuple[list[Piece], Finish | None]:
        ids, text = list(event.ids), event.text
        if event.missing is not None and not text.isascii() and not self._tokens.spelled(ids, text):
            spelled = list(await self._tokens.encode(text))
            if "\ufffd" in text and (len(spelled) > event.missing + len(ids) or spelled[-1:] != ids[-1:]):
                return [], Finish("invalid")  # it stands for bytes that are no character
            self.received += len(spelled) - len(ids)
            ids = spelled
        if self._held is not None and (ids or event.finish is not None):
            ids.insert(0, self._held)
            text, self._held = self._spellings[self._held] + text, None
        stopped = next((n for n, token in enumerate(ids) if token in self._stop_ids), None)
        if stopped is not None:
            return await self._pieces(ids[:stopped], text), self._ended(Finish("stop", ids[stopped]))
        last = ids[-1] if ids and ids[-1] in self._spellings else None
        if event.finish == "stop":
            if last is not None and event.stop_id in (None, last):
                del ids[-1]
            else:
                last = event.stop_id
            return await self._pieces(ids, text), self._ended(Finish("stop", last))
        if event.finish is None and last is not None:
            self._held = ids.pop()
            text = text.removesuffix(self._spellings[self._held])
        pieces = await self._pieces(ids, text)
        finish = None if event.finish is None else Finish(event.finish)
        return pieces, self._ended(finish)

    async def _pieces(self, ids: list[int], text: str) -> list[Piece]:
        return await self._assembler.push(ids, text if ids else "")

    def _ended(self, finish: Finish | None) -> Finish | None:
        return Finish("invalid") if self._assembler.invalid else finish


def _paired(text: str) -> str:
    """The text with two halves of a surrogate pair that stand side by side as their one character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text
