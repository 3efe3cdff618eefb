"""Markers that arrive as text: of families that have no token for them, and from servers that tell no ids.

Such a marker is the author's only outside a code fence; inside one it is code that mentions it.
"""

from __future__ import annotations

import re
from copy import copy
from typing import NamedTuple

_FENCE = re.compile(r"\s*(`{3,})(.*)", re.DOTALL)


class Fence:
    """Whether a text, read piece by piece, stands inside a code fence: from a line that begins with three or more
    backticks to the next one that has nothing else on it. A run that is closed on its own line is no fence."""

    def __init__(self) -> None:
        self._opened = 0  # backticks of the fence that whole lines left open
        self._line = ""  # the unfinished line, as far as it matters

    def push(self, text: str) -> None:
        """Reads on."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._opened = self._after(line)
        if self._line.lstrip()[:1] not in ("", "`"):
            self._line = "."

    @property
    def inside(self) -> bool:
        """Whether the text read so far ends inside a fence."""
        return self._after(self._line) > 0

    def _after(self, line: str) -> int:
        found = _FENCE.match(line)
        if found is None:
            return self._opened
        run, rest = found.groups()
        if not self._opened:
            return 0 if "```" in rest else len(run)
        return 0 if len(run) >= self._opened and not rest.strip() else self._opened


class Markers(NamedTuple):
    """The spellings that close an author's thinking and that end its turn where they come as text."""

    closing: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()


class MarkerReader:
    """Finds the first marker in what an author writes, however it is cut into pieces.

    Args:
        markers: what to find; with none, all text is text.
        fence: where the text begins.
    """

    def __init__(self, markers: Markers, fence: Fence):
        self._spellings = (*markers.closing, *markers.ending)
        self._find = re.compile("|".join(map(re.escape, self._spellings)))
        self._fence = copy(fence)

    def read(self, text: str, *, final: bool = False) -> tuple[int, str | None]:
        """How many of the first characters are text for certain, and the marker that follows them, if one does. What
        may be the beginning of a marker is uncertain, unless the text is `final`.

        Args:
            text: what follows the certain text of the calls before.
        """
        if not self._spellings:
            return len(text), None
        at = 0
        while (found := self._find.search(text, at)) is not None:
            self._fence.push(text[at : found.start()])
            if not self._fence.inside:
                return found.start(), found[0]
            self._fence.push(found[0])
            at = found.end()
        certain = len(text)
        if not final:
            certain -= max(_begun(text[at:], spelling) for spelling in self._spellings)
        self._fence.push(text[at:certain])
        return certain, None


def _begun(text: str, marker: str) -> int:
    """How many of the last characters may be the beginning of `marker`."""
    for length in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:length]):
            return length
    return 0
