"""From the traces of a seed to each arm's training file, and what that is like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import antiphon.boundary
from antiphon.analyse.scores import Cell
from antiphon.analyse.scoring import Scorer
from antiphon.analyse.text import Text, marked, problem_key, stretches
from antiphon.boundary.base import BoundaryPredictor
from antiphon.errors import UsageError
from antiphon.export import write
from antiphon.export.student import read_student
from antiphon.export.tokens import AUTHORS, KINDS
from antiphon.lab.arms import WRITINGS, Arm
from antiphon.lab.marking import mark
from antiphon.lab.results import ArmData, kept
from antiphon.lab.settings import Experiment
from antiphon.settings import Boundary
from antiphon.store import Reader
from antiphon.trace import Author, Key, Kind, Label

WRONG, LEVEL = "no right answer", "left out for equal lengths"
"""Why complete traces are not in an arm's file."""

_THINKING = tuple(KINDS.index(kind) for kind in (Kind.STYLE, Kind.CAPABILITY, Kind.THINKING))
_CAPABILITY, _ANSWER = KINDS.index(Kind.CAPABILITY), KINDS.index(Kind.ANSWER)

Row = dict[str, Any]


class Source:
    """The data of one seed: its run directory, and what rows are made and measured with.

    Args:
        reader: of the run directory, written and judged.
        scorer: the base student; None: likelihood is not measured.
    """

    def __init__(self, experiment: Experiment, seed: int, reader: Reader, scorer: Scorer | None):
        self._experiment, self._seed, self._reader, self._scorer = experiment, seed, reader, scorer
        self._vocabulary = read_student(experiment.student).vocabulary
        self._predictors = predictors(experiment.synthesis.boundary)
        self._rows: dict[str, tuple[list[Row], Mapping[str, int]]] = {}
        self._cells: dict[str, Sequence[Cell]] = {}
        self._labels = {
            str(standing.key): standing.verdict.label
            for together in reader.standings()
            for standing in together
            if standing.verdict is not None
        }

    async def make(self, arm: Arm, to: Path) -> ArmData:
        """Writes an arm's training file; what it came to.

        Raises:
            UsageError: no row is left.
            StoreFull: it cannot be written.
            AntiphonError: as `antiphon.export.write`, a predictor and the scorer do.
        """
        rows, left_out = await self._of(arm.variant, to.parent)
        excluded = Counter(left_out)
        if arm.right_only:
            rows = self._without(rows, [row for row in rows if self._is_right(row)], excluded, WRONG)
        if arm.level_with is not None:
            other, _ = await self._of(arm.level_with, to.parent)
            rows = self._without(rows, level(rows, other), excluded, LEVEL)
        if arm.added is not None:
            more, _ = await self._of(arm.added, to.parent)
            rows = [*rows, *more[: round(len(rows) * arm.share / (1 - arm.share))]]
        if not rows:
            raise UsageError(f"arm {arm.name}, seed {self._seed}: no row is left to train on ({dict(excluded)})")
        with kept(to) as file:
            file.writelines(json.dumps(row).encode() + b"\n" for row in rows)
        statuses: Counter[str] = Counter()
        labels: Counter[Label | None] = Counter()
        for (status, label), count in self._reader.standing_counts(arm.variant).items():
            statuses["pending" if status is None else status.value] += count
            labels[label] += count
        judged = any(label is not None for label in labels)
        return ArmData(
            arm=arm.name,
            seed=self._seed,
            method=WRITINGS[arm.variant].method,
            traces=statuses.total(),
            statuses=dict(statuses),
            right=labels[Label.RIGHT] if judged else None,
            rows=len(rows),
            excluded={reason: count for reason, count in excluded.items() if count},
            tokens_trained=sum(_capability(row) if arm.loss == "capability" else _response(row) for row in rows),
            thinking=sum(_count(row, _THINKING) for row in rows) / len(rows),
            answer=sum(_count(row, (_ANSWER,)) for row in rows) / len(rows),
            shares=_shares(rows),
            likelihood={} if self._scorer is None else await self._likelihood(self._scorer, rows),
            right_rows=sum(map(self._is_right, rows)) if judged else None,
        )

    async def _of(self, variant: str, folder: Path) -> tuple[list[Row], Mapping[str, int]]:
        """The rows of a variant's complete traces in the order of its problems, all kinds told; what was left out."""
        if variant not in self._rows:
            path = folder / f".{variant}.jsonl"
            student = self._experiment.student
            done = write(self._reader, "tokens", path, variant=variant, student=student, overwrite=True)
            rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            path.unlink()
            await mark(rows, self._vocabulary, self._predictors)
            places = self._reader.places()
            rows.sort(key=lambda row: (places[row["problem_id"]], row["sample"]))
            self._rows[variant] = rows, done.left_out
        return self._rows[variant]

    def _is_right(self, row: Row) -> bool:
        return self._labels.get(row["id"]) is Label.RIGHT

    @staticmethod
    def _without(rows: Sequence[Row], kept: list[Row], excluded: Counter[str], reason: str) -> list[Row]:
        excluded[reason] += len(rows) - len(kept)
        return kept

    async def _likelihood(self, scorer: Scorer, rows: Iterable[Row]) -> dict[str, float]:
        """Of these rows' responses, nats a token. A trace is scored once, in however many arms it is."""
        rows = list(rows)
        texts = []
        for row in rows:
            if row["id"] not in self._cells:
                key = Key(row["problem_id"], row["variant"], row["sample"])
                problem = self._reader.problem(key.problem)
                said = stretches(self._reader.trace(key).spans)
                texts.append(Text(row["id"], problem_key(problem), problem.messages, said))
        told = await marked(texts, self._predictors[Author.TEACHER])
        for text, scored in zip(told, await scorer.score(told), strict=True):
            self._cells[text.key] = scored.cells
        return means([cell for row in rows for cell in self._cells[row["id"]]])


def predictors(boundary: Boundary) -> dict[Author, BoundaryPredictor]:
    """Who reads whose text."""
    named = {Author.STUDENT: boundary.student, Author.TEACHER: boundary.teacher}
    return {author: antiphon.boundary.load(name) for author, name in named.items()}


def level(rows: Iterable[Row], others: Iterable[Row]) -> list[Row]:
    """Of these rows as many of each length in trained tokens as the others have at most, the first of them. The other
    way round it gives as many, so that two arms differ in none of their lengths."""
    free = Counter(map(_response, others))
    kept = []
    for row in rows:
        length = _response(row)
        if free[length]:
            free[length] -= 1
            kept.append(row)
    return kept


def means(cells: Sequence[Cell]) -> dict[str, float]:
    """Nats a token of all tokens ("whole"), of those of each kind, and each kind's part of the whole ("style part")."""
    nats: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for cell in cells:
        nats[cell.kind.value] += cell.nats  # type: ignore[assignment]
        tokens[cell.kind.value] += cell.tokens
    if not (whole := tokens.total()):
        return {}
    found = {"whole": sum(nats.values()) / whole}
    for kind in tokens:
        found[kind] = nats[kind] / tokens[kind]
        found[f"{kind} part"] = nats[kind] / whole
    return found


def _response(row: Row) -> int:
    return sum(label >= 0 for label in row["labels"])


def _capability(row: Row) -> int:
    return sum(label >= 0 and kind == _CAPABILITY for label, kind in zip(row["labels"], row["kind"], strict=True))


def _count(row: Row, kinds: Iterable[int]) -> int:
    return sum(map(row["kind"].count, kinds))


def _shares(rows: Iterable[Row]) -> dict[str, float]:
    counts: Counter[tuple[int, int]] = Counter()
    for row in rows:
        counts.update(zip(row["author"], row["kind"], strict=True))
    owned = {part: count for part, count in counts.items() if part[1] in (*_THINKING, _ANSWER)}
    whole = sum(owned.values())
    return {f"{AUTHORS[author]} {KINDS[kind]}": count / whole for (author, kind), count in sorted(owned.items())}
