"""What is trained on: the rows of an export as ids, and how much each of them counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.dialect import Message, text_of
from antiphon.dialect.base import split
from antiphon.errors import UsageError
from antiphon.export.base import Unfit
from antiphon.export.container import SUFFIXES, rows
from antiphon.export.rendering import Rendering
from antiphon.export.student import Student
from antiphon.export.tokens import KINDS, TOKENIZER
from antiphon.problem.source import DAMAGE
from antiphon.trace import Kind
from antiphon.train.recipe import Recipe

LONGER = "longer than {limit} tokens"
MASKED = "nothing to train on"
IGNORED = -100
"""A label that costs nothing."""

_STYLE, _CAPABILITY, _THINKING, _ANSWER = (
    KINDS.index(kind) for kind in (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING, Kind.ANSWER)
)


class TrainingRow(NamedTuple):
    """One row: its name, its ids, and by id how much predicting it counts, 0 where it is masked."""

    name: str
    ids: Sequence[int]
    weights: Sequence[float]

    @property
    def trained(self) -> int:
        """How many tokens are learned; the first has nothing before it."""
        return sum(weight > 0 for weight in self.weights[1:])


@dataclass(slots=True)
class Count:
    """What became of the rows of a file: how many are trained on, their tokens, those learned, the longest row; rows
    that were cut, rows left out by why; `unnamed`: rows that do not say whose ids they hold."""

    rows: int = 0
    tokens: int = 0
    trained: int = 0
    longest: int = 0
    cut: int = 0
    unnamed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def data_files(data: Path) -> list[Path]:
    """The files that hold the rows of an export, in order.

    Raises:
        UsageError: there is none.
    """
    if data.is_dir():
        found = sorted(path for path in data.glob("data/*") if path.name.endswith(SUFFIXES))
        if not found:
            raise UsageError(f"{data}: no data set that antiphon export wrote (it has no files of rows in data/)")
        return found
    if not data.is_file():
        raise UsageError(f"{data}: there is no such file; antiphon export writes one from a run")
    if not data.name.endswith(SUFFIXES):
        raise UsageError(f"{data}: training data end in {', '.join(SUFFIXES)}, or are a folder of antiphon export")
    return [data]


def training_rows(data: Path, student: Student, recipe: Recipe, limit: int, count: Count) -> Iterator[TrainingRow]:
    """The rows that are trained on, one after the other; `count` is kept up to date.

    Args:
        limit: the most tokens of a row.

    Raises:
        UsageError: a row cannot be read, is of no known shape, is made for another tokenizer, or does not tell what
            the loss needs; names file and row. Or the student has no chat template, which the data need.
    """
    reading = _Reading(student, recipe)
    number = 0
    try:
        for number, fields in enumerate(chain.from_iterable(rows(file, file.name) for file in data_files(data)), 1):
            try:
                row, named = reading.row(number, fields)
            except Unfit as unfit:
                count.left_out[str(unfit)] += 1
                continue
            count.unnamed += not named
            if len(row.ids) > limit:
                if recipe.longer == "leave_out":
                    count.left_out[LONGER.format(limit=f"{limit:,}")] += 1
                    continue
                row = row._replace(ids=row.ids[:limit], weights=row.weights[:limit])
                count.cut += 1
            if not (trained := row.trained):
                count.left_out[MASKED] += 1
                continue
            count.rows += 1
            count.tokens += len(row.ids)
            count.trained += trained
            count.longest = max(count.longest, len(row.ids))
            yield row
    except UsageError as error:
        raise UsageError(f"{data}: row {number}: {error}") from None
    except (ValueError, LookupError, TypeError, *DAMAGE) as error:
        raise UsageError(f"{data}: row {number + 1} cannot be read ({error})") from None


class _Reading:
    """Makes training rows of the rows of one file."""

    def __init__(self, student: Student, recipe: Recipe):
        self._student, self._loss, self._style_weight = student, recipe.loss, recipe.style_weight
        self._last = max(student.vocabulary.tokens)
        self._rendering: Rendering | None = None

    def row(self, number: int, fields: Mapping[str, Any]) -> tuple[TrainingRow, bool]:
        """A row, and whether it says that its ids are the student's, or needs not to."""
        if not isinstance(fields, Mapping):
            raise UsageError("not an object")
        name = str(fields.get("id", f"row {number}"))
        if "input_ids" in fields:
            return TrainingRow(name, *self._tokens(fields)), fields.get(TOKENIZER) is not None
        if self._loss not in ("all", "answer"):
            raise UsageError(
                f"loss {self._loss} needs to know who wrote each token and its kind, which only the export format"
                " tokens tells"
            )
        if "completion" in fields:
            return TrainingRow(name, *self._texts(fields["prompt"], fields["completion"], add_start=True)), True
        if "messages" in fields:
            return TrainingRow(name, *self._messages(fields["messages"])), True
        raise UsageError("neither tokens, prompt_completion nor messages; antiphon export writes these formats")

    def _tokens(self, fields: Mapping[str, Any]) -> tuple[list[int], list[float]]:
        vocabulary = self._student.vocabulary
        ids, labels = fields["input_ids"], fields["labels"]
        if (digest := fields.get(TOKENIZER)) not in (None, vocabulary.digest):
            raise UsageError(
                f"its ids are of another tokenizer ({str(digest)[:12]}) than {self._student.name}'s"
                f" ({vocabulary.digest[:12]}); export again with --student"
            )
        if ids and not 0 <= min(ids) <= max(ids) <= self._last:
            raise UsageError(
                f"its ids are not those of {self._student.name}, whose last is {self._last}; "
                "export again with --student"
            )
        if self._loss == "all":
            return ids, [0.0 if label == IGNORED else 1.0 for label in labels]
        if "kind" not in fields:
            raise UsageError(f"it has no column kind, which loss {self._loss} needs; export again as tokens")
        kinds = fields["kind"]
        if self._loss != "answer" and _THINKING in kinds:
            raise UsageError(
                f"nobody told style from capability in its thinking, which loss {self._loss} needs; data written in"
                " turns tell it"
            )
        weights = self._weights(kinds)
        return ids, [0.0 if label == IGNORED else weight for label, weight in zip(labels, weights, strict=True)]

    def _weights(self, kinds: Sequence[int]) -> list[float]:
        if self._loss == "capability":
            return [float(kind == _CAPABILITY) for kind in kinds]
        if self._loss == "style_down":
            return [self._style_weight if kind == _STYLE else 1.0 for kind in kinds]
        before = kinds.index(_ANSWER) if _ANSWER in kinds else len(kinds)
        return [0.0] * before + [1.0] * (len(kinds) - before)

    def _messages(self, messages: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[float]]:
        if self._rendering is None:
            self._rendering = Rendering(self._student, "messages")
        response = self._rendering.render(messages).response
        earlier = [Message(role=message["role"], content=message["content"]) for message in messages[:-1]]
        return self._texts(text_of(self._student.dialect.render(earlier)), response + self._student.end)

    def _texts(self, prompt: str, completion: str, *, add_start: bool = False) -> tuple[list[int], list[float]]:
        """Texts as a trainer reads them: control tokens that they spell are taken as such."""
        vocabulary, controls = self._student.vocabulary, self._student.vocabulary.controls
        ids = vocabulary.encode_parts(split(prompt, controls))
        if add_start and vocabulary.start_id is not None and (not ids or ids[0] != vocabulary.start_id):
            ids.insert(0, vocabulary.start_id)
        masked, learned = "", completion
        if self._loss == "answer":
            masked, learned = self._before_answer(completion)
        ids += vocabulary.encode_parts(split(masked, controls))
        before = len(ids)
        ids += vocabulary.encode_parts(split(learned, controls))
        return list(ids), [0.0] * before + [1.0] * (len(ids) - before)

    def _before_answer(self, completion: str) -> tuple[str, str]:
        family = self._student.dialect
        close = text_of((*family.think_close, *family.answer_open))
        thinking, found, answer = completion.partition(close)
        if not found:
            raise Unfit("no answer behind a closed thinking")
        return thinking + found, answer
