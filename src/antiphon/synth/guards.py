"""Guards: what ends a trace that goes nowhere.

A loop is text whose end repeats with one period: a phrase, a run of CJK characters, whole paragraphs. Models also
repeat legally (a matrix of zeros, a table, code), so what has few letters, and what stands in a code fence, may
repeat far longer before it counts.
"""

from __future__ import annotations

_WINDOW = 16384  # characters looked back: a period is found up to a third of this
_EVERY = 128  # characters between two looks
_PROBES = (24, 120, 600)  # an earlier occurrence of so much of the end suggests a period; sentences may begin alike

_LEAST_REPEATS = 4  # of the period
_LEAST_PROSE = 600  # characters of repetition that count as a loop
_LEAST_SYMBOLS = 6000  # the same for digits, symbols and code


def looping(text: str, *, code: bool = False) -> bool:
    """Whether the end of `text` is a loop: one period repeated over at least 600 characters (6,000 for code, digits and
    symbols), at least four times (three where the period is longer than 600)."""
    periods = {_period(text, probe) for probe in _PROBES}
    return any(_repeats(text, period, code) for period in periods if period)


def _repeats(text: str, period: int, code: bool) -> bool:
    repeated = period + _agreeing(text, period)
    unit = text[-period:]
    letters = sum(character.isalpha() for character in unit)
    least = _LEAST_SYMBOLS if code or letters * 3 < len(unit.replace(" ", "")) else _LEAST_PROSE
    repeats = 3 if period > _LEAST_PROSE else _LEAST_REPEATS
    return repeated >= least and repeated >= repeats * period


class RepetitionGuard:
    """Watches kept text. `push` says True once the text has become a loop; it looks at fixed distances, so that the
    place does not depend on how the text was cut into tokens' groups."""

    def __init__(self) -> None:
        self._tail = ""
        self._since = 0
        self._in_code = False
        self._fence_tail = ""

    def push(self, text: str) -> bool:
        """Adds one token's text; True where the trace should end here."""
        self._tail += text
        self._since += len(text)
        self._watch_fences(text)
        if self._since < _EVERY:
            return False
        self._since %= _EVERY
        self._tail = self._tail[-_WINDOW:]
        return looping(self._tail, code=self._in_code)

    def _watch_fences(self, text: str) -> None:
        seen = self._fence_tail + text
        while (at := seen.find("```")) >= 0:
            self._in_code = not self._in_code
            seen = seen[at + 3 :]
        self._fence_tail = seen[-2:]


def _period(text: str, length: int) -> int:
    """The distance to the last earlier occurrence of the end of the text, 0 if there is none."""
    at = text.rfind(text[-length:], 0, len(text) - 1)
    return len(text) - length - at if at >= 0 and len(text) > length else 0


def _agreeing(text: str, period: int) -> int:
    """How many of the last characters equal those one period before them."""
    low, high = 0, len(text) - period
    while low < high:
        middle = (low + high + 1) // 2
        if text[-middle:] == text[-middle - period : -period]:
            low = middle
        else:
            high = middle - 1
    return low
