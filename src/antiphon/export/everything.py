"""`parquet`: all that the record holds of a trace, spans with their authors and ids among it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from antiphon.export.base import Exporter, Row
from antiphon.export.columns import key_of, key_schema, messages_schema
from antiphon.problem import Problem
from antiphon.trace import Span, Trace, unpack_words

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome

_SPAN = ("author", "kind", "text", "ids_from", "end", "confidence", "forced", "reencoded")
_USAGE = ("requests", "received", "kept", "cached", "seconds", "prompt", "told")


class Everything(Exporter):
    """A row a trace: its problem with all metadata (as JSON), texts, spans, verdicts, usage by role, times."""

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """See `Exporter.row`."""
        assert trace is not None
        return Row(
            {
                **key_of(outcome),
                "cause": trace.cause,
                "closed_by": trace.closed_by,
                "messages": [dict(message) for message in problem.messages],
                "metadata": json.dumps(dict(problem.metadata), ensure_ascii=False),
                "source": problem.source,
                "line": problem.line,
                "response": outcome.response,
                "thinking": trace.thinking,
                "answer": trace.answer,
                "spans": [_span(span) for span in trace.spans],
                "verdicts": [asdict(verdict) for verdict in trace.verdicts],
                "usage": [{"role": role, **asdict(usage)} for role, usage in trace.usage.items()],
                "made_from": list(map(str, trace.made_from)),
                "started": trace.started,
                "finished": trace.finished,
                "change": outcome.change,
            },
            outcome.response or "",
        )

    def response(self, fields: Mapping[str, Any]) -> str:
        """See `Exporter.response`."""
        return "".join(span["text"] for span in fields["spans"])

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        text, number, real, truth = pyarrow.string(), pyarrow.int64(), pyarrow.float64(), pyarrow.bool_()
        word = pyarrow.struct({"end": pyarrow.uint32(), "style": truth, "confidence": pyarrow.float32()})
        kinds = {"confidence": real, "forced": truth, "reencoded": truth}
        span = pyarrow.struct(
            {
                **{name: kinds.get(name, text) for name in _SPAN},
                "ids": pyarrow.list_(pyarrow.uint32()),
                "words": pyarrow.list_(word),
            }
        )
        verdict = pyarrow.struct({"verifier": text, "version": text, "label": text, "detail": text, "seconds": real})
        usage = pyarrow.struct({"role": text, **dict.fromkeys(_USAGE, number), "seconds": real})
        return pyarrow.schema(
            {
                **key_schema(),
                "cause": text,
                "closed_by": text,
                "messages": messages_schema(),
                "metadata": text,
                "source": text,
                "line": number,
                "response": text,
                "thinking": text,
                "answer": text,
                "spans": pyarrow.list_(span),
                "verdicts": pyarrow.list_(verdict),
                "usage": pyarrow.list_(usage),
                "made_from": pyarrow.list_(text),
                "started": real,
                "finished": real,
                "change": number,
            }
        )


def _span(span: Span) -> dict[str, Any]:
    return {
        **{name: getattr(span, name) for name in _SPAN},
        "ids": list(span.ids),
        "words": [word._asdict() for word in unpack_words(span.words)],
    }
