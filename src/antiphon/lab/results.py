"""What an experiment came to, as it stands in its directory: every figure of a report is made from this.

Each unit of work leaves one JSON file, written whole when the unit is done, which is also how a later session knows
that it need not be done again. `docs/lab.md` shows the directory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from antiphon.errors import StoreFull, UsageError
from antiphon.files import atomic

BASE = "base"
"""The arm that is the student as it was, before any training."""

EXPERIMENT, SESSIONS = "experiment.json", "sessions.jsonl"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One student at one point of its training on the problems of one family, answered greedily.

    Attributes:
        arm: the data it was trained on; `BASE` for the student before training.
        rate: the learning rate; None for the base.
        seed: of the training problems and of the order of rows; 0 for the base.
        step: after so many steps; 0 for the base.
        problems, right: by problem id, in the same order in all evaluations of a family, whether the answer was right;
            a trace that did not end well is not.
        statuses: how the traces ended (`antiphon.trace.Status`): how many of each.
        tokens: mean length of the responses in the student's tokens, thinking and answer.
    """

    arm: str
    rate: float | None
    seed: int
    step: int
    family: str
    problems: tuple[str, ...]
    right: tuple[bool, ...]
    statuses: Mapping[str, int]
    tokens: float


@dataclass(frozen=True, slots=True)
class ArmData:
    """What one arm's students were trained on.

    Attributes:
        method: by which the traces were written; "" for data written by rule.
        traces: how many were written, and `statuses` how they ended.
        right: how many of the complete ones have the right answer; None where nothing was judged.
        rows: of the training file.
        excluded: traces that are not in it, by reason.
        tokens_trained: tokens of all rows that count in the loss.
        thinking, answer: mean tokens of a row.
        shares: of the tokens of thinking and answer by "author kind" ("teacher capability"), summing to 1; style told
            from capability by the boundary predictor where the record does not say. Empty where nobody measured.
        likelihood: nats a token under the base student: "whole", "style" (L_Sty), "capability" (L_Cap), "answer"; and
            "style part", "capability part": of all tokens, so that with the rest they sum to the whole.
        right_rows: rows with the right answer; None where nothing was judged.
    """

    arm: str
    seed: int
    method: str
    traces: int
    statuses: Mapping[str, int]
    right: int | None
    rows: int
    excluded: Mapping[str, int]
    tokens_trained: int
    thinking: float
    answer: float
    shares: Mapping[str, float]
    likelihood: Mapping[str, float]
    right_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """One student's training: where it is (`folder`, `curve`: relative to the directory), how long it took (if it was
    broken off: since it was taken up)."""

    arm: str
    rate: float
    seed: int
    folder: str
    curve: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DriftFigure:
    """One distance (`antiphon.analyse.drift`): its value, the 95% interval, what chance alone comes to, and p; None
    where it cannot be told."""

    value: float | None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """How unlike the base a trained student writes, at its last point, on `texts` problems of the evaluation, the
    target family apart from the others. `figures` by name: "style words" (Jensen-Shannon, bits), "TF-IDF similarity",
    "told apart" (share told right by a classifier) ..."""

    arm: str
    rate: float
    seed: int
    family: str
    texts: int
    figures: Mapping[str, DriftFigure]


@dataclass(frozen=True, slots=True)
class Results:
    """All of it. What is not done yet is not there.

    Attributes:
        name: the experiment's.
        config: its settings (`antiphon.lab.settings.Experiment`), as JSON has them.
        environment: versions of what was used, machine and cores.
        seconds: of all sessions that ended, by the clock.
        stages: seconds by stage, summed over everything that was done, also where several were done at once.
    """

    name: str
    config: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...] = ()
    data: tuple[ArmData, ...] = ()
    trainings: tuple[Training, ...] = ()
    drift: tuple[Drift, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)


def read(directory: str | Path) -> Results:
    """What there is in an experiment's directory, finished or not.

    Raises:
        UsageError: it is none, or a file in it is not what was written.
    """
    directory = Path(directory)
    told = load(directory / EXPERIMENT)
    if told is None:
        raise UsageError(f"{directory}: there is no experiment in it; antiphon lab run --to {directory} makes one")
    evaluations: list[Evaluation] = []
    data: list[ArmData] = []
    trainings: list[Training] = []
    drift: list[Drift] = []
    stages: dict[str, float] = {}
    for path in sorted(directory.glob("base.json")) + sorted(directory.glob("seed-*/*/*.json")):
        record = load(path) or {}
        try:
            for stage, seconds in record.get("stages", {}).items():
                stages[stage] = stages.get(stage, 0.0) + float(seconds)
            evaluations += map(_evaluation, record.get("evaluations", ()))
            data += (ArmData(**one) for one in record.get("data", ()))
            trainings += (Training(**one) for one in record.get("trainings", ()))
            drift += map(_drift, record.get("drift", ()))
        except (TypeError, AttributeError, ValueError, LookupError) as error:
            raise UsageError(f"{path}: is not what an experiment writes ({error}); remove it to do it again") from None
    return Results(
        told["name"],
        told["config"],
        tuple(evaluations),
        tuple(data),
        tuple(trainings),
        tuple(drift),
        told.get("environment", {}),
        sum(_sessions(directory)),
        stages,
    )


def put(
    path: Path,
    *,
    evaluations: tuple[Evaluation, ...] = (),
    data: tuple[ArmData, ...] = (),
    trainings: tuple[Training, ...] = (),
    drift: tuple[Drift, ...] = (),
    stages: Mapping[str, float] | None = None,
) -> None:
    """Writes what a unit came to.

    Raises:
        StoreFull: it cannot be written.
    """
    named: Mapping[str, tuple[Any, ...]] = {
        "evaluations": evaluations,
        "data": data,
        "trainings": trainings,
        "drift": drift,
    }
    record: dict[str, Any] = {name: [asdict(one) for one in some] for name, some in named.items() if some}
    save(path, {**record, "stages": {name: round(seconds, 3) for name, seconds in (stages or {}).items()}})


def save(path: Path, value: Any) -> None:
    """Puts a JSON file in its place in one step.

    Raises:
        StoreFull: it cannot be written.
    """
    with kept(path) as file:
        file.write(json.dumps(value, indent=1).encode())


@contextmanager
def kept(path: Path) -> Iterator[BinaryIO]:
    """A file of the experiment to write, which is put in its place in one step; folders are made.

    Raises:
        StoreFull: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            yield file
    except OSError as error:
        raise StoreFull(f"{path}: cannot be written: {error.strerror or error}; all that is done is kept") from None


def load(path: Path) -> Any:
    """A JSON file; None where there is none.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); remove it to do it again") from None


def _evaluation(told: Mapping[str, Any]) -> Evaluation:
    return Evaluation(**{**told, "problems": tuple(told["problems"]), "right": tuple(told["right"])})


def _drift(told: Mapping[str, Any]) -> Drift:
    return Drift(**{**told, "figures": {name: DriftFigure(**one) for name, one in told["figures"].items()}})


def _sessions(directory: Path) -> list[float]:
    path = directory / SESSIONS
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [float(json.loads(line)["seconds"]) for line in lines]
