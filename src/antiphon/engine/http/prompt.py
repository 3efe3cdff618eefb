"""Prompts of ids: they grow, are cut back and are sent again with each request."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import orjson

from antiphon.trace import pack_ids


class PromptIds:
    """Ids with their JSON: a long prompt is spelled once, not with each request."""

    def __init__(self) -> None:
        self._ids = pack_ids()
        self._spelled = 0  # so many of them
        self._json = bytearray()  # of each of these, a comma behind it

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Iterable[int]) -> None:
        self._ids.extend(ids)

    def cut(self, length: int) -> None:
        """Keeps the first so many.

        Raises:
            ValueError: there are fewer, or it is below 0.
        """
        if not 0 <= length <= len(self._ids):
            raise ValueError(f"cannot cut a sequence of {len(self._ids)} tokens to {length}")
        if gone := len(_spelled(self._ids[length : self._spelled])):
            del self._json[-gone:]
        self._spelled = min(self._spelled, length)
        del self._ids[length:]

    @property
    def json(self) -> orjson.Fragment:
        """As a list."""
        self._json += _spelled(self._ids[self._spelled :])
        self._spelled = len(self._ids)
        return orjson.Fragment(b"[" + bytes(self._json[:-1]) + b"]")


def _spelled(ids: array[int]) -> bytes:
    return b"".join(b"%d," % token for token in ids)
