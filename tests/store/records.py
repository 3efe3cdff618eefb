"""What these tests record: any problem, any span, any turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from antiphon.problem import Problem
from antiphon.store import Store
from antiphon.trace import (
    Author,
    IdsFrom,
    Key,
    Kind,
    Span,
    SpanEnd,
    Status,
    Turn,
    Usage,
    Word,
    pack_ids,
    pack_words,
)

VARIANT = "tessy"

texts = st.text(
    st.characters() | st.sampled_from("\0\ud800\udfff\ud83d\ude00\u2028\u202e\ufeff\u0301😀\r\n"), max_size=30
)
"""Any text, surrogates and NUL among it."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

problems = st.builds(
    Problem,
    texts,
    st.lists(st.fixed_dictionaries({"role": texts, "content": texts}), max_size=3).map(tuple),
    st.dictionaries(texts, json_values, max_size=3),
    texts,
    st.none() | st.integers(1, 2**40),
)

authors = st.sampled_from(Author)

spans = st.builds(
    Span,
    authors,
    st.sampled_from(Kind),
    texts,
    st.lists(st.integers(0, 2**32 - 1), max_size=8).map(pack_ids),
    st.sampled_from(IdsFrom),
    st.sampled_from(SpanEnd),
    st.none() | st.floats(0.5, 1),
    st.lists(st.builds(Word, st.integers(0, 2**32 - 1), st.booleans(), st.floats(0.5, 1)), max_size=3).map(pack_words),
    st.booleans(),
    st.booleans(),
)

counts = st.integers(0, 2**40)

turns = st.builds(
    Turn,
    st.sampled_from([Author.STUDENT, Author.TEACHER]),
    texts,
    counts,
    counts,
    counts,
    st.integers(0, 3),
    st.booleans(),
    st.floats(0, 1e6),
    st.integers(0, 5),
    st.none() | counts,
    st.none() | st.integers(0, 1000),
    st.none() | texts,
    counts,
    counts,
)

usages = st.builds(Usage, st.integers(1, 99), counts, counts, st.none() | counts, st.floats(0, 1e6), counts, counts)


def problem(id: str = "p") -> Problem:
    return Problem(id, ({"role": "user", "content": f"what of {id}?"},))


def keys(*ids: str, variant: str = VARIANT, samples: int = 1) -> list[Key]:
    return [Key(id, variant, sample) for id in ids or ("p",) for sample in range(samples)]


def span(text: str = "so ", author: Author = Author.STUDENT, **how: Any) -> Span:
    how = {"ids": pack_ids(map(ord, text)), "ids_from": IdsFrom.SAMPLED, "end": SpanEnd.BOUNDARY, **how}
    kind = how.pop("kind", Kind.STYLE if author is Author.STUDENT else Kind.CAPABILITY)
    return Span(author, kind, text, **how)


def turn(role: Author = Author.STUDENT, **how: Any) -> Turn:
    return Turn(
        **{
            "role": role,
            "server": "s",
            "asked": 8,
            "received": 5,
            "kept": 3,
            "words": 2,
            "cut": True,
            "seconds": 0.5,
            **how,
        }
    )


def planned(store: Store, wanted: Iterable[Key]) -> None:
    """Puts problems, variants and pending traces into the store."""
    wanted = list(wanted)
    store.add_problems(problem(id) for id in dict.fromkeys(key.problem for key in wanted))
    for variant in dict.fromkeys(key.variant for key in wanted):
        store.add_variant(variant, {"method": variant}, {})
    store.plan(wanted)


def writing(directory: Path, work: Callable[[Store], Coroutine[Any, Any, Any]], *wanted: Key) -> Any:
    """Opens a store in which `wanted` are planned, does the work, closes it; gives what the work gave."""

    async def all_of_it() -> Any:
        with Store.open(directory) as store:
            planned(store, wanted)
            return await work(store)

    return asyncio.run(all_of_it())


def finished(directory: Path, *wanted: Key, status: Status = Status.COMPLETE, cause: str = "") -> None:
    """A run in which each of `wanted` has a span, a turn and a status."""

    async def work(store: Store) -> None:
        for key in wanted:
            recorder = store.recorder(key)
            recorder.begin()
            recorder.close_span(0, span(f"of {key}"))
            recorder.turn(turn())
            await recorder.finish(status, cause=cause)

    writing(directory, work, *wanted)
