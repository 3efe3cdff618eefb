"""Where everything stands in an experiment's directory.

experiment.json          the settings and the machine
base.json, base          the evaluation of the student as it was, and its run directory
seed-N/run               the traces of one seed, all variants
seed-N/data/ARM.jsonl    an arm's training file, and ARM.json what it is like
seed-N/students/NAME     a training (`antiphon.train`); NAME is the arm and its learning rate
seed-N/answers/NAME      the run directory of its evaluations, a variant for each point
seed-N/students/NAME.json   what the student came to, written when all of it is done
sessions.jsonl           how long each session took
"""

from __future__ import annotations

from pathlib import Path

from antiphon.lab.results import EXPERIMENT, SESSIONS


class Place:
    """The names in an experiment's directory."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.experiment = directory / EXPERIMENT
        self.sessions = directory / SESSIONS
        self.base = directory / "base"
        self.base_record = directory / "base.json"

    def run(self, seed: int) -> Path:
        """The run directory of a seed."""
        return self._seed(seed) / "run"

    def data(self, seed: int, arm: str) -> Path:
        """An arm's training file."""
        return self._seed(seed) / "data" / f"{arm}.jsonl"

    def data_record(self, seed: int, arm: str) -> Path:
        """What that is like."""
        return self._seed(seed) / "data" / f"{arm}.json"

    def student(self, seed: int, arm: str, rate: float) -> Path:
        """A training."""
        return self._seed(seed) / "students" / f"{arm}-{rate:g}"

    def student_record(self, seed: int, arm: str, rate: float) -> Path:
        """What its student came to."""
        return self._seed(seed) / "students" / f"{arm}-{rate:g}.json"

    def answers(self, seed: int, arm: str, rate: float) -> Path:
        """Its evaluations."""
        return self._seed(seed) / "answers" / f"{arm}-{rate:g}"

    def relative(self, path: Path) -> str:
        """As records name a place."""
        return path.relative_to(self.directory).as_posix()

    def _seed(self, seed: int) -> Path:
        return self.directory / f"seed-{seed}"
