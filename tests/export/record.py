"""A run directory with given traces, as a run writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from antiphon.problem import Problem
from antiphon.store import Store
from antiphon.trace import Author, Trace
from tests.export.fake import problem


def record(
    directory: Path,
    traces: Iterable[Trace],
    *,
    student: str | None = None,
    tokenizer: str = "",
    problems: Iterable[Problem] = (),
) -> Path:
    """Writes traces as a run does; those without a status stay pending.

    Args:
        student: the model that the variants name as theirs, with the digest of its `tokenizer`.
        problems: those of the traces, where they are not to be the plain one.
    """

    async def record_all(store: Store) -> None:
        for one in traces:
            recorder = store.recorder(one.key)
            recorder.begin()
            for index, span in enumerate(one.spans):
                recorder.close_span(index, span)
            if one.status is not None:
                await recorder.finish(one.status, closed_by=Author.STUDENT)

    traces, known = list(traces), {one.id: one for one in problems}
    about = {} if student is None else {"student": {"model": student}}
    shaping = {} if student is None else {"student": {"engine": {"model": Path(student).name, "tokenizer": tokenizer}}}
    with Store.open(directory) as store:
        store.add_problems(known.get(id) or problem(id) for id in sorted({trace.key.problem for trace in traces}))
        for variant in sorted({trace.key.variant for trace in traces}):
            store.add_variant(variant, {"method": variant, **shaping}, about)
        store.plan(trace.key for trace in traces)
        asyncio.run(record_all(store))
    return directory
