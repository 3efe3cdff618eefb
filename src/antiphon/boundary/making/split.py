"""Which marked texts are for training and which for testing: split by problem, never by text."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from antiphon.boundary.making.marked import MarkedText
from antiphon.errors import UsageError
from antiphon.plural import many

_LEAST_TEXTS, _LEAST_WORDS = 10, 20
_SHOWN = 3


def folds(marked: Sequence[MarkedText], number: int, seed: int = 0) -> list[list[MarkedText]]:
    """Splits marked texts into test parts, all texts of one problem in one of them.

    Each domain is spread over the parts as evenly as its problems allow. The same problems, number and seed give the
    same parts, in whatever order the texts come; within a part they keep their order.

    Raises:
        UsageError: there are fewer problems than parts.
    """
    by_problem: dict[str, Counter[str]] = defaultdict(Counter)
    for item in marked:
        by_problem[item.problem_key][item.domain] += 1
    if len(by_problem) < number:
        raise UsageError(f"{many(len(by_problem), 'problem')} cannot be split into {number} parts; mark texts of more")

    def large_first(problem: str) -> tuple[int, str]:
        return -by_problem[problem].total(), hashlib.sha256(
            f"{seed}/{problem}".encode("utf-8", "surrogatepass")
        ).hexdigest()

    part_of: dict[str, int] = {}
    sizes: list[Counter[str]] = [Counter() for _ in range(number)]
    for problem in sorted(by_problem, key=large_first):
        domain = min(by_problem[problem], key=lambda name: (-by_problem[problem][name], name))
        part = min(range(number), key=lambda n: (sizes[n][domain], sizes[n].total(), n))
        part_of[problem] = part
        sizes[part] += by_problem[problem]
    parts: list[list[MarkedText]] = [[] for _ in range(number)]
    for item in marked:
        parts[part_of[item.problem_key]].append(item)
    return parts


def held_out(
    marked: Sequence[MarkedText], share: float = 0.1, seed: int = 0
) -> tuple[list[MarkedText], list[MarkedText]]:
    """(train, held out): about this share of the texts (above 0, at most 0.5) and their problems set apart, as
    `folds` does it.

    Raises:
        UsageError: there are too few problems.
    """
    held, *others = folds(marked, round(1 / share), seed)
    kept = {item.problem_key for part in others for item in part}
    return [item for item in marked if item.problem_key in kept], held


def problem_digests(marked: Iterable[MarkedText]) -> frozenset[str]:
    """The problems of marked texts, as a predictor's card names what it was trained on: the first 12 hexadecimal
    digits of the SHA-256 of each problem_key."""
    return frozenset(_digest(item.problem_key) for item in marked)


def shared_problems(trained_on: Collection[str], marked: Iterable[MarkedText]) -> list[str]:
    """The problem_keys of marked texts that are among those trained on (`problem_digests`), sorted."""
    return sorted({item.problem_key for item in marked if _digest(item.problem_key) in trained_on})


def require_unseen(trained_on: Collection[str], marked: Sequence[MarkedText], tested: str) -> None:
    """Refuses to test on problems that a predictor was trained on.

    Args:
        trained_on: as `problem_digests` gives them.
        tested: what the texts are called in the message.

    Raises:
        UsageError: there are such problems.
    """
    shared = shared_problems(trained_on, marked)
    if shared:
        known = set(shared)
        texts = sum(item.problem_key in known for item in marked)
        named = ", ".join(shared[:_SHOWN]) + (", ..." if len(shared) > _SHOWN else "")
        raise UsageError(
            f"{tested}: the predictor was trained on the problems of {texts:,} of {many(len(marked), 'text')}"
            f" ({named}): figures on these say nothing; leave them out, or allow it (--allow-shared)"
        )


def require_trainable(marked: Sequence[MarkedText], where: str) -> None:
    """Refuses data on which nothing can be trained.

    Args:
        where: what the data are called in the message, as a file's name.

    Raises:
        UsageError: there are fewer than 10 texts or 2 problems, or fewer than 20 words of either class.
    """
    problems = len({item.problem_key for item in marked})
    if len(marked) < _LEAST_TEXTS or problems < 2:
        raise UsageError(
            f"{where}: too little to train on, {many(len(marked), 'text')} of {many(problems, 'problem')}; mark at"
            f" least {_LEAST_TEXTS} texts of at least 2 problems"
        )
    classes = [style for item in marked for style in item.classes]
    for name, number in (("style", sum(classes)), ("capability", len(classes) - sum(classes))):
        if number < _LEAST_WORDS:
            raise UsageError(
                f"{where}: {number} of {len(classes)} words are {name}; to tell the classes apart at least"
                f" {_LEAST_WORDS} words of each must be there"
            )


def _digest(problem_key: str) -> str:
    return hashlib.sha256(problem_key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
