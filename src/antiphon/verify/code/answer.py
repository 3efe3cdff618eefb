"""The code of an answer: the last complete fenced block."""

from __future__ import annotations

import ast
import textwrap
import warnings
from dataclasses import dataclass

from antiphon.verify.code.languages import PYTHON, language_of
from antiphon.verify.fences import fenced


@dataclass(frozen=True, slots=True)
class Code:
    """A program, and the language it is written in (a name of `languages.LANGUAGES`)."""

    text: str
    language: str


def code_in(answer: str, default: str = PYTHON) -> Code | None:
    """The code that an answer gives: its last complete fenced block, of those tagged with a language that we know or
    with nothing (then it is in `default`); blocks of shell commands, output and the like are passed over. A block that
    is indented as a whole is moved to the left.

    Where no fence is opened, the whole answer counts if it is a Python program.

    Returns:
        None where there is no code.
    """
    for block in reversed(fenced(answer)):
        language = language_of(block.language) if block.language else default
        if language is not None:
            return Code(textwrap.dedent(block.text), language)
    return Code(answer, PYTHON) if is_program(answer) else None


def is_program(text: str) -> bool:
    """Whether a text is a Python program that does something: prose of one word would be an expression."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of its escapes and comparisons
            statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(not isinstance(each, ast.Expr) or isinstance(each.value, ast.Call) for each in statements)
