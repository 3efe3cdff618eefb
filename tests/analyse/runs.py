"""Run directories whose traces a test spells out, random texts, and an engine that scores."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from antiphon.analyse.scoring import Model
from antiphon.analyse.text import Stretch, Text
from antiphon.engine.base import Capabilities
from antiphon.engine.scripted import ScriptedEngine
from antiphon.engine.vocabulary import Vocabulary
from antiphon.problem import Problem
from antiphon.settings import load
from antiphon.store import Store
from antiphon.synth.cast import find_voice
from antiphon.trace import Author, IdsFrom, Key, Kind, Label, Span, SpanEnd, Status, Turn, Verdict

STUDENT, TEACHER, UNKNOWN, NONE = Author.STUDENT, Author.TEACHER, Author.UNKNOWN, Author.NONE
STYLE, CAPABILITY, THINKING, ANSWER = Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER

Pieces = Sequence[tuple[Author, Kind, str]]


def problem(id: str, **fields: Any) -> Problem:
    return Problem(id, ({"role": "user", "content": f"what of {id}?"},), fields)


def write_run(
    directory: Path,
    traces: Mapping[tuple[str, int], Pieces | None],
    *,
    variant: str = "tessy",
    status: Mapping[tuple[str, int], Status] | None = None,
    labels: Mapping[tuple[str, int], Label] | None = None,
    about: Mapping[str, Any] | None = None,
    boundary: str | None = None,
    turns: Sequence[Turn] = (),
) -> Path:
    """A variant in a run directory: the spans of each trace by problem and sample; None: it is pending."""
    status, labels = status or {}, labels or {}

    async def work() -> None:
        with Store.open(directory) as store:
            store.add_problems([problem(id) for id in dict.fromkeys(id for id, _ in traces)])
            shaping = {"method": {"name": variant}, "student": {"boundary": boundary}}
            store.add_variant(variant, shaping, about or {"student": {"model": "small"}})
            store.plan([Key(id, variant, sample) for id, sample in traces])
            for place, pieces in traces.items():
                if pieces is None:
                    continue
                key = Key(place[0], variant, place[1])
                recorder = store.recorder(key)
                recorder.begin()
                for number, piece in enumerate(pieces):
                    recorder.close_span(number, span(*piece))
                for turn in turns:
                    recorder.turn(turn)
                await recorder.finish(status.get(place, Status.COMPLETE))
                if place in labels:
                    store.add_verdicts(key, [Verdict("exact", "1", labels[place])])
            await store.flush()

    asyncio.run(work())
    return directory


def span(author: Author, kind: Kind, text: str) -> Span:
    """Two characters a token."""
    return Span(author, kind, text, array("I", range(len(text) // 2)), IdsFrom.SAMPLED, SpanEnd.END_OF_TURN)


_AUTHORS = st.sampled_from([STUDENT, TEACHER, UNKNOWN])
_KINDS = st.sampled_from([STYLE, CAPABILITY, THINKING])
_PIECES = st.one_of(
    st.sampled_from(["Okay, so ", "3+4=7.\n\n", "Wait,", " 好的", "e\u0301", "</think>", "<|im_end|>", "\ufffd"]),
    st.text(max_size=12),
)


@st.composite
def texts(draw: st.DrawFn) -> Text:
    """Any text: thinking in pieces of any author and kind, an answer or none."""
    thinking = [
        Stretch(author, kind, text)
        for author, kind, text in draw(st.lists(st.tuples(_AUTHORS, _KINDS, _PIECES), max_size=8))
        if text
    ]
    answer = [
        Stretch(author, ANSWER, text) for author, text in draw(st.lists(st.tuples(_AUTHORS, _PIECES), max_size=2))
    ]
    kept = tuple(stretch for stretch in (*thinking, *answer) if stretch.text)
    return Text("key", "problem", ({"role": "user", "content": draw(_PIECES) or "?"},), kept, draw(st.booleans()))


class Scoring(ScriptedEngine):
    """Says of each token what its id and place give; counts the texts that it scored."""

    def __init__(self, *, context: int | None = None, vocabulary: Vocabulary | None = None, scoring: bool = True):
        super().__init__("scorer", lambda here: [], vocabulary=vocabulary, context=context)
        self.scoring = scoring
        self.scored: list[list[int]] = []

    async def capabilities(self) -> Capabilities:
        return replace(await super().capabilities(), scoring=self.scoring)

    async def score(self, ids: Sequence[int]) -> list[float]:
        self.scored.append(list(ids))
        return [0.0, *(chance(token, number) for number, token in enumerate(ids[1:], 1))][: len(ids)]


def chance(token: int, number: int) -> float:
    """A made-up log-probability."""
    return -((7 * token + 3 * number) % 11) / 4


async def model_of(engine: ScriptedEngine) -> Model:
    role = load(None, {"student.model": "x", "student.dialect": "qwen3"}).student
    return Model(await find_voice(STUDENT, engine, role))
