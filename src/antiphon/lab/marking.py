"""Style told from capability in rows of the format `tokens` whose record does not tell it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.making.judge import judge
from antiphon.engine.vocabulary import Vocabulary
from antiphon.export.tokens import AUTHORS, KINDS
from antiphon.trace import Author, Kind

_STYLE, _CAPABILITY, _THINKING = (KINDS.index(kind) for kind in (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING))


class _Stretch(NamedTuple):
    """Tokens of thinking by one author, unmarked: of which row, from where, to where."""

    row: int
    begin: int
    end: int


async def mark(
    rows: Sequence[dict[str, Any]], vocabulary: Vocabulary, predictors: Mapping[Author, BoundaryPredictor]
) -> None:
    """Gives each token of kind `thinking` the kind of the word that holds its first character that is no blank.

    Args:
        rows: changed in place, their column `kind` alone.
        predictors: by the author whose text they read; one of neither is read as the teacher's.

    Raises:
        PredictorError: a predictor breaks its contract.
    """
    unmarked: dict[Author, list[_Stretch]] = {}
    for number, row in enumerate(rows):
        at = 0
        for (author, kind), together in groupby(zip(row["author"], row["kind"], strict=True)):
            length = len(list(together))
            if kind == _THINKING:
                role = AUTHORS[author] if AUTHORS[author] in predictors else Author.TEACHER
                unmarked.setdefault(role, []).append(_Stretch(number, at, at + length))
            at += length
    for role, stretches in unmarked.items():
        pieces = [
            [vocabulary.bytes_of(id) for id in rows[one.row]["input_ids"][one.begin : one.end]] for one in stretches
        ]
        texts = [b"".join(some).decode("utf-8", "replace") for some in pieces]
        told = await judge(predictors[role], ((text, role) for text in texts), by_word=False)
        for one, some, text, judged in zip(stretches, pieces, texts, told, strict=True):
            starts = [len(text[: verdict.start].encode()) for verdict in judged.verdicts]
            kinds = [_STYLE if verdict.style else _CAPABILITY for verdict in judged.verdicts]
            ends = list(accumulate(map(len, some)))
            firsts = (end - len(piece.lstrip() or piece) for end, piece in zip(ends, some, strict=True))
            rows[one.row]["kind"][one.begin : one.end] = [
                kinds[max(0, bisect_right(starts, first) - 1)] if kinds else _CAPABILITY for first in firsts
            ]
