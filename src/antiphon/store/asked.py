"""Problems by id, read from the run directory when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from antiphon.problem import Problem
from antiphon.store.reader import Reader


class Asked(Mapping[str, Problem]):
    """Some problems of a run, in their order. It keeps their ids alone: texts may be many gigabytes, and a trace needs
    its own."""

    def __init__(self, ids: Iterable[str], reader: Reader):
        # Copies: an id that was made beside its problem's texts keeps the memory of them all from being given back.
        self._ids = dict.fromkeys(id.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass") for id in ids)
        self._reader = reader

    def __getitem__(self, id: str) -> Problem:
        if id not in self._ids:
            raise KeyError(id)
        return self._reader.problem(id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)
