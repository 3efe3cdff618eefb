"""`tokens`: ids for the student, with a loss mask and who wrote each token."""

from __future__ import annotations

import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from antiphon.dialect import text_of
from antiphon.dialect.base import split
from antiphon.export.base import Exporter, Row, Unfit
from antiphon.export.columns import key_of, key_schema
from antiphon.export.student import Student, recorded_tokenizer
from antiphon.problem import Problem
from antiphon.trace import Author, IdsFrom, Kind, Span, Status, Trace, pack_ids

if TYPE_CHECKING:
    import pyarrow

    from antiphon.store import Outcome, Variant

AUTHORS = (Author.NONE, Author.STUDENT, Author.TEACHER, Author.UNKNOWN)
"""What the numbers in the column `author` stand for."""

KINDS = ("prompt", Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER, Kind.MARKER)
"""What the numbers in the column `kind` stand for."""

TOKENIZER = "tokenizer"
"""The column that says whose ids they are: the digest of a vocabulary. It goes wherever a row goes."""

TRAINED = "trained tokens"
AT_SEAMS = "tokens at seams unlike a fresh tokenisation"
WITHIN = "other tokens unlike a fresh tokenisation"
NORMAL = "answers in the tokenizer's normal form"

_NOT_TRAINED = -100


class _Piece(NamedTuple):
    """Ids with their author and kind."""

    ids: array[int]
    author: Author
    kind: str


class Tokens(Exporter):
    """Ids as the student saw them while the trace was written: its own as it sampled them, the others' text encoded
    once at each hand-over, markers as its dialect has them. Nothing is encoded across a seam.

    The columns: `input_ids`; `attention_mask`, all 1; `labels`, the ids that are trained on, -100 elsewhere;
    `assistant_masks`, 1 where they are; `author` and `kind`, numbers (`AUTHORS`, `KINDS`); `tokenizer`. Trained on is
    the whole response, and behind a complete one the token that ends the turn.
    """

    def __init__(self, student: Student, variants: Iterable[Variant]):
        """`variants`: those of the run; their ids are taken where they are of the student's tokenizer."""
        self._student = student
        self._vocabulary = student.vocabulary
        digest = student.vocabulary.digest
        self._own = {one.name for one in variants if recorded_tokenizer(one) == digest}
        family = student.dialect
        markers = (*family.think_open, *family.think_close, *family.answer_open)
        self._markers = {part.text for part in markers if part.control}
        self._opening = text_of(family.think_open)
        self._sizes: dict[int, int] = {}

    def row(self, problem: Problem, outcome: Outcome, trace: Trace | None = None) -> Row:
        """See `Exporter.row`."""
        assert trace is not None
        response = outcome.response or ""
        prompt, rest = self._student.prompt(problem.messages, response)
        spans: Sequence[Span] = trace.spans
        if rest != response:
            spans = _without(self._opening, spans)
        segments = list(self._segments(spans, has_own=outcome.key.variant in self._own))
        pieces = [piece for _, segment in segments for piece in segment]
        written = self._vocabulary.decode(id for piece in pieces for id in piece.ids)
        if not written:
            raise Unfit("nothing to train on")
        if written != rest and unicodedata.normalize("NFC", written) != unicodedata.normalize("NFC", rest):
            raise Unfit("the tokenizer cannot write it")
        at_seams, within = self._unlike_fresh(segments)
        end = self._vocabulary.control_id(self._student.end) if outcome.status is Status.COMPLETE else None
        if end is not None:
            pieces.append(_Piece(pack_ids([end]), Author.NONE, Kind.MARKER))
        before = self._vocabulary.encode_parts(prompt)
        ids, author, kind = list(before), [0] * len(before), [0] * len(before)
        for piece in pieces:
            ids += piece.ids
            author += [AUTHORS.index(piece.author)] * len(piece.ids)
            kind += [KINDS.index(piece.kind)] * len(piece.ids)
        trained = len(ids) - len(before)
        fields = {
            **key_of(outcome),
            "input_ids": ids,
            "attention_mask": [1] * len(ids),
            "labels": [_NOT_TRAINED] * len(before) + ids[len(before) :],
            "assistant_masks": [0] * len(before) + [1] * trained,
            "author": author,
            "kind": kind,
            TOKENIZER: self._vocabulary.digest,
        }
        counts = {TRAINED: trained, AT_SEAMS: at_seams, WITHIN: within, NORMAL: int(written != rest)}
        return Row(fields, written, tokens=len(ids), counts=counts)

    def response(self, fields: Mapping[str, Any]) -> str:
        """See `Exporter.response`. An opening that stands in the prompt is not in it."""
        ids = [id for id, label in zip(fields["input_ids"], fields["labels"], strict=True) if label == id]
        if ids and ids[-1] == self._vocabulary.control_id(self._student.end):
            ids.pop()
        return self._vocabulary.decode(ids)

    def schema(self) -> pyarrow.Schema:
        """See `Exporter.schema`."""
        import pyarrow

        ids, small = pyarrow.list_(pyarrow.int32()), pyarrow.list_(pyarrow.int8())
        columns = {"input_ids": ids, "attention_mask": small, "labels": ids, "assistant_masks": small}
        return pyarrow.schema({**key_schema(), **columns, "author": small, "kind": small, TOKENIZER: pyarrow.string()})

    def _segments(self, spans: Iterable[Span], *, has_own: bool) -> Iterator[tuple[bool, list[_Piece]]]:
        """The response in pieces, markers (True) and what stands between them (False) apart."""
        for is_marker, together in groupby(spans, lambda span: span.kind is Kind.MARKER):
            if is_marker:
                text = "".join(span.text for span in together)
                ids = self._vocabulary.encode_parts(split(text, self._markers))
                yield True, [_Piece(ids, Author.NONE, Kind.MARKER)]
            else:
                yield False, list(self._pieces(together, has_own))

    def _pieces(self, spans: Iterable[Span], has_own: bool) -> Iterator[_Piece]:
        def is_own(span: Span) -> bool:
            return has_own and span.author is Author.STUDENT and span.ids_from is not IdsFrom.NONE

        for own, together in groupby(spans, is_own):
            if own:
                yield from (_Piece(span.ids, span.author, span.kind) for span in together)
            else:
                yield from self._encoded(list(together))

    def _encoded(self, spans: Sequence[Span]) -> Iterator[_Piece]:
        """Spans of the others as one text; a token belongs to the span that its first byte is of."""
        ids = self._vocabulary.encode("".join(span.text for span in spans))
        ends = list(accumulate(len(span.text.encode("utf-8", "surrogatepass")) for span in spans))
        lengths = list(accumulate(map(self._size, ids)))
        if len(spans) > 1 and ends[-1] != (lengths[-1] if lengths else 0):  # normalised: places are not to be told
            for span in spans:
                yield _Piece(self._vocabulary.encode(span.text), span.author, span.kind)
            return
        starts, first = [0, *lengths[:-1]], 0
        for span, end in zip(spans, ends, strict=True):
            last = bisect_left(starts, end)
            yield _Piece(ids[first:last], span.author, span.kind)
            first = last

    def _unlike_fresh(self, segments: Iterable[tuple[bool, Sequence[_Piece]]]) -> tuple[int, int]:
        """How many tokens are none of those that the text, encoded at once, has: in stretches of such tokens that
        touch a seam, and in others."""
        at_seams = within = 0
        for is_marker, pieces in segments:
            if is_marker:
                continue
            ids = [id for piece in pieces for id in piece.ids]
            fresh = self._vocabulary.encode(self._vocabulary.decode(ids))
            if fresh == pack_ids(ids):
                continue
            ends, others = list(accumulate(map(self._size, ids))), list(accumulate(map(self._size, fresh)))
            places = list(accumulate(len(piece.ids) for piece in pieces))
            pairs = zip(places, pieces, pieces[1:], strict=False)
            seams = [ends[at - 1] for at, one, two in pairs if at and one.author is not two.author]
            known = set(zip([0, *others], others, strict=False))
            stretches = groupby(zip([0, *ends], ends, strict=False), known.__contains__)
            for is_same, stretch in stretches:
                if is_same:
                    continue
                tokens = list(stretch)
                begin, end = tokens[0][0], tokens[-1][1]
                touches = bisect_left(seams, begin) < bisect_right(seams, end)
                at_seams += len(tokens) * touches
                within += len(tokens) * (not touches)
        return at_seams, within

    def _size(self, token: int) -> int:
        """How many bytes a token stands for."""
        size = self._sizes.get(token)
        if size is None:
            size = self._sizes[token] = len(self._vocabulary.bytes_of(token))
        return size


def _without(opening: str, spans: Sequence[Span]) -> list[Span]:
    """The spans without a text at their beginning, which the prompt has."""
    kept, left = [], len(opening)
    for span in spans:
        if left >= len(span.text):
            left -= len(span.text)
        elif left:
            kept.append(Span(span.author, span.kind, span.text[left:]))
            left = 0
        else:
            kept.append(span)
    return kept
