"""Run directories with samples that came to what a test says."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon.evaluation import results
from antiphon.problem import Problem
from antiphon.store import Store
from antiphon.trace import Author, IdsFrom, Key, Kind, Label, Span, SpanEnd, Status, Verdict

VARIANT = "student_only"
STATUSES = {status.value: status for status in Status}


def problem(id: str, **fields: Any) -> Problem:
    return Problem(id, ({"role": "user", "content": f"what of {id}?"},), fields)


def evaluated(
    directory: Path,
    samples: Mapping[str, Sequence[str]],
    *,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    problems: Sequence[Problem] | None = None,
    variant: str = VARIANT,
    lengths: Sequence[int] = (3,),
    ids: bool = True,
) -> Path:
    """An evaluation of `samples`: by problem, what each sample came to: a label of a verdict, a status, "pending", or
    "unjudged". `lengths` are those of the thinking in tokens, in turn; an answer is "so it is N", N its sample."""
    fields = fields or {}

    async def work() -> None:
        with Store.open(directory) as store:
            store.add_problems(problems or [problem(id, **fields.get(id, {})) for id in samples])
            store.add_variant(variant, {"method": variant}, {"student": {"model": "lab:student"}})
            keys = [Key(id, variant, sample) for id, came in samples.items() for sample in range(len(came))]
            store.plan(keys)
            for number, key in enumerate(keys):
                result = samples[key.problem][key.sample]
                if result == "pending":
                    continue
                recorder = store.recorder(key)
                recorder.begin()
                recorder.close_span(0, _span(Kind.THINKING, "hm" * lengths[number % len(lengths)], ids))
                recorder.close_span(1, _span(Kind.ANSWER, f"so it is {key.sample}", ids))
                await recorder.finish(
                    STATUSES.get(result, Status.COMPLETE), cause="it broke" if result == "failed" else ""
                )
                if result in set(Label):
                    store.add_verdicts(key, [Verdict("exact", "1", Label(result), f"it is {result}")])
            await store.flush()

    asyncio.run(work())
    return directory


def read(place: Path, variant: str | None = None, keys: Collection[Key] | None = None) -> results.Evaluation:
    return results.read(*results.locate(place, variant), keys=keys)


def _span(kind: Kind, text: str, ids: bool) -> Span:
    """Two characters a token."""
    tokens = array("I", range(len(text) // 2)) if ids else array("I")
    how = IdsFrom.SAMPLED if ids else IdsFrom.NONE
    return Span(Author.STUDENT, kind, text, tokens, how, SpanEnd.END_OF_TURN)
