"""Which problems an experiment asks: those that data are written of, and those that students are evaluated on.

The former go by seed; the latter are the same for all and never trained on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import chain

import antiphon.problem
from antiphon import lab
from antiphon.errors import ProblemError
from antiphon.lab.arms import ARMS, REPLAY
from antiphon.lab.settings import Experiment
from antiphon.problem import Problem, content_id

_EVALUATION = 1_000_003  # a seed of the lab's problems that no experiment trains on

Evaluated = Mapping[str, list[Problem]]
"""Problems by family, the target first."""


def evaluation(experiment: Experiment) -> Evaluated:
    """What students are evaluated on.

    Raises:
        ProblemError: files that cannot be read, a problem in two families.
    """
    asked = experiment.problems
    if asked.of_the_lab:
        return {
            family: _own(asked.target if family == lab.TARGET else asked.others, _EVALUATION, family, frozenset())
            for family in lab.FAMILIES
            if family == lab.TARGET or asked.others
        }
    found: dict[str, list[Problem]] = {}
    for number, (family, files) in enumerate(asked.evaluation.items()):
        found[family] = _read(files, family)[: asked.others if number else asked.target]
    ids = [problem.id for problem in chain.from_iterable(found.values())]
    if twice := {id for id in ids if ids.count(id) > 1}:
        raise ProblemError(f"problems.evaluation: {min(twice)!r} stands in several families; make ids unique")
    return found


def training(experiment: Experiment, seed: int) -> list[Problem]:
    """What data are written of with this seed.

    Raises:
        ProblemError: files that cannot be read or hold too few problems that are not evaluated on.
    """
    asked, known = experiment.problems, _evaluated(experiment)
    if asked.of_the_lab:
        return _own(asked.train, seed, lab.TARGET, {problem.id for problem in known})
    return _drawn(_read(asked.files, "problems.files"), asked.train, known, seed, "problems.files")


def replayed(experiment: Experiment, seed: int) -> list[Problem]:
    """Problems of the other families, of which the student's own traces are added to others.

    Raises:
        ProblemError: as `training`.
    """
    asked, known = experiment.problems, _evaluated(experiment)
    share = next(arm.share for arm in ARMS.values() if arm.added == REPLAY)
    number = round(asked.train * share / (1 - share))
    if not asked.of_the_lab:
        return _drawn(_read(asked.replay, "problems.replay"), number, known, seed, "problems.replay")
    others = [family for family in lab.FAMILIES if family != lab.TARGET]
    each, more = divmod(number, len(others))
    ids = {problem.id for problem in known}
    return [
        problem for place, family in enumerate(others) for problem in _own(each + (place < more), seed, family, ids)
    ]


DRAWN: Mapping[str, Callable[[Experiment, int], list[Problem]]] = {"train": training, REPLAY: replayed}
"""How the problems are drawn that variants are written of (`antiphon.lab.arms.Writing.problems`)."""


def _evaluated(experiment: Experiment) -> list[Problem]:
    return list(chain.from_iterable(evaluation(experiment).values()))


def _own(number: int, seed: int, family: str, without: set[str] | frozenset[str]) -> list[Problem]:
    return [
        Problem(
            record["id"],
            ({"role": "user", "content": record["problem"]},),
            {"family": family, "answer": record["answer"]},
        )
        for record in lab.problems(number, seed=seed, family=family, without=without)
    ]


def _read(files: tuple[str, ...], where: str) -> list[Problem]:
    loaded = antiphon.problem.load(files)
    loaded.require_good()
    if not loaded.problems:
        raise ProblemError(f"{where}: there is no problem in {', '.join(files)}")
    return loaded.problems


def _drawn(there: list[Problem], number: int, evaluated: list[Problem], seed: int, where: str) -> list[Problem]:
    """So many of them, none that is evaluated on, by id or by text."""
    ids = {problem.id for problem in evaluated}
    texts = {content_id(problem.messages) for problem in evaluated}
    free = [problem for problem in there if problem.id not in ids and content_id(problem.messages) not in texts]
    if len(free) < number:
        raise ProblemError(
            f"{where}: {number} problems are wanted, and {len(free)} are there that are not evaluated on"
        )
    return random.Random(seed).sample(free, number)
