"""The text of one trace as it grows: what is kept goes to the record, to the guard and to the other voice at once."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import replace

from antiphon.synth.guards import RepetitionGuard
from antiphon.synth.markers import Fence
from antiphon.synth.record import Recorder, SpanWriter
from antiphon.synth.score import Listener, Score
from antiphon.synth.turn import Kept
from antiphon.synth.voice import Speaker
from antiphon.trace import Author, IdsFrom, Kind, Span, SpanEnd, Turn, Usage, estimated_tokens, unpack_words


class Manuscript:
    """One trace's kept text.

    Attributes:
        position: characters of thinking so far.
        last: the last kept text of the thinking (for the line break before its close), "" before the first.
        looping: the kept text has become a loop.
        fence: whether the thinking, or the answer after it, stands inside a code fence.
        answered: the answer holds more than white space.
        breaks: streams that broke so far.
        speakers: the voices in this trace; each hears what the others write.
    """

    def __init__(self, score: Score, recorder: Recorder, spans: tuple[Span, ...], usage: Mapping[Author, Usage]):
        self.position = 0
        self.last = ""
        self.looping = False
        self.fence = Fence()
        self.answered = False
        self.breaks = 0
        self.usage = dict(usage)
        self.speakers: dict[Author, Speaker] = {}
        self._recorder = recorder
        self._writer = SpanWriter(recorder, spans)
        self._listener: Listener = score.listener
        self._is_judged = bool(score.method.predicted)
        self._guard = RepetitionGuard() if score.guard_repetition else None
        for span in spans:
            self._advance(span.kind, span.text)
            if self._guard is not None:
                self._guard.push(span.text)

    def is_interrupted(self, author: Author, kind: Kind) -> bool:
        """Whether this author was stopped in the middle of such a span (a kill, an outage), which now goes on."""
        return self._writer.is_open(author, kind)

    def keep(self, speaker: Speaker, kind: Kind, kept: Kept, *, reencoded: bool = False, forced: bool = False) -> Kept:
        """Makes text part of the trace. Gives what was taken: all, or up to where the text became a loop."""
        if self._guard is not None:
            for count, piece in enumerate(kept.pieces, 1):
                if self._guard.push(piece.text):
                    self.looping = True
                    kept = kept.first(count, self.position)
                    break
        if not kept.pieces:
            return kept
        author, text, ids = speaker.voice.role, kept.text, kept.ids
        self._writer.write(
            author,
            kind,
            text,
            ids,
            words=kept.words if self._is_judged else (),
            position=self.position,
            reencoded=reencoded,
            forced=forced,
        )
        self._listener.kept(author, kind, text, forced=forced)
        self._advance(kind, text)
        if kind is not Kind.ANSWER:
            for other in self.speakers.values():
                if other is not speaker:
                    other.hear(text, speaker.measure(text, len(ids)))
        return kept

    def insert(self, span: Span) -> None:
        """Text that was there before and that no voice writes here. `span` is whole; its author goes on in its own."""
        self._writer.write(
            span.author,
            span.kind,
            span.text,
            span.ids,
            words=[word._replace(end=self.position + word.end) for word in unpack_words(span.words)],
            position=self.position,
            sampled=span.ids_from is IdsFrom.SAMPLED,
            reencoded=span.reencoded,
        )
        self._writer.end(span.end or SpanEnd.SEAM, span.confidence)
        self._listener.kept(span.author, span.kind, span.text, forced=False)
        if self._guard is not None:
            self._guard.push(span.text)
        self._advance(span.kind, span.text)
        for speaker in self.speakers.values():
            speaker.hear(span.text, len(span.ids) or estimated_tokens(len(span.text)))

    def mark(self, text: str, ids: array[int]) -> None:
        """A marker, written by no model; `ids` are the answering voice's."""
        self._writer.write(Author.NONE, Kind.MARKER, text, ids, sampled=False)
        self._writer.end(SpanEnd.SEAM)
        self._listener.kept(Author.NONE, Kind.MARKER, text, forced=False)
        self._advance(Kind.MARKER, text)

    def end_span(self, end: SpanEnd, confidence: float | None = None) -> None:
        """The last span's author stops here, for now."""
        self._writer.end(end, confidence)

    def turned(self, turn: Turn) -> None:
        """Counts a turn and records it."""
        self.usage[turn.role] = self.usage.get(turn.role, Usage()) + turn.usage
        self._recorder.turn(replace(turn, span=self._writer.index if turn.kept else None))
        self._listener.turned(turn)

    def save(self) -> None:
        """Hands over to the recorder what the open span has grown by."""
        self._writer.save()

    def _advance(self, kind: Kind, text: str) -> None:
        if kind is Kind.MARKER:
            self.fence = Fence()
            self._guard = RepetitionGuard() if self._guard is not None else None
            return
        self.fence.push(text)
        if kind is Kind.ANSWER:
            self.answered = self.answered or bool(text.strip())
        else:
            self.position += len(text)
            self.last = text or self.last
