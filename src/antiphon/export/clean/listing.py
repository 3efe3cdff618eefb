"""What cleaning left out, answer by answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from antiphon.export.clean.base import Cleaner

if TYPE_CHECKING:
    from antiphon.export.base import Pair


def listed(pairs: Iterable[Pair], cleaners: Sequence[Cleaner]) -> Iterator[dict[str, Any]]:
    """A row for each answer that one of these filters left out: which it is, the reason and what lies behind it.

    Args:
        pairs: as the export saw them.
        cleaners: after the export.
    """
    for problem, outcome in pairs:
        if outcome.response is None:
            continue
        for cleaner in cleaners:
            if (reason := cleaner.reason(problem, outcome)) is not None:
                yield {
                    "problem": outcome.key.problem,
                    "variant": outcome.key.variant,
                    "sample": outcome.key.sample,
                    "reason": reason,
                    **cleaner.detail(problem, outcome),
                }
                break
