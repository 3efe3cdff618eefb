"""Ways to think: in turns, where who is cut hands over, or alone."""

from __future__ import annotations

from antiphon.dialect import Part
from antiphon.synth.methods import Turns
from antiphon.synth.passage import Left, Task, Why, encode_anew
from antiphon.synth.stage import Ending, Stage
from antiphon.trace import Author, Kind, SpanEnd, Status, Turn

_SILENCE = Ending(Status.NO_ANSWER, "both models ended their turn without a word")


async def think_alone(stage: Stage) -> Author | Ending:
    """One voice thinks until it closes the thinking, or the trace ends here; who closed, or how it ended."""
    last = stage.last_thought
    if last is not None and _stopped(last.end):
        return last.author
    left = await stage.passage(stage.speakers[stage.method.opener], Task(Kind.THINKING))
    return left.author if left.why in (Why.CLOSE, Why.END) else stage.stopped(left.why)


async def think_in_turns(stage: Stage, thinking: Turns) -> Author | Ending:
    """Turns until one voice closes the thinking, or the trace ends here; who closed, or how it ended.

    Liveness: of two turns in a row one keeps a word. After two refusals the less sure author keeps its one word.
    """
    duologue = _Duologue(stage, thinking)
    return duologue.closed_before() or await duologue.perform()


class _Duologue:
    def __init__(self, stage: Stage, thinking: Turns):
        self._stage = stage
        self._thinking = thinking

    async def perform(self) -> Author | Ending:
        author = self._next_author()
        silent: Left | None = None  # the turn before, if it kept no word
        while True:
            left = await self._stage.passage(self._stage.speakers[author], self._task(author))
            ends = left.why is Why.CLOSE and self._may_close(author)
            if left.why is Why.END and author is self._thinking.style:
                if silent is not None and silent.why is Why.END and not left.words:
                    return _SILENCE
                ends = True
            if ends:
                return author
            if left.why in (Why.BUDGET, Why.CONTEXT, Why.LOOP):
                return self._stage.stopped(left.why)
            if left.words or silent is None:
                silent = None if left.words else left
                author = author.other
            elif silent.refused is None and left.refused is None:
                return _SILENCE
            else:
                author = (await self._force(silent, left)).other
                silent = None

    def _task(self, author: Author) -> Task:
        thinking = self._thinking
        return Task(thinking.kind(author), author is thinking.style, thinking.rolls_back)

    def _may_close(self, author: Author) -> bool:
        return author is Author.STUDENT or not self._stage.score.only_student_closes

    async def _force(self, *silent: Left) -> Author:
        """Two turns kept nothing: the author whose verdict was less sure keeps its one word (a tie: the student)."""
        refusals = [(turn.author, *turn.refused) for turn in silent if turn.refused is not None]
        author, kept, verdict = min(refusals, key=lambda r: (r[2].confidence, r[0] is not Author.STUDENT))
        speaker, manuscript = self._stage.speakers[author], self._stage.manuscript
        await speaker.catch_up()
        if kept.ids:
            await speaker.sequence.append_ids(kept.ids)
        elif kept.pieces and not speaker.voice.has_ids:
            await speaker.sequence.append((Part(kept.text),))
        kept, reencoded = await encode_anew(speaker, kept)
        if speaker.session is not None:
            speaker.session.context(kept.text)
        style = author if verdict.style is (author is self._thinking.style) else author.other
        manuscript.keep(speaker, self._thinking.kind(style), kept, reencoded=reencoded, forced=True)
        manuscript.end_span(SpanEnd.SEAM, verdict.confidence)
        size = speaker.measure(kept.text, len(kept.ids))
        # Its tokens were received in the refused turn and counted there as thrown away.
        server = speaker.sequence.server
        manuscript.turned(Turn(author, server, 0, 0, size, 1, cut=False, seconds=0.0, requests=0))
        return author

    # -- taking up what an earlier session left

    def _next_author(self) -> Author:
        """Who writes the next turn: the opener; after a finished span it is the other's turn."""
        last = self._stage.last_thought
        if last is None:
            return self._thinking.style
        return last.author if last.end is None else last.author.other

    def closed_before(self) -> Author | None:
        """Who had closed the thinking when an earlier session ended, just before the marker."""
        last = self._stage.last_thought
        if last is None or not _stopped(last.end):
            return None
        closed = (
            last.author is self._thinking.style if last.end is SpanEnd.END_OF_TURN else self._may_close(last.author)
        )
        return last.author if closed else None


def _stopped(end: SpanEnd | None) -> bool:
    """Whether a span's author stopped there by itself."""
    return end is not None and (end is SpanEnd.END_OF_TURN or end.closes_thinking)


def who_closed(stage: Stage) -> Author:
    """Who closed a thinking whose marker is already there, as far as its last span tells."""
    last = stage.last_thought
    if last is None:
        return stage.method.opener
    if _stopped(last.end):
        return last.author
    return Author.NONE if last.end in (SpanEnd.BUDGET, SpanEnd.CONTEXT) else last.author.other
