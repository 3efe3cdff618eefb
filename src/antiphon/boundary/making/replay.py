"""Replaying texts: where a run would have changed authors, and what that would have cost.

A text is taken as if both authors would write it word for word, in turns as in `antiphon.synth.duet`: the student
opens; an author goes on until its predictor finds a word of the other class, which is thrown away with what was read
ahead of it; then the other goes on from there. After two refusals in a row the author whose verdict was less sure keeps
its word. The verdicts of one reading per role are enough, since a predictor judges by the text, whoever wrote it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from antiphon.boundary.base import Verdict
from antiphon.boundary.making.judge import Judgement
from antiphon.trace import Author

_AROUND = 60  # characters shown on each side of a word


class Replay(NamedTuple):
    """How one text would have been written.

    Attributes:
        writers: who would have written each word.
        forced: the numbers of the words that liveness would have forced.
        turns: how many turns it would have taken.
        thrown: words that would have been written in vain.
    """

    writers: tuple[Author, ...]
    forced: tuple[int, ...]
    turns: int
    thrown: int


class Toll(NamedTuple):
    """What replays come to: words kept, and of these written by the wrong author and forced; words thrown away and
    turns taken. `wrong` is 0 where the texts are not marked."""

    kept: int = 0
    wrong: int = 0
    thrown: int = 0
    turns: int = 0
    forced: int = 0

    def per_100(self, count: int) -> float:
        """So many for every 100 words kept."""
        return 100 * count / self.kept if self.kept else math.nan


class WrongWord(NamedTuple):
    """A word that the wrong author would have written: in which text, who would have written it, how sure the
    predictor was, and the text before, the word and what follows."""

    id: str
    domain: str
    writer: Author
    confidence: float
    before: str
    word: str
    after: str


def replay(student: Sequence[Verdict], teacher: Sequence[Verdict], lookahead: int) -> Replay:
    """Replays one text.

    Args:
        student, teacher: the verdicts of each author's predictor on the same words.
        lookahead: the predictor's; at a cut so many words beyond the refused one were written in vain, too.

    Raises:
        ValueError: the verdicts are not on the same number of words.
    """
    if len(student) != len(teacher):
        raise ValueError(f"{len(student)} and {len(teacher)} verdicts on the same words")
    verdicts = {Author.STUDENT: student, Author.TEACHER: teacher}
    writers: list[Author] = []
    forced: list[int] = []
    turns = thrown = 0
    author, refused_before = Author.STUDENT, False
    while len(writers) < len(student):
        at = cut = len(writers)
        while cut < len(student) and verdicts[author][cut].style is (author is Author.STUDENT):
            cut += 1
        writers += [author] * (cut - at)
        turns += 1
        if cut == len(student):
            break
        thrown += min(1 + max(0, lookahead), len(student) - cut)
        if cut > at or not refused_before:
            refused_before = cut == at
            author = author.other
        else:
            # A tie: the student, as in the duet.
            keeper = Author.STUDENT if student[cut].confidence <= teacher[cut].confidence else Author.TEACHER
            writers.append(keeper)
            forced.append(cut)
            thrown -= 1  # it was counted when it was refused
            author, refused_before = keeper.other, False
    return Replay(tuple(writers), tuple(forced), turns, thrown)


def replayed(judgement: Judgement, threshold: float = 0.5) -> Replay:
    """Replays a marked text, as far as its words have their look-ahead in it."""
    due = min(judgement.student.due, judgement.teacher.due)
    student = at_threshold(judgement.student.verdicts[:due], threshold)
    teacher = at_threshold(judgement.teacher.verdicts[:due], threshold)
    return replay(student, teacher, judgement.lookahead)


def toll(replays: Iterable[tuple[Replay, Sequence[bool]]]) -> Toll:
    """What replays come to. Beside each stand the true classes of its words, none where they are not known."""
    kept = wrong = thrown = turns = forced = 0
    for played, classes in replays:
        kept += len(played.writers)
        wrong += sum(map(_is_wrong, played.writers, classes))
        thrown += played.thrown
        turns += played.turns
        forced += len(played.forced)
    return Toll(kept, wrong, thrown, turns, forced)


def worst(judgements: Iterable[Judgement], number: int = 30) -> list[WrongWord]:
    """The words that the wrong author would have written of which the predictor was surest."""
    return heapq.nlargest(number, _wrong_words(judgements), key=lambda word: word.confidence)


def at_threshold(verdicts: Sequence[Verdict], threshold: float) -> Sequence[Verdict]:
    """Verdicts as they would be if a word were style from this probability of style on; 0.5 leaves them as they are.
    A class against which the predictor was inclined has a confidence under 0.5."""
    if threshold == 0.5:
        return verdicts
    return [
        Verdict(start, end, chance >= threshold, chance if chance >= threshold else 1 - chance)
        for start, end, style, confidence in verdicts
        for chance in (confidence if style else 1 - confidence,)
    ]


def _wrong_words(judgements: Iterable[Judgement]) -> Iterable[WrongWord]:
    for judgement in judgements:
        marked, played = judgement.marked, replayed(judgement)
        verdicts = {Author.STUDENT: judgement.student.verdicts, Author.TEACHER: judgement.teacher.verdicts}
        for number, (writer, style) in enumerate(zip(played.writers, marked.classes, strict=False)):
            if _is_wrong(writer, style):
                start, end, _, confidence = verdicts[writer][number]
                yield WrongWord(
                    marked.id,
                    marked.domain,
                    writer,
                    confidence,
                    marked.text[max(0, start - _AROUND) : start],
                    marked.text[start:end],
                    marked.text[end : end + _AROUND],
                )


def _is_wrong(writer: Author, style: bool) -> bool:
    return (writer is Author.STUDENT) is not style
