"""The code of an answer: the last complete fenced block."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from antiphon.verify.code.languages import PYTHON, language_of

_FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<tag>[^`\n]*?)[ \t]*$")


@dataclass(frozen=True, slots=True)
class Code:
    """A program, and the language it is written in (a name of `languages.LANGUAGES`)."""

    text: str
    language: str


def code_in(answer: str, default: str = PYTHON) -> Code | None:
    """The code that an answer gives: its last complete fenced block, of those tagged with a language that we know or
    with nothing (then it is in `default`); blocks of output or shell commands are passed over.

    Fences are of backticks or tildes, at any indent, which is taken off the lines of the block; a fence is closed by
    one at least as long, alone in its line. Without any block the whole answer counts if it is a Python program.

    Returns:
        None where there is no code.
    """
    found: Code | None = None
    opened: re.Match[str] | None = None
    lines: list[str] = []
    fenced = False
    for line in answer.replace("\r\n", "\n").split("\n"):
        fence = _FENCE.match(line)
        if fence is not None and (opened is None or fence["tag"]):
            opened, lines = fence, []  # one that names a language begins anew: the one before was never closed
        elif opened is None:
            continue
        elif fence is not None and fence["fence"].startswith(opened["fence"]):
            fenced = True
            tag = opened["tag"].split()[0].lower() if opened["tag"] else ""
            language = language_of(tag) if tag else default
            if language is not None:
                found = Code("\n".join(lines) + "\n", language)
            opened = None
        else:
            lines.append(_without(line, opened["indent"]))
    if found is not None or fenced or opened is not None:
        return found
    return Code(answer, PYTHON) if is_program(answer) else None


def is_program(text: str) -> bool:
    """Whether a text is a Python program that does something: prose of one word would be an expression."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(each, ast.Expr) or isinstance(each.value, ast.Call) for each in statements)


def _without(line: str, indent: str) -> str:
    """A line less the indent of its fence, as far as it has that."""
    for character in indent:
        if not line.startswith(character):
            break
        line = line[1:]
    return line
