"""The run directories that are shown, and what pages need of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from antiphon.store import Reader
from antiphon.trace import Author, Key
from antiphon.view.facts import Facts
from antiphon.view.index import Index
from antiphon.view.sheet import Sheet


@dataclass
class Run:
    """A run directory. It is opened when it is first asked for, and stays open.

    Attributes:
        place: where its index is.
    """

    number: int
    directory: Path
    place: Path | str
    _reader: Reader | None = field(default=None, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def reader(self) -> Reader:
        """Its reader, which any thread may use.

        Raises:
            StoreError: it cannot be opened; the next call tries again.
        """
        with self._opening:
            if self._reader is None:
                self._reader = Reader(self.directory)
            return self._reader

    @cached_property
    def name(self) -> str:
        """What it is called on pages."""
        return self.directory.resolve().name or str(self.directory)

    def index(self) -> Index:
        """Its index, opened for one thread."""
        return Index(self.place)

    def models(self) -> dict[str, Mapping[Author, str]]:
        """The model of each role, by variant."""
        return {
            variant.name: {
                role: str(variant.about[role]["model"])
                for role in (Author.STUDENT, Author.TEACHER)
                if isinstance(variant.about.get(role), Mapping) and variant.about[role].get("model")
            }
            for variant in self.reader.variants()
        }

    def sheets(self, keys: Sequence[Key]) -> list[Sheet]:
        """Traces made ready for a page.

        Raises:
            UsageError: there is no such trace.
        """
        models = self.models()
        return [
            Sheet(self.number, self.reader.trace(key), tuple(self.reader.turns(key)), models.get(key.variant, {}))
            for key in keys
        ]


@dataclass(frozen=True, slots=True)
class Choice:
    """A trace that can be shown beside others."""

    run: Run
    facts: Facts
    chosen: bool

    @property
    def place(self) -> tuple[int, str, int]:
        """As `pages.Links.traces` takes it."""
        return self.run.number, self.facts.variant, self.facts.sample
