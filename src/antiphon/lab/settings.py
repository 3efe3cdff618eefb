"""What an experiment is: its problems, models, arms, trainings and points, as one validated configuration."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from antiphon.errors import SettingsError
from antiphon.lab.arms import ARMS, BY_RULE, MAIN, REPLAY, arm, writings
from antiphon.lab.results import BASE
from antiphon.settings import Boundary, Budget, Connection, Role, Sampling, Settings
from antiphon.train.recipe import Recipe, recipe


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Problems(_Section):
    """What is asked: the lab's own problems, or those of files."""

    train: int = Field(500, description="problems a seed that data are written of, drawn anew for each seed", ge=1)
    files: tuple[str, ...] = Field((), description="files that they are drawn from; none: the lab's")
    target: int = Field(200, description="problems of the target family that students are evaluated on", ge=1)
    others: int = Field(60, description="and of each other family", ge=0)
    evaluation: dict[str, tuple[str, ...]] = Field(
        {}, description="files of evaluation problems by family, the target first; none: the lab's"
    )
    replay: tuple[str, ...] = Field(
        (), description="files of problems of the other families, for the replay of the student's own traces"
    )
    verifiers: tuple[str, ...] = Field(
        ("antiphon.lab.verifier:LabVerifier",), description="who judges (docs/verify.md); none: whom the fields tell"
    )

    @property
    def of_the_lab(self) -> bool:
        """Whether they are the lab's own."""
        return not self.files


class Evaluating(_Section):
    """How a student is asked when it is evaluated."""

    sampling: Sampling = Field(Sampling(temperature=0.0), description="how tokens are drawn; greedily")
    budget: Budget = Field(Budget(thinking=300, answer=50), description="lengths")
    concurrency: int = Field(128, description="answers in flight", ge=1)


class Training(_Section):
    """How students are trained: a recipe by name, with other values for some of its settings."""

    student: str | None = Field(
        None,
        description="the model that is trained, a folder; unset: the one that writes, where that is none of a server",
    )
    preset: str = Field("lab", description="the recipe (docs/train.md)")
    values: dict[str, Any] = Field({}, description="its settings that are other ones, as antiphon train takes them")
    rate: float = Field(1e-4, description="the main learning rate, for all arms", gt=0)
    side_rates: tuple[float, ...] = Field((3e-5, 5e-4), description="further ones, for the side arms")
    side_arms: tuple[str, ...] = Field(MAIN, description="the arms that are trained at those, too")
    points: tuple[int, ...] = Field((40, 80, 150, 300), description="steps after which students are evaluated")
    keep: bool = Field(False, description="keep the weights of points before the last when they are evaluated")


_MINIATURE = Settings(
    teacher=Role(model="lab:teacher", runs="in-process"),
    student=Role(model="lab:student", runs="in-process"),
    boundary=Boundary(teacher="lab", student="lab"),
    budget=Budget(thinking=300, answer=50),
    concurrency=128,
)


class Experiment(_Section):
    """Everything an experiment needs besides its directory. The defaults are the miniature.

    A table that a file gives takes the place of the miniature's whole; what it leaves out is then as that table's
    own defaults are, for `synthesis` those of `antiphon synth`.
    """

    name: str = Field("miniature", description="what it is called in its report")
    problems: Problems = Field(Problems(), description="what is asked")
    synthesis: Settings = Field(_MINIATURE, description="how traces are written: models, boundaries, budgets")
    training: Training = Field(Training(), description="how students are trained")
    evaluation: Evaluating = Field(Evaluating(), description="how they are evaluated")
    arms: tuple[str, ...] = Field((BASE, *ARMS), description="what students are trained on (docs/lab.md)")
    seeds: tuple[int, ...] = Field((0, 1, 2, 3, 4), description="of training problems and order of rows")
    likelihood: bool = Field(True, description="measure how likely the data are under the base student")
    jobs: int = Field(2, description="processes that work at once", ge=1)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in (*self.arms, *self.training.side_arms):
            if name != BASE:
                arm(name)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each once, and at least one")
        points, steps = self.training.points, self.recipe("", self.training.rate, 0).steps
        if not points or list(points) != sorted(set(points)) or points[0] < 1 or (steps and points[-1] != steps):
            raise ValueError(f"training.points: rising, and the last one is the last step ({steps}); given: {points}")
        for name, writing in writings(self.trained).items():
            if name == BY_RULE and not self.problems.of_the_lab:
                raise ValueError("arms: by_rule is for the lab's own problems")
            if writing.problems == REPLAY and not (self.problems.of_the_lab or self.problems.replay):
                raise ValueError("arms: teacher_only_replay needs problems.replay")
        if bool(self.problems.files) != bool(self.problems.evaluation):
            raise ValueError("problems: files and evaluation are given together")
        for role in ("teacher", "student"):
            if getattr(self.synthesis, role).model is None:
                raise ValueError(f"synthesis.{role}.model: which one?")
        if "://" in self.student:
            raise ValueError("training.student: which folder holds the student's weights?")
        return self

    @property
    def trained(self) -> tuple[str, ...]:
        """The arms that are trainings."""
        return tuple(name for name in self.arms if name != BASE)

    def rates(self, name: str) -> tuple[float, ...]:
        """The learning rates at which an arm is trained, the main one first."""
        training = self.training
        return (training.rate, *(training.side_rates if name in training.side_arms else ()))

    def recipe(self, name: str, rate: float, seed: int) -> Recipe:
        """How an arm's student is trained.

        Raises:
            SettingsError: a value that it cannot have.
        """
        given = {**self.training.values, "rate": rate, "seed": seed}
        loss = arm(name).loss if name else "all"
        return recipe(self.training.preset, given if loss == "all" else {**given, "loss": loss}, "training.values")

    @property
    def student(self) -> str:
        """The model that is trained."""
        model = self.training.student or self.synthesis.student.model
        assert model is not None
        return model

    def evaluated(self, model: str | Path) -> Settings:
        """How a model is asked in an evaluation."""
        own = self.synthesis.student
        is_other = str(model) != own.model
        return self.synthesis.model_copy(
            update={
                "method": "student_only",
                "student": own.model_copy(
                    update={
                        "model": str(model),
                        "sampling": self.evaluation.sampling,
                        "server": Connection() if is_other else own.server,
                    }
                ),
                "budget": self.evaluation.budget,
                "samples": 1,
                "until_right": None,
                "concurrency": self.evaluation.concurrency,
                "seed": None,
            }
        )


def load(path: Path | None = None, **given: Any) -> Experiment:
    """The experiment of a TOML file, or the miniature.

    Args:
        given: tables and values that go before the file's; None values are passed over.

    Raises:
        SettingsError: an unreadable file, an unknown name, a bad value; names the file.
    """
    told: dict[str, Any] = {}
    if path is not None:
        try:
            told = tomllib.loads(path.read_text("utf-8-sig"))
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not valid TOML: {error}") from None
        told.setdefault("name", path.stem)
    return made({**told, **{name: value for name, value in given.items() if value is not None}}, str(path or "lab run"))


def made(values: Mapping[str, Any], where: str) -> Experiment:
    """An experiment from its values.

    Raises:
        SettingsError: they make none; says where they were said.
    """
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            said = problem["msg"].removeprefix("Value error, ")
            lines.append(": ".join(part for part in (where, name, said) if part))
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def quick() -> dict[str, Any]:
    """What is smaller in a quick experiment."""
    return {
        "name": "quick miniature",
        "problems": Problems(train=150, target=80, others=20),
        "training": Training(values={"steps": 80}, points=(20, 40, 80), side_rates=()),
        "arms": (BASE, *MAIN),
        "seeds": (0,),
    }


def of_pair(folder: Path) -> Settings:
    """The miniature's way of writing with another pair: `teacher` and `student` in a folder.

    Raises:
        SettingsError: they are not there.
    """
    roles = {}
    for role in ("teacher", "student"):
        place = folder / role
        if not place.is_dir():
            raise SettingsError(
                f"--pair {folder}: there is no {role} in it (python -m antiphon.lab.pretrain makes one)"
            )
        roles[role] = Role(model=str(place), runs="in-process")
    return _MINIATURE.model_copy(update=roles)
