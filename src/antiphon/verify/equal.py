"""Whether two results of mathematics are the same. It is for judging processes alone: sympy may take for ever."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import math_verify

_DROPPED = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\[!,;: ]|\\q?quad|~|\\displaystyle|\\limits")
_WORDS = re.compile(r"\\(?:text|mbox|mathrm|textbf|textit|mathbf|operatorname)\s*\{([^{}]*)\}")
_DEGREES = re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|°|\\degree|\\circ(?![a-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)|\\frac\s*\{([^{}]*)\}\s*(\d)|\\frac\s*(\d)\s*\{([^{}]*)\}")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_QUANTITY = re.compile(r"([-+]?[\d.,]*\d)\s*([a-zA-Z][a-zA-Z² ^0-9/-]*[a-zA-Z²\d.])")
_IN_BASE = re.compile(r"(\w+)_\{(\d+)\}")
_FACTORS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_FUNCTIONS = {"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "mod", "or", "and", "to"}
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "π": r"\pi ", "∞": r"\infty ", "√": r"\sqrt ", "×": r"\times ", "·": r"\cdot "}
)


def same(golds: list[str], answer: str) -> bool:
    """Whether a result is one of those accepted, each written in LaTeX, as a number, or in words."""
    return any(_same(gold, answer) for gold in golds)


def _same(gold: str, answer: str) -> bool:
    one, other = normal(gold), normal(answer)
    if one == other:
        return bool(one)
    a, b = number(one), number(other)
    if a is not None and b is not None:
        return a == b
    if a is not None and b is None and other.endswith("%"):
        share = number(other.rstrip("\\%"))
        return share is not None and a in (share, share / 100)
    if b is not None and a is None and one.endswith("%"):
        share = number(one.rstrip("\\%"))
        return share is not None and b in (share, share / 100)
    if a is not None and (amount := quantity(answer)) is not None:
        return a == amount
    if (numeral := _IN_BASE.fullmatch(one)) is not None:  # math-verify looks at no base
        return other == numeral[1]
    return mathematically_same(gold, answer if a is None else _ungrouped(answer))


def normal(text: str) -> str:
    """One spelling for what is written in many: sizes, spaces, units of degrees, dollars, short fractions, bases."""
    text = text.translate(_SIGNS).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")
    text = _DROPPED.sub("", text.replace("{,}", ",").replace("\\$", "$").replace("\\%", "%"))
    words = bool(_WORDS.fullmatch(text.strip().strip("$. "))) or bool(
        re.fullmatch(r"(?=.*[A-Za-z]{3})[A-Za-z' -]+", text.strip(" .$"))
    )
    text = _DEGREES.sub("", _WORDS.sub(r"\1", text))
    text = re.sub(r"(?<=\d)\s*degrees?\b", "", text)
    text = text.strip().strip("$€£").rstrip(".")
    text = re.sub(r"\s+", "", text)
    text = re.sub(r"^([-+]?)[$€£]", r"\1", text)
    while (shorter := _SHORT_FRACTION.sub(_full_fraction, text)) != text:
        text = shorter
    text = re.sub(r"\\sqrt(\w)", r"\\sqrt{\1}", text)
    text = re.sub(r"([_^])([\w])(?![\w])", r"\1{\2}", text)
    if re.fullmatch(r"\(?[A-Za-z]\)?", text):
        text = text.strip("()")
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    return text.casefold() if words and len(text) > 1 else text


def number(text: str) -> Fraction | None:
    """The value of a plain whole or decimal number."""
    if not _PLAIN.fullmatch(text) or len(text) > 4_000:
        return None
    return Fraction(text if not text.endswith(".") else text[:-1])


def quantity(text: str) -> Fraction | None:
    """The value of a number that words of a unit follow."""
    text = _WORDS.sub(r" \1", _DROPPED.sub("", text.replace("\\$", "$"))).strip().strip("$").strip().lstrip("$")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    words = re.findall(r"[a-z]+", match[2].lower())
    if any(word in _FUNCTIONS for word in words) or len(words[0]) < 2:
        return None
    value = number(normal(match[1]))
    return None if value is None else value * _FACTORS.get(words[0], 1)


def _full_fraction(match: re.Match[str]) -> str:
    above, below = next(
        pair for pair in (match.group(1, 2), match.group(3, 4), match.group(5, 6)) if pair[0] is not None
    )
    return f"\\frac{{{above}}}{{{below}}}"


def mathematically_same(gold: str, answer: str) -> bool:
    """Whether math-verify finds them the same."""
    golds = _parsed(gold)
    answers = _parsed(answer)
    return bool(math_verify.verify(golds, answers, timeout_seconds=None)) if golds and answers else False


@lru_cache(maxsize=1_000)
def _parsed(text: str) -> Any:
    """What math-verify makes of a formula, or of words with one among them."""
    text = text.translate(_SIGNS).replace("{,}", ",").replace("°", "^\\circ")
    return math_verify.parse(f"\\boxed{{{text}}}", parsing_timeout=None)


def _ungrouped(text: str) -> str:
    """Numbers without separators of thousands."""
    text = re.sub(r",\\!\s*|\{,\}", ",", text)
    return re.sub(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda found: found[0].replace(",", ""), text)
