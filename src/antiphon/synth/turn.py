"""One turn of thinking, as pure bookkeeping: propose, find the boundary, keep, roll back.

    propose   the author streams pieces of text                      Proposal.receive
    watch     its predictor judges whole words as they arrive        Proposal.judge
    cut       at the first word of the other class                   Proposal.cut
    keep      what stands before it; the rest is rolled back         Proposal.settle, Proposal.keep

A turn is `receive` and `judge` in alternation, with `settle` now and then, until the proposal is `decided` or its
author stops. Where the author stopped by itself its last words are judged (`release`; at a budget
`drop_unfinished_word`). Then one of three takes out what is kept: `keep`, `keep_whole_words` at a budget,
`keep_refused_word` for liveness.

Positions count characters of the thinking. No I/O happens here: `antiphon.synth.passage` moves the text.
"""

from __future__ import annotations

import re
from array import array
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from antiphon.boundary.base import Verdict
from antiphon.boundary.words import first_word, unfinished_word
from antiphon.engine.base import Piece
from antiphon.errors import PredictorError
from antiphon.synth.markers import Fence, MarkerReader, Markers
from antiphon.trace import pack_ids

# White space without a line break. Qwen3 and gpt-oss write " 196" as a blank token and digits; such a blank belongs to
# the word that was rolled back. Line breaks stay with the author who wrote them.
_BLANK = re.compile(r"[^\S\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")

_NO_MARKERS = Markers()


class Kept(NamedTuple):
    """What is kept of a proposal: pieces, the verdicts on their words, and text whose token was cut in two (`anew`,
    mostly empty): it follows the pieces and has to be encoded again."""

    pieces: tuple[Piece, ...] = ()
    words: tuple[Verdict, ...] = ()
    anew: str = ""

    def first(self, count: int, position: int) -> Kept:
        """At most the first `count` pieces, no judged word cut; the whole begins at `position` of the thinking."""
        pieces = list(self.pieces[:count])
        while pieces:
            text = "".join(piece.text for piece in pieces)
            words = tuple(word for word in self.words if word.end <= position + len(text))
            judged = words[-1].end - position if words else 0
            if not self.words or not text[judged:].strip():
                return Kept(tuple(pieces), words)
            pieces.pop()
        return Kept()

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces) + self.anew

    @property
    def ids(self) -> array[int]:
        """The ids of the pieces, those of `anew` not among them."""
        return pack_ids(token for piece in self.pieces for token in piece.ids)


class Proposal:
    """What one author writes in its turn and is not settled yet.

    Its positions, in the order in which they stand:

        taken out   words approved,      shown to the predictor,    held back: perhaps
        by settle   not taken out yet    without a verdict          the beginning of a marker
        ----------|--------------------|--------------------------|-----------------------|
                  _start               _approved                  _shown                  end of _text

    Args:
        style: whether the author's own class is style (the student's) or capability (the teacher's).
        start: position in the thinking where the turn begins.
        goes_on: the turn was interrupted and words of it were kept before.
        rolls_back: False: words of the other class are kept as well, and the author is only stopped.
        markers: what closes the thinking or ends the turn where it comes as text (outside a code fence).
        fence: whether the thinking stands inside a code fence where the turn begins.

    Attributes:
        cut: the verdict on the first word of the other class, once it was found.
        closed, ended: a marker was found that closes the thinking, or ends the turn; it is no part of the text.
    """

    def __init__(
        self,
        *,
        style: bool,
        start: int,
        goes_on: bool = False,
        rolls_back: bool = True,
        markers: Markers = _NO_MARKERS,
        fence: Fence | None = None,
    ):
        self.style = style
        self.rolls_back = rolls_back
        self.cut: Verdict | None = None
        self.closed = False
        self.ended = False
        self._pieces: deque[Piece] = deque()  # not settled, from `_start` on
        self._text = ""  # of these pieces
        self._words: list[Verdict] = []  # approved, not settled
        self._any_words = goes_on  # approved in this turn
        self._start = self._approved = self._shown = start
        self._markers = markers
        self._reader = MarkerReader(markers, fence or Fence())

    @property
    def refused(self) -> bool:
        """The very first word of the turn was of the other class."""
        return self.cut is not None and not self._any_words

    @property
    def overrun(self) -> bool:
        """The boundary was found, and what stands past it is kept."""
        return not self.rolls_back and self.cut is not None and self._any_words

    @property
    def decided(self) -> bool:
        """Nothing more needs to be written: the boundary or the close was found. A refused word is read to its end
        first, since liveness may force it."""
        if self.closed or self.ended:
            return True
        if self.cut is None or not self.rolls_back:
            return False
        if not self.refused:
            return True
        _, whole = self._refused_word()
        return whole

    @property
    def pending(self) -> str:
        """Text received and not settled."""
        return self._text

    def receive(self, pieces: Iterable[Piece]) -> str:
        """Adds pieces as they came; gives the text to show to the predictor now (a marker and what might become one are
        held back)."""
        for piece in pieces:
            self._pieces.append(piece)
            self._text += piece.text
        return self._show(final=False)

    def release(self) -> str:
        """The author stops here: gives the text still held back."""
        return self._show(final=True)

    def judge(self, verdicts: Iterable[Verdict]) -> None:
        """Takes the predictor's verdicts, in order. After the first word of the other class the rest is moot, if it is
        rolled back.

        Raises:
            PredictorError: a verdict outside the text shown, or out of order.
        """
        for verdict in verdicts:
            if self.cut is not None and self.rolls_back:
                return
            if not self._approved <= verdict.start <= verdict.end <= self._shown:
                raise PredictorError(
                    f"verdict on characters {verdict.start} to {verdict.end} of the thinking, "
                    f"where {self._approved} to {self._shown} were to be judged"
                )
            foreign = verdict.style is not self.style
            if foreign and self.cut is None:
                self.cut = verdict
            if verdict.end > verdict.start and not (foreign and self.rolls_back):
                self._words.append(verdict)
                self._approved = verdict.end
                self._any_words = True

    def approve(self) -> None:
        """Nobody judges this author here (a method without turns, the answer): all that was shown is kept."""
        self._approved = self._shown
        self._any_words = True

    def settle(self) -> Kept:
        """Takes out what no later verdict can touch: whole tokens up to the last approved word, and of each word all or
        nothing, so that what is kept of an interrupted turn has its words' verdicts with it."""
        taken = []
        while self._pieces and (room := self._approved - self._start) > 0:
            piece = self._pieces[0]
            if len(piece.text) > room:
                if not piece.ids:
                    taken.append(Piece(piece.text[:room]))
                    self._pieces[0] = Piece(piece.text[room:])
                    self._start += room
                break
            taken.append(self._pieces.popleft())
            self._start += len(piece.text)
        while taken and any(word.start < self._start < word.end for word in self._words):
            self._pieces.appendleft(taken.pop())
            self._start -= len(self._pieces[0].text)
        self._text = self._text[sum(len(piece.text) for piece in taken) :]
        done = [word for word in self._words if word.end <= self._start]
        del self._words[: len(done)]
        return Kept(tuple(taken), tuple(done))

    def keep(self) -> Kept:
        """Takes out what the turn leaves when its end is known (invariant 2): up to the last token boundary at or
        before the cut or the marker, a blank token before a cut dropped; nothing if no word was kept."""
        if not self._any_words:
            return Kept()
        if self.cut is not None and self.rolls_back:
            return self._keep_until(self.cut.start, drop_blanks=True)
        return self._keep_until(self._start + len(self._text), drop_blanks=False)

    def keep_whole_words(self) -> Kept:
        """The same at a budget or a full context, after `drop_unfinished_word`."""
        if (self.cut is not None and self.rolls_back) or not self._any_words:
            return self.keep()
        return self._keep_until(self._shown, drop_blanks=True)

    def drop_unfinished_word(self) -> int:
        """Where the last word began, if the text may have stopped inside it; the rest is no longer to be judged.
        Text never shown to the predictor is dropped with it."""
        self._shown = self._start + unfinished_word(self._text[: self._shown - self._start])
        self._shown = max(self._shown, self._approved)
        return self._shown

    def keep_refused_word(self) -> tuple[Kept, Verdict]:
        """The first word of a refused turn, for liveness: everything to its end, and the verdict it got."""
        assert self.cut is not None
        end, _ = self._refused_word()
        verdict = self.cut._replace(end=end)
        stop, position = 0, self._start
        for piece in self._pieces:
            position += len(piece.text)
            stop += 1
            if position >= end:
                break
        last = self._pieces[stop - 1]
        after = last.text[len(last.text) - (position - end) :] if position > end else ""
        pieces = tuple(self._pieces)[:stop]
        if last.ids and (not after or after.isspace()):
            return Kept(pieces, (verdict,)), verdict
        before = last.text[: len(last.text) - len(after)]
        if not last.ids:
            return Kept((*pieces[:-1], Piece(before)), (verdict,)), verdict
        return Kept(pieces[:-1], (verdict,), anew=before), verdict

    def _refused_word(self) -> tuple[int, bool]:
        """(end, whole) of the word at the cut."""
        assert self.cut is not None
        end, whole = first_word(self._text, self.cut.start - self._start)
        return self._start + end, whole or self.cut.end > self.cut.start

    def _show(self, *, final: bool) -> str:
        if self.closed or self.ended:
            return ""
        # A marker never straddles settled text: what might begin one is not shown, so not approved.
        unseen = self._text[self._shown - self._start :]
        certain, marker = self._reader.read(unseen, final=final)
        if marker is not None:
            self.closed = marker in self._markers.closing
            self.ended = not self.closed
            self._text = self._text[: self._shown - self._start + certain]
        shown = unseen[:certain]
        self._shown += certain
        return shown

    def _keep_until(self, position: int, *, drop_blanks: bool) -> Kept:
        boundary = self._start
        stop = 0
        for piece in self._pieces:
            if boundary + len(piece.text) > position:
                break
            boundary += len(piece.text)
            stop += 1
        crossing = self._pieces[stop] if stop < len(self._pieces) else None
        anew = ""
        if crossing is not None and (not crossing.ids or self._approved > boundary or not drop_blanks):
            # The token across the cut holds the end of a kept word (or text before a marker): keep that text.
            anew = self._text[boundary - self._start : position - self._start]
            if drop_blanks:
                anew = anew[: len(anew) - _trailing_blanks(anew)]
        pieces = list(self._pieces)[:stop]
        if drop_blanks and not anew:
            while pieces and _BLANK.fullmatch(pieces[-1].text):
                pieces.pop()
            if pieces and not pieces[-1].ids:
                last = pieces[-1].text
                pieces[-1] = Piece(last[: len(last) - _trailing_blanks(last)])
        if crossing is not None and not crossing.ids and anew:
            pieces, anew = [*pieces, Piece(anew)], ""
        self._pieces.clear()
        self._text = ""
        words, self._words = tuple(self._words), []
        return Kept(tuple(pieces), words, anew)


def _trailing_blanks(text: str) -> int:
    end = len(text)
    while end and _BLANK.fullmatch(text[end - 1]):
        end -= 1
    return len(text) - end
