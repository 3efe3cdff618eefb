"""What a model was found to say of texts, kept in a file a model, so that nothing is scored twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from antiphon.analyse.text import Text
from antiphon.errors import StoreFull
from antiphon.trace import Author, Kind

TENTHS = 10
"""Places in a response that are told apart: tenths of its tokens."""


class Cell(NamedTuple):
    """Tokens of one author and kind in one tenth of a response: how many, and the sum of minus log-probabilities."""

    author: Author
    kind: Kind
    tenth: int
    tokens: int
    nats: float


class Scored(NamedTuple):
    """A scored response. `cut`: the model's context did not hold all of it, the rest is in no cell."""

    cells: tuple[Cell, ...]
    cut: bool


class Scores:
    """What was scored before, in a file of one line a text, so that nothing is scored twice.

    Lines are only added; a torn one is passed over. Several processes may add to one file.
    """

    def __init__(self, path: Path | None):
        """Args:
            path: the file, made with its folder if need be; None: nothing is kept.

        Raises:
            StoreFull: the file cannot be read or written.
        """
        self._path = path
        self._known: dict[str, Scored] = {}
        self._torn = False
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                stored = path.read_bytes() if path.exists() else b""
            except OSError as error:
                raise _unwritable(path, error) from error
            self._torn = bool(stored) and not stored.endswith(b"\n")
            for line in stored.splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    told = json.loads(line)
                    self._known[str(told["text"])] = Scored(tuple(map(_cell, told["cells"])), bool(told["cut"]))

    def __len__(self) -> int:
        return len(self._known)

    def get(self, digest: str) -> Scored | None:
        """What is known of a text."""
        return self._known.get(digest)

    def put(self, digest: str, scored: Scored) -> None:
        """Keeps a text's score.

        Raises:
            StoreFull: it cannot be written.
        """
        self._known[digest] = scored
        if self._path is None:
            return
        line = json.dumps({"text": digest, "cells": scored.cells, "cut": scored.cut}) + "\n"
        try:
            with self._path.open("ab") as stream:
                stream.write((b"\n" if self._torn else b"") + line.encode("ascii"))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._torn = False


class Kept:
    """What was scored before, in the place of a `Scorer`, without its model: texts that are not there have no cells.

    Attributes:
        name, at_once, texts, cut, unscored: as of a scorer; `unscored` is empty where not one text is known.
    """

    at_once = 16

    def __init__(self, path: Path):
        """Args:
            path: a file of a scorer's directory.

        Raises:
            StoreFull: it cannot be read.
        """
        self.name = path.stem.rpartition("-")[0]
        self.texts = self.cut = 0
        self._scores = Scores(path)
        self._unknown: list[str] = []

    @property
    def unscored(self) -> list[str]:
        return self._unknown if self.texts else []

    async def require(self) -> None:
        """Returns: nothing is needed."""

    async def score(self, texts: Sequence[Text], done: Callable[[], None] = lambda: None) -> list[Scored]:
        """What is known of texts; `done` is called for each."""
        found = [self._scores.get(digest(text)) for text in texts]
        for text, scored in zip(texts, found, strict=True):
            if scored is None:
                self._unknown.append(f"{text.key}: antiphon compare --under has not read it yet")
            else:
                self.texts += 1
                self.cut += scored.cut
            done()
        return [scored or Scored((), False) for scored in found]


def digest(text: Text) -> str:
    """What a score depends on, besides the model."""
    told = [list(map(dict, text.messages)), [list(stretch[:3]) for stretch in text.stretches], text.complete]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("ascii")).hexdigest()[:32]


def _cell(told: Sequence[object]) -> Cell:
    author, kind, tenth, tokens, nats = told
    return Cell(Author(str(author)), Kind(str(kind)), int(str(tenth)), int(str(tokens)), float(str(nats)))


def _unwritable(path: Path, error: OSError) -> StoreFull:
    return StoreFull(f"{path}: scores cannot be kept there: {error.strerror or error}; name another folder (--scores)")
