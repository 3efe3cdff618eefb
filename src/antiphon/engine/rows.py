"""Keys and values of many sequences: one row each, kept between turns, cut back at no cost, bounded in all."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch import Tensor

_ROUND = 256  # tokens by which a row grows


class _Layer(NamedTuple):
    capacity: int
    keys: Tensor
    values: Tensor


class Row:
    """The keys and values of one sequence: per layer two tensors `[capacity, heads, dim]`.

    `length` tokens of it are valid; cutting back sets `length`, and what lies behind is overwritten when the sequence
    is streamed again, not before. Nothing is dropped at a sliding window, so that cutting back is exact. The numbers
    belong to the event loop, the tensors to the thread that runs the model.
    """

    __slots__ = ("__weakref__", "_behind", "_layers", "capacity", "length")

    def __init__(self) -> None:
        self.length = 0
        self.capacity = 0
        self._behind = array("I")  # ids whose keys and values still lie behind the valid ones
        self._layers: dict[int, _Layer] = {}

    @property
    def layers(self) -> int:
        """How many layers have written to it."""
        return len(self._layers)

    @property
    def token_bytes(self) -> int:
        """Memory for one token."""
        return sum(held.keys[0].nbytes + held.values[0].nbytes for held in self._layers.values())

    def cut(self, length: int, ids: array[int]) -> None:
        """The sequence, which was `ids`, is cut back to `length`."""
        if length < self.length:
            self._behind = ids[length : self.length] + self._behind
            self.length = length

    def put_back(self, ids: Sequence[int]) -> None:
        """The sequence, all of it in the row, goes on with `ids`: as far as they are those that were cut away, they
        need not be read again."""
        same = 0
        while same < min(len(ids), len(self._behind)) and ids[same] == self._behind[same]:
            same += 1
        del self._behind[:same]
        self.length += same

    def overwrite(self) -> None:
        """What lies behind the valid tokens is about to be written over."""
        self._behind = array("I")

    def reserve(self, length: int) -> None:
        """Promises room for `length` tokens; `write` makes it."""
        self.capacity = max(self.capacity, _rounded(length))

    def drop(self) -> None:
        """Forgets everything and gives the memory back. Not while the model runs on it."""
        self.length = self.capacity = 0
        self._layers = {}
        self.overwrite()

    def write(self, layer: int, at: int, end: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Puts new tokens `[end - at, heads, dim]` at position `at`; gives all `end`."""
        held = self._layers.get(layer)
        if held is None:
            held = _Layer(0, keys[:0], values[:0])
        if held.capacity < end:
            held = _Layer(self.capacity, _grown(held.keys, self.capacity), _grown(held.values, self.capacity))
            self._layers[layer] = held
        held.keys[at:end] = keys
        held.values[at:end] = values
        return held.keys[:end], held.values[:end]


def _rounded(length: int) -> int:
    return -(-length // _ROUND) * _ROUND


def _grown(tensor: Tensor, capacity: int) -> Tensor:
    larger = tensor.new_empty((capacity, *tensor.shape[1:]))
    larger[: len(tensor)] = tensor
    return larger


class Rows:
    """All rows of an engine. Where memory is short, those unused for longest are dropped; their sequences are read
    again when they go on.

    Args:
        tokens: how many tokens all rows together may have room for.
    """

    def __init__(self, tokens: int):
        self._limit = tokens
        self._by_use: WeakKeyDictionary[Row, None] = WeakKeyDictionary()  # a row goes with its sequence

    def hold(self, row: Row, length: int, busy: Collection[Row]) -> bool:
        """Lets `row` grow to `length`, at the cost of others if need be, never of busy ones.

        Returns:
            False if there is no room. With nothing busy there always is: a single sequence may exceed the bound.
        """
        needed = _rounded(length) - row.capacity
        if needed > 0:
            free = self._limit - sum(held.capacity for held in self._by_use)
            for held in self._by_use:
                if free >= needed:
                    break
                if held is not row and held not in busy:
                    free += held.capacity
                    held.drop()
            if free < needed and busy:
                return False
            row.reserve(length)
        self._by_use.pop(row, None)
        self._by_use[row] = None
        return True
