"""Multiple choice: which option an answer declares, by letter or by its text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify import declared
from antiphon.verify.checker import BrokenCheck, Checker, Finding, shown

OPTIONS = ("choices", "options")
"""Fields that may hold the options: a list of texts, an object by letter, or `{"label": [...], "text": [...]}`."""
ANSWERS = ("answer", "answerKey", "answer_index", "gold", "correct_answer")
"""Fields that may say the right one: its letter, its text, or its number from 0."""
RIGHT, OTHERS = "Correct Answer", "Incorrect Answer "
"""GPQA's fields; the others are numbered from 1. Which letter is which is read from the problem's text."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LISTED = re.compile(r"^[ \t*]*\(?([A-Z])[).:][)*]*[ \t]+(\S.*)$", re.MULTILINE)
_LETTER = re.compile(
    r"\s*+(?:(?:option|choice|letter)\s++)?([\s(\[*_`\"'$]*+(?:\\(?:text|mathrm|mathbf|textbf)\s*\{)?[\s(*]*)"
    r"([A-Z])(?![A-Za-z0-9'’])([).:}\]*]?)",
    re.IGNORECASE,
)
_FURTHER = re.compile(
    r"[\s)\]*_`\"'$}.,:]*(?:\b(?:or|and)\b|/|&)[\s(\[*_`\"'$]*(?:\\text\s*\{)?([A-Z])(?![A-Za-z0-9'’])"
)
_DECLARATIONS = 100  # of which a letter is looked for
_LONGEST = 2_000
"""Characters of a declaration that are looked at."""
_WORD = re.compile(r"\s+([a-z]+)")
_LEADING_ON = {"as", "and", "because", "based", "by", "due", "is", "or", "since", "which", "with"}
_CALLED = re.compile(
    r"\b(?:option|choice|answer)\s+\**\(?([A-Z])\)?\**\s+(?:is|would be)\s+(?:the\s+)?(?:correct|right|best|answer)",
    re.IGNORECASE,
)


class ChoiceVerifier(Checker):
    """Judges the option that an answer declares last."""

    name = "choice"
    version = "1"

    def suits(self, problem: Problem) -> bool:
        fields = problem.metadata
        if isinstance(fields.get(RIGHT), str):
            return True
        has_options = any(isinstance(fields.get(name), (list, dict)) and fields[name] for name in OPTIONS)
        return has_options and any(fields.get(name) is not None for name in ANSWERS)

    async def _judge(self, fields: Mapping[str, Any], problem: Problem, answer: str) -> Finding:
        options, right = _options(fields, problem)
        chosen = _declared(answer, options)
        if chosen is None:
            return Finding(Label.NO_ANSWER, "it declares no option")
        if chosen == right:
            return Finding(Label.RIGHT, chosen)
        return Finding(Label.WRONG, f"{shown(chosen)} is not {right}")


def _declared(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter declared, several joined by "or" where they are declared at once; a letter without an option counts.

    The first of these that there is, of each the last: a box; "the answer is ...", "Option B is correct"; the last
    line, if it begins with a letter or in bold words that are one, or is an option's text.
    """
    called = [match[1].upper() for match in _CALLED.finditer(answer)]
    lines = [line for line in answer.splitlines() if line.strip(" *_`-#$")]
    last = lines[-1].strip() if lines else ""
    emphasised = declared.emphasised(answer)
    for words in (declared.boxed(answer), *islice(declared.said(answer), _DECLARATIONS)):
        if words is not None and (letter := _option_of(words, options)) is not None:
            return letter
    if called:
        return called[-1]
    for words in (last, emphasised):
        if words is not None and (letter := _option_of(words, options)) is not None:
            return letter
    return None


def _option_of(words: str, options: Mapping[str, str]) -> str | None:
    """The letter with which words begin, or that of the option that they are."""
    words = words[:_LONGEST]
    plain = _plain(words)
    for letter, text in options.items():
        if plain == _plain(text) or plain == _plain(f"{letter} {text}"):
            return letter
    match = _LETTER.match(words)
    if match is None:
        return None
    before, letter, after = match.groups()
    if not after and len(plain) > 1:
        word = _WORD.match(words, match.end())
        if letter.islower() or (not before.strip() and word is not None and word[1] not in _LEADING_ON):
            return None  # an article, or "I"
    letters = [letter.upper()]
    end = match.end()
    while (match := _FURTHER.match(words, end)) is not None:
        letters.append(match[1].upper())
        end = match.end()
    return " or ".join(dict.fromkeys(letters))


def _plain(text: str) -> str:
    """Text without what writing it in TeX or Markdown changes."""
    text = re.sub(r"\\(?:text|mathrm|mathbf|textbf|left|right|,|;|!| )", "", text)
    return re.sub(r"[\s*_`$\\{}().\[\]:]+", "", text).casefold()


def _options(fields: Mapping[str, Any], problem: Problem) -> tuple[dict[str, str], str]:
    """The options by letter, and the letter of the right one."""
    if isinstance(right := fields.get(RIGHT), str):
        texts = [right, *(str(fields[name]) for name in fields if name.startswith(OTHERS) and fields[name] is not None)]
        options = _as_asked(problem, texts)
        if options is None:
            raise BrokenCheck("its text does not list the options with letters, so that none can be told right")
        return options, next(letter for letter, text in options.items() if _plain(text) == _plain(right))
    name = next((name for name in OPTIONS if fields.get(name)), None)
    if name is None:
        raise BrokenCheck(f"it has no options; looked for: {', '.join((*OPTIONS, RIGHT))}")
    options = _lettered(fields[name], name)
    answer = next((name for name in ANSWERS if fields.get(name) is not None), None)
    if answer is None:
        raise BrokenCheck(f"it does not say which option is right; looked for: {', '.join(ANSWERS)}")
    return options, _right(fields[answer], answer, options)


def _as_asked(problem: Problem, texts: Sequence[str]) -> dict[str, str] | None:
    """The letters that the problem's text gives to these options."""
    listed = {match[1]: match[2].rstrip() for match in _LISTED.finditer(problem.messages[-1]["content"])}
    wanted = {_plain(text) for text in texts}
    found = {letter: text for letter, text in listed.items() if _plain(text) in wanted}
    return found if {_plain(text) for text in found.values()} == wanted else None


def _lettered(value: Any, name: str) -> dict[str, str]:
    if isinstance(value, dict) and isinstance(value.get("text"), list) and isinstance(value.get("label"), list):
        pairs = list(zip(value["label"], value["text"], strict=False))
    elif isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = list(zip(_LETTERS, value, strict=False))
    if not all(isinstance(text, (str, int, float)) for _, text in pairs) or not 2 <= len(pairs) <= len(_LETTERS):
        raise BrokenCheck(f"{name!r} is {shown(value)}, not from 2 to {len(_LETTERS)} options")
    pairs = [(letter, re.sub(rf"^\(?{re.escape(str(letter))}[).:]\s+", "", str(text))) for letter, text in pairs]
    return {str(letter).strip().upper(): text for letter, text in pairs}


def _right(value: Any, name: str, options: Mapping[str, str]) -> str:
    letters = list(options)
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < len(letters):
            return letters[value]
    elif isinstance(value, str):
        letter = value.strip().strip("().").upper()
        if letter in options:
            return letter
        same = [letter for letter, text in options.items() if _plain(text) == _plain(value)]
        if len(same) == 1:
            return same[0]
        if (head := re.match(r"\(?([A-Za-z])[).:]\s", value)) and head[1].upper() in options:
            return head[1].upper()
        if value.strip().isdecimal() and int(value) < len(letters):
            return letters[int(value)]
    raise BrokenCheck(f"{name!r} is {shown(value)}, which is none of its options {', '.join(letters)}")
