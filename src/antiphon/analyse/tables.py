"""Traces as tables of pyarrow, for whoever goes on with pandas and the like: a row a trace, or a row a span.

Text is as in the record, except that Arrow can hold no lone surrogate: U+FFFD stands for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from antiphon.boundary.words import words
from antiphon.store.found import PENDING
from antiphon.trace import Author, Kind, Trace, Usage
from antiphon.verify.result import result_of

if TYPE_CHECKING:
    import pyarrow

_WRITERS = (Author.STUDENT, Author.TEACHER)
_PARTS = [
    (author, kind)
    for author in (*_WRITERS, Author.UNKNOWN)
    for kind in (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER)
]
_USAGE = ("requests", "received", "kept", "thrown_away", "prompt", "cached")
_AT_ONCE = 1_000
_LONE = re.compile("[\ud800-\udfff]")


def trace_table(traces: Iterable[Trace]) -> pyarrow.Table:
    """A row a trace, without its text.

    Args:
        traces: as `Reader.traces` or a `Run` gives them; one is read after the other.

    Returns:
        Columns `problem`, `variant`, `sample`; `status` ("pending" too), `cause`, `result` (what it came to),
        `verdict` (the newest's label), `verifier`, `detail`; `closed_by`, `started`, `finished`; `spans`, `forced`
        (words that liveness forced), `glued` (hand-overs inside a word); `words` and `tokens` of the response without
        its markers, `words_AUTHOR_KIND` and `tokens_AUTHOR_KIND` of its parts; by role what its turns cost
        (`antiphon.trace.Usage`): `requests_ROLE`, `received_ROLE`, `kept_ROLE`, `thrown_away_ROLE`, `prompt_ROLE`,
        `cached_ROLE`, `seconds_ROLE`. Tokens are the author's own, estimated where its server tells no ids.
    """
    import pyarrow

    text, number = pyarrow.string(), pyarrow.int64()
    measured = ("words", "tokens")
    columns = {
        "problem": text,
        "variant": text,
        "sample": number,
        **dict.fromkeys(("status", "cause", "result", "verdict", "verifier", "detail", "closed_by"), text),
        **dict.fromkeys(("started", "finished"), pyarrow.timestamp("ms", tz="UTC")),
        **dict.fromkeys(("spans", "forced", "glued", *measured), number),
        **{f"{what}_{author}_{kind}": number for what in measured for author, kind in _PARTS},
        **{f"{what}_{role}": number for role in _WRITERS for what in _USAGE},
        **{f"seconds_{role}": pyarrow.float64() for role in _WRITERS},
    }
    return as_table(map(_of_trace, traces), columns)


def span_table(traces: Iterable[Trace]) -> pyarrow.Table:
    """A row a span, markers too.

    Args:
        traces: as for `trace_table`.

    Returns:
        Columns `problem`, `variant`, `sample`; `span` (from 0), `author`, `kind`, `start` (its first character's place
        in the response), `text`, `words`, `tokens`, `ids_from`, `end`, `confidence`, `forced`, `reencoded`, as
        `antiphon.trace.Span` has them.
    """
    import pyarrow

    text, number, truth = pyarrow.string(), pyarrow.int64(), pyarrow.bool_()
    columns = {
        "problem": text,
        "variant": text,
        "sample": number,
        "span": number,
        "author": text,
        "kind": text,
        "start": number,
        "text": text,
        "words": number,
        "tokens": number,
        "ids_from": text,
        "end": text,
        "confidence": pyarrow.float64(),
        "forced": truth,
        "reencoded": truth,
    }
    return as_table(chain.from_iterable(map(_of_spans, traces)), columns)


def as_table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, pyarrow.DataType]) -> pyarrow.Table:
    """Rows as a table; a thousand of them at a time are Python objects."""
    import pyarrow

    schema = pyarrow.schema(columns)
    batches = []
    left = iter(rows)
    while some := list(islice(left, _AT_ONCE)):
        fit = [
            {name: _whole(value) if isinstance(value, str) else value for name, value in row.items()} for row in some
        ]
        batches.append(pyarrow.RecordBatch.from_pylist(fit, schema))
    return pyarrow.Table.from_batches(batches, schema)


def _of_trace(trace: Trace) -> dict[str, Any]:
    verdict = trace.verdicts[-1] if trace.verdicts else None
    many = {"words": Counter[tuple[Author, Kind]](), "tokens": Counter[tuple[Author, Kind]]()}
    for span in trace.spans:
        if span.kind is not Kind.MARKER:
            many["words"][span.author, span.kind] += len(words(span.text))
            many["tokens"][span.author, span.kind] += span.tokens
    usage = ((role, trace.usage.get(role, Usage())) for role in _WRITERS)
    return {
        **trace.key._asdict(),
        "status": trace.status or PENDING,
        "cause": trace.cause,
        "result": result_of(trace.status, verdict.label if verdict else None),
        "verdict": verdict and verdict.label,
        "verifier": verdict and verdict.verifier,
        "detail": verdict and verdict.detail,
        "closed_by": trace.closed_by,
        "started": _time(trace.started),
        "finished": _time(trace.finished),
        "spans": len(trace.spans),
        "forced": sum(span.forced for span in trace.spans),
        "glued": trace.glued,
        **{what: counts.total() for what, counts in many.items()},
        **{f"{what}_{author}_{kind}": counts[author, kind] for what, counts in many.items() for author, kind in _PARTS},
        **{f"{what}_{role}": getattr(used, what) for role, used in usage for what in (*_USAGE, "seconds")},
    }


def _of_spans(trace: Trace) -> Iterator[dict[str, Any]]:
    start = 0
    for number, span in enumerate(trace.spans):
        yield {
            **trace.key._asdict(),
            "span": number,
            "author": span.author,
            "kind": span.kind,
            "start": start,
            "text": span.text,
            "words": len(words(span.text)),
            "tokens": span.tokens,
            "ids_from": span.ids_from,
            "end": span.end,
            "confidence": span.confidence,
            "forced": span.forced,
            "reencoded": span.reencoded,
        }
        start += len(span.text)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _whole(text: str) -> str:
    return text if text.isascii() else _LONE.sub("\ufffd", text)
