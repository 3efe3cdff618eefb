"""What an answer declares to be its result: the box, the line of GSM8K, "the answer is", and weaker signs."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_BETWEEN = re.compile(r"(?:\s|\$|\\[()\[\]]|\\q?quad|\\text\{[^{}]*\}|[,;&*]|\band\b|\bor\b)*")
_JOINS = re.compile(r"[,;&]|and|or")
_GSM8K = re.compile(r"^[ \t]*####[ \t]*([-+$€£]*+\.?\d(?:[\d,./]| (?=\d))*+%?)[ \t]*+$", re.MULTILINE)
_ANSWER = re.compile(
    r"(?<!\bthis )(?<!\bthat )(?<!\byour )\banswers?\b(?:\s++(?:to|for|of|in)\b[^.:\n]{1,80}?)?\s*+(?:\*\*|__)?\s*+"
    r"(?:(?:is|are|was|will be|must be|should be|would be|equals|becomes)\b(?!\s+(?:not|un|in)[a-z]*\b)"
    r"(?:\s+(?:therefore|thus|then|simply|just|indeed|exactly))?\s*[,:]?|[:=：])(?:\*\*|__)?"
    r"|(?:答案)(?:是|为|[:：])+"
    r"|^[#*_ \t]*(?:the\s+)?(?:final\s+)?answer[*_ \t]*+:?[*_ \t]*+$",
    re.IGNORECASE | re.MULTILINE,
)
_MATH = re.compile(
    r"\$\$(.{1,2000}?)\$\$|\\\[(.{1,2000}?)\\\]|\\\((.{1,2000}?)\\\)|(?<![\\\d])\$((?:[^$\\\n]|\\.)+?)\$", re.DOTALL
)
_BOLD = re.compile(r"\*\*(?!\s)([^*\n]+?)\*\*|__(?!\s)([^_\n]+?)__")
_NUMBER = re.compile(r"(?<![\w.])[-−+]?[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d))(?:\s*/\s*\d+)?\s*%?")
_FACTOR = re.compile(r"\s*(?:hundred|thousand|million|billion|trillion)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?。](?=\s|\*|$)|\n")
_ENGLISH = re.compile(r"(?<![\\a-z{])[a-z]{2,}\s+[a-z]{2,}", re.IGNORECASE)
_LOOKED_AT = 20_000
"""Characters from an answer's end in which weaker signs than a box are looked for."""


def boxes(text: str) -> list[tuple[int, int, str]]:
    r"""The closed `\boxed{...}` of a text with what stands in them, in order; of nested ones the outermost."""
    found: list[tuple[int, int, str]] = []
    opened: list[tuple[int, int] | None] = []  # for each open brace: where its box begins and its content, or no box
    for match in _BRACES.finditer(text):
        token = match[0]
        if token == "{":
            opened.append(None)
        elif token == "}":
            if opened and (box := opened.pop()) is not None:
                while found and found[-1][0] > box[0]:
                    found.pop()
                found.append((box[0], match.end(), text[box[1] : match.start()]))
        elif token.endswith("{") and len(token) > 2:
            opened.append((match.start(), match.end()))
    return found


def boxed(text: str) -> str | None:
    r"""What the last box with something in it holds; boxes that "and", "or" or a comma join are one list."""
    found = [box for box in boxes(text) if box[2].strip()]
    if not found:
        return None
    start, _, content = found.pop()
    contents = [content.strip()]
    while found:
        before, end, content = found.pop()
        between = text[end:start]
        if len(between) > 60 or not _BETWEEN.fullmatch(between) or not _JOINS.search(between):
            break
        contents.insert(0, content.strip())
        start = before
    return ", ".join(dict.fromkeys(contents))


def hashed(text: str) -> str | None:
    """The number of the last line as `#### 72`; a heading is none."""
    found = _GSM8K.findall(text)
    return found[-1].strip() if found else None


def said(text: str) -> Iterator[str]:
    """What "the answer is ...", "Answer: ..." or a heading "Answer" is followed by, the last first: the formula or the
    bold words that stand there, else the rest of the sentence."""
    text = text[-_LOOKED_AT:]
    for match in reversed(list(_ANSWER.finditer(text))):
        if (what := _first_of(text[match.end() :])) is not None:
            yield what


def emphasised(text: str) -> str | None:
    """The last bold words or, without such, the last formula of the last paragraph."""
    paragraph = _last_paragraph(text)
    bold = [match[1] or match[2] for match in _BOLD.finditer(paragraph)]
    bold = [words for words in bold if not words.rstrip().endswith(":")]
    if bold:
        return bare(bold[-1])
    formulas = [formula for match in _MATH.finditer(paragraph) if (formula := _formula(match)) is not None]
    return formulas[-1] if formulas else None


def last_number(text: str) -> str | None:
    """The last number of the last line, unless a box is left open there."""
    lines = text.rstrip()[-_LOOKED_AT:].splitlines()
    found = _NUMBER.findall(lines[-1].replace("**", "")) if lines and "\\boxed" not in lines[-1] else []
    return found[-1].strip() if found else None


def first_number(text: str) -> str | None:
    """The first number of a phrase, with "million" and the like; where it is a calculation, the first after the last
    sign of equality."""
    text = text.rpartition("=")[2].replace("\\$", "$")
    found = _NUMBER.search(text)
    if found is None:
        return None
    factor = _FACTOR.match(text, found.end())
    return (found[0] + factor[0] if factor else found[0]).strip()


def bare(text: str) -> str:
    """Without the marks of emphasis, quotation or a formula around it, and without a full stop."""
    before = None
    while text != before:
        before = text
        text = text.strip().rstrip(".。").strip()
        for mark in ("**", "__", "$$", "$", "`", '"', "*"):
            if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
                text = text[len(mark) : -len(mark)]
        for opening, closing in (("\\(", "\\)"), ("\\[", "\\]"), ("“", "”")):
            if text.startswith(opening) and text.endswith(closing):
                text = text[len(opening) : -len(closing)]
    return text


def _first_of(text: str) -> str | None:
    rest = text.lstrip(" \t\r\n>*_:：")
    if not rest:
        return None
    match = _MATH.match(rest)
    formula = _formula(match) if match else None
    if match and formula is not None:
        parts, end = [formula], match.end()
        while (match := _MATH.search(rest, end)) and _BETWEEN.fullmatch(between := rest[end : match.start()]):
            if not _JOINS.search(between) or (formula := _formula(match)) is None:
                break
            parts.append(formula)
            end = match.end()
        percent = "%" if rest[end:].lstrip().startswith(("%", "\\%", "percent")) else ""
        return ", ".join(parts) + percent
    return bare(_SENTENCE.split(rest, maxsplit=1)[0].replace("**", "")) or None


def _formula(match: re.Match[str]) -> str | None:
    """What is between the signs; None where the two were signs of dollars in a sentence."""
    inside = next(group for group in match.groups() if group is not None)
    if match[4] is not None and (_ENGLISH.search(inside) or inside[-1:].isspace()):
        return None
    return inside.strip() or None


def _last_paragraph(text: str) -> str:
    """What follows the last blank line; with the line before it where it is only a formula."""
    text = text.rstrip()[-_LOOKED_AT:]
    return re.split(r"\n[ \t]*\n", text)[-1]
