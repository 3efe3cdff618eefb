"""What a model is asked beside the problem itself (`wording.toml`), and how its grade is read."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files

from antiphon.dialect import Message
from antiphon.trace import Trace

_WORDING: dict[str, str] = tomllib.loads((files("antiphon.synth") / "wording.toml").read_text("utf-8"))
REFERENCE, GRADING = _WORDING["reference"].strip(), _WORDING["grading"].strip()

_LEAST, _MOST = 1, 10
_GRADE = re.compile(r"grade\s*(?::|=|\bis\b)?\s*(\S.*)", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:\s*(?:/|out of)\s*10)?\.?", re.IGNORECASE)
_ORNAMENT = str.maketrans("", "", "*_`#\"'()[]{}<>$")


def hashed(wording: str) -> str:
    """For a fingerprint."""
    return hashlib.sha256(wording.encode()).hexdigest()[:16]


def shown(messages: Sequence[Message], response: str) -> tuple[Message, ...]:
    """The conversation, with a response to it in its last message."""
    *before, last = messages
    return (*before, {**last, "content": _filled(REFERENCE, last["content"], response)})


def graded(messages: Sequence[Message], response: str) -> tuple[Message, ...]:
    """The request to grade a response to a conversation."""
    if len(messages) == 1:
        said = messages[0]["content"]
    else:
        said = "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
    return ({"role": "user", "content": _filled(GRADING, said, response)},)


def response_of(trace: Trace) -> str:
    """A whole response without its markers."""
    return "\n\n".join(part for part in (trace.thinking.strip(), trace.answer.strip()) if part)


def grade(reply: str) -> float | None:
    """The grade in a reply, 1 to 10: the number that ends its last line that speaks of a grade, or a number that is all
    of the reply. None where there is none, where there are several, or where it is out of range: then nobody can say
    what was meant."""
    lines = [line.strip() for line in reply.translate(_ORNAMENT).splitlines() if line.strip()]
    told = [match[1] for line in lines if (match := _GRADE.search(line))]
    if not told and len(lines) != 1:
        return None
    found = [_NUMBER.fullmatch(line.strip()) for line in told or lines]
    values = {float(number[1]) for number in found if number is not None}
    if found[-1] is None or len(values) > 1:
        return None
    (value,) = values
    return value if _LEAST <= value <= _MOST else None


def _filled(wording: str, problem: str, response: str) -> str:
    """In one pass: what is put in may itself hold braces."""
    return re.sub(r"\{(problem|response)\}", lambda name: {"problem": problem, "response": response}[name[1]], wording)
