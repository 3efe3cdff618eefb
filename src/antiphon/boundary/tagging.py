"""From words to the tokens of a classifier and back to verdicts: what taggers here and behind a server have in common.

Nothing here depends on how text arrives, because each word is encoded on its own, with the white space before it: a
single blank together with the word (" so" is one token in most vocabularies), all else apart ("\\n\\n" and "So"). The
tokens of a text are those of its words, in training as well.

The classifier sees windows of that sequence. They begin at fixed places: with a window of W tokens and a step of three
quarters of W, window k begins at the first word that has at least k steps of tokens before it. A label is read in the
first window that reaches it, so it has W / 4 to W tokens before it (or all there are), however long the trace is, and
any pass over the text that reads labels there is the full pass.

A label stands behind the last token of the last word that it may look ahead to. Where the author stops, an end token
takes the place of each word that does not come.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import islice
from typing import NamedTuple

from antiphon.boundary.base import BoundaryPredictor, Session, Step, Verdict
from antiphon.boundary.checkpoint import Checkpoint, Layout
from antiphon.boundary.words import WordReader, words
from antiphon.engine.vocabulary import Vocabulary
from antiphon.errors import PredictorError
from antiphon.trace import Author

GRID = 8
"""What the classifier says (the logit of style less that of capability) is rounded to whole parts of this."""

_WORD, _GAP = (
    24,
    8,
)  # tokens that are shown of one word and of the white space before it: of more the first and the last
_CACHED, _CACHED_LENGTH = 50_000, 64


class Query(NamedTuple):
    """A window and the tokens of it behind which a label is asked for. `owner`: what grows from query to query."""

    owner: object
    ids: array[int]
    places: Sequence[int]


class _Spelling(NamedTuple):
    ids: array[int]
    lead: int  # of them before the word's own: white space


class _Word:
    """A word that was read. `first` tokens stand before it in the trace; `said` is its class and confidence."""

    __slots__ = ("end", "first", "ids", "lead", "said", "start")

    def __init__(self, start: int, end: int, first: int, spelling: _Spelling):
        self.start = start
        self.end = end
        self.first = first
        self.ids, self.lead = spelling
        self.said: tuple[bool, float] | None = None

    @property
    def last(self) -> int:
        """Tokens up to its end."""
        return self.first + len(self.ids)


class _Label(NamedTuple):
    """Where the label of a word stands: behind `tokens` tokens of the trace, those of the first `shown` words held (and
    of white space, with look-ahead -1), and so many end tokens."""

    word: _Word
    shown: int
    tokens: int
    ends: int


class Speller:
    """The tokens of a word with the white space before it."""

    def __init__(self, vocabulary: Vocabulary):
        self._vocabulary = vocabulary
        self._known: dict[str, array[int]] = {}

    def __call__(self, gap: str, word: str) -> _Spelling:
        if gap.endswith(" "):
            gap, word = gap[:-1], " " + word
        lead = _shortened(self._ids(gap), _GAP) if gap else array("I")
        return _Spelling(lead + _shortened(self._ids(word), _WORD), len(lead))

    def _ids(self, text: str) -> array[int]:
        ids = self._known.get(text)
        if ids is None:
            ids = self._vocabulary.encode(text)
            if len(self._known) >= _CACHED:
                self._known.clear()
            if len(text) <= _CACHED_LENGTH:
                self._known[text] = ids
        return ids


def _shortened(ids: array[int], most: int) -> array[int]:
    return ids if len(ids) <= most else ids[: most // 2] + ids[-most // 2 :]


class TaggerSession(Session):
    """One reading of one trace: `ask` reads text and gives what has to be known, `told` the verdicts that follow."""

    def __init__(self, tagger: TaggerPredictor):
        self._tagger = tagger
        self._layout = tagger.layout
        self._reader = WordReader()
        self._base = 0  # where the last context ended
        self._gap = ""  # white space before the base
        self._words: list[_Word] = []  # from the beginning of the oldest window that is needed
        self._given = 0  # of them have had their verdict, or need none
        self._open: _Word | None = None  # the word being written, as far as its class was asked for
        self._asked: list[_Word] = []

    @property
    def position(self) -> int:
        return self._reader.position

    def context(self, text: str) -> None:
        self._take(self._reader.finish())
        start = self._reader.position
        spans = words(text)
        done = 0
        gap = self._white()
        for begin, end in spans:
            self._add(start + begin, start + end, gap + text[done:begin], text[begin:end])
            done, gap = end, ""
        self._gap = gap + text[done:]
        self._reader.skip(len(text))
        self._base, self._open = self._reader.position, None
        if self._words:
            del self._words[: self._window(self._words[-1].last)]
        self._given = len(self._words)

    def feed(self, text: str) -> list[Verdict]:
        return self._at_once(text, finish=False)

    def finish(self) -> list[Verdict]:
        return self._at_once("", finish=True)

    def rollback(self, offset: int) -> None:
        self._reader.rollback(offset)
        if self._open is not None and offset <= self._open.start:
            self._open = None
        while self._words and self._words[-1].end > offset:
            word = self._words.pop()
            if word.start < offset and self._layout.lookahead < 0:
                self._open = word
        self._given = min(self._given, len(self._words))

    def ask(self, text: str, *, finish: bool) -> list[Query]:
        """Reads text, to its end if `finish`; gives the windows in which the labels stand that are now due, their
        places in the order of the words."""
        self._take(self._reader.push(text))
        if finish:
            self._take(self._reader.finish())
        return self._queries(finish)

    def told(self, values: Sequence[float]) -> list[Verdict]:
        """The verdicts, from what the classifier says at each of the places asked for, in their order."""
        for word, value in zip(self._asked, values, strict=True):
            word.said = self._tagger.judged(value)
        early = {word.start for word in self._asked} if self._layout.lookahead < 0 else ()
        self._asked = []
        verdicts = []
        for word in [*self._words[self._given :], *([self._open] if self._open else ())]:
            if word.said is None:
                break
            if word.start in early:
                verdicts.append(Verdict(word.start, word.start, *word.said))
            if word is not self._open:
                verdicts.append(Verdict(word.start, word.end, *word.said))
                self._given += 1
        return verdicts

    def _at_once(self, text: str, *, finish: bool) -> list[Verdict]:
        queries = self.ask(text, finish=finish)
        answers = self._tagger.answers(queries).result() if queries else []
        return self.told([value for answer in answers for value in answer])

    def _take(self, spans: Sequence[tuple[int, int]]) -> None:
        """Adds whole words of its author."""
        for start, end in spans:
            word = self._add(start, end, self._white(start), self._reader.text(start, end))
            if self._open is not None:
                word.said, self._open = self._open.said, None

    def _add(self, start: int, end: int, gap: str, text: str) -> _Word:
        first = self._words[-1].last if self._words else 0
        word = _Word(start, end, first, self._tagger.speller(gap, text))
        self._words.append(word)
        return word

    def _white(self, until: int | None = None) -> str:
        """The white space behind the last whole word."""
        begin = self._words[-1].end if self._words else 0
        before = self._gap if begin <= self._base else ""
        return before + self._reader.text(max(begin, self._base), self._reader.position if until is None else until)

    def _queries(self, finish: bool) -> list[Query]:
        ahead, known = self._layout.lookahead, len(self._words)
        labels: list[_Label] = []
        if ahead < 0:
            self._begin_open_word()
            undecided = [*enumerate(self._words[self._given :], self._given)]
            if self._open is not None:
                undecided.append((known, self._open))
            labels += [_Label(word, n, word.first + word.lead, 0) for n, word in undecided if word.said is None]
        else:
            for number in range(self._given, known if finish else known - ahead):
                shown = min(number + ahead + 1, known)
                ends = number + ahead + 1 - shown
                labels.append(_Label(self._words[number], shown, self._words[shown - 1].last, ends))
        self._asked = [label.word for label in labels]
        windows: dict[int, list[_Label]] = {}
        for label in labels:
            windows.setdefault(self._window(label.tokens), []).append(label)
        return [self._query(begin, there) for begin, there in windows.items()]

    def _begin_open_word(self) -> None:
        """With look-ahead -1 the word being written has its label already: its white space is known."""
        partial = self._reader.partial
        if partial is not None and self._open is None:
            start, end = partial
            first = self._words[-1].last if self._words else 0
            self._open = _Word(
                start, end, first, self._tagger.speller(self._white(start), self._reader.text(start, end))
            )

    def _window(self, tokens: int) -> int:
        """The first word of the window in which a label stands that has so many tokens of the trace before it."""
        size = self._layout.window
        step = size - size // 4
        begin = max(0, -(-(tokens - size) // step)) * step
        return bisect_left(self._words, begin, key=lambda word: word.first)

    def _query(self, begin: int, labels: Sequence[_Label]) -> Query:
        layout, last = self._layout, labels[-1]
        ids = array("I", () if layout.start is None else (layout.start,))
        before = self._words[begin].first if begin < len(self._words) else last.word.first
        before -= len(ids)
        for word in islice(self._words, begin, last.shown):
            ids += word.ids
        ids += last.word.ids[: last.tokens - before - len(ids)]
        if last.ends and layout.end is not None:
            ids.extend([layout.end] * last.ends)
        return Query(self, ids, [label.tokens + label.ends - before - 1 for label in labels])


class TaggerPredictor(BoundaryPredictor):
    """A predictor whose verdicts come from a token classifier, wherever that runs.

    A verdict is style where the probability of style, rounded (`GRID`), is above the threshold.
    """

    def __init__(self, checkpoint: Checkpoint, *, threshold: float, id: str):
        self.checkpoint = checkpoint
        self.layout: Layout = checkpoint.layout
        self.lookahead = self.layout.lookahead
        self.speller = Speller(checkpoint.vocabulary)
        self.id = id
        self.name = checkpoint.name
        self.trained_on = checkpoint.trained_on
        self._threshold = threshold

    def session(self, role: Author) -> TaggerSession:
        """The classifier is the same for both authors; take one for each role."""
        return TaggerSession(self)

    @abstractmethod
    def answers(self, queries: Sequence[Query]) -> Future[list[list[float]]]:
        """What the classifier says at the places of each query: the logit of style less that of capability.

        Sets on the future:
            RequestRefused: it does not answer these.
            EngineUnavailable: it does not answer at all.
        """

    def judged(self, value: float) -> tuple[bool, float]:
        """Class and confidence for what the classifier says.

        Raises:
            PredictorError: that is no number.
        """
        if not math.isfinite(value):
            raise PredictorError(f"{self.name} gives no numbers here: broken weights, or a numeric type too small")
        style = 1 / (1 + math.exp(-max(-500.0, min(500.0, round(value * GRID) / GRID))))
        chosen = style > self._threshold
        return chosen, max(0.5, style if chosen else 1 - style)

    async def advance(self, steps: Sequence[Step]) -> list[list[Verdict]]:
        """As the contract says; what concurrent calls ask goes to the classifier together."""
        verdicts: list[list[Verdict]] = [[] for _ in steps]
        waiting = [*enumerate(steps)]
        while waiting:
            now: dict[TaggerSession, tuple[int, Step]] = {}
            later = []
            for number, step in waiting:
                assert isinstance(step.session, TaggerSession)
                if step.session in now:
                    later.append((number, step))
                else:
                    now[step.session] = (number, step)
            waiting = later
            asked = [session.ask(step.text, finish=step.finish) for session, (_, step) in now.items()]
            queries = [query for each in asked for query in each]
            answers = await asyncio.wrap_future(self.answers(queries)) if queries else []
            answered = iter(answers)
            for (session, (number, _)), each in zip(now.items(), asked, strict=True):
                verdicts[number] = session.told([value for answer in islice(answered, len(each)) for value in answer])
        return verdicts
