"""A trace as JSON has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Author, Span, Trace, Turn, Usage, unpack_words


def trace_json(trace: Trace, problem: Problem, turns: Sequence[Turn]) -> dict[str, Any]:
    """A trace with its problem and turns; the words of a span as [end, style, confidence]."""
    return {
        "problem": {"id": problem.id, "messages": list(problem.messages), "metadata": dict(problem.metadata)},
        "variant": trace.key.variant,
        "sample": trace.key.sample,
        "status": trace.status,
        "cause": trace.cause,
        "closed_by": trace.closed_by,
        "response": trace.response,
        "answer": trace.answer,
        "spans": [_span(span) for span in trace.spans],
        "turns": [asdict(turn) for turn in turns],
        "usage": _usage(trace.usage),
        "verdicts": [asdict(verdict) for verdict in trace.verdicts],
        "made_from": [str(key) for key in trace.made_from],
        "started": trace.started,
        "finished": trace.finished,
        "change": trace.change,
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "author": span.author,
        "kind": span.kind,
        "text": span.text,
        "ids": span.ids.tolist(),
        "ids_from": span.ids_from,
        "end": span.end,
        "confidence": span.confidence,
        "words": [[word.end, word.style, round(word.confidence, 4)] for word in unpack_words(span.words)],
        "forced": span.forced,
        "reencoded": span.reencoded,
    }


def _usage(usage: Mapping[Author, Usage]) -> dict[str, Any]:
    return {str(role): {**asdict(used), "thrown_away": used.thrown_away} for role, used in usage.items()}
