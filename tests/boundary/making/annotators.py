"""Traces whose style is known, and annotators of every manner: those that can be used, and those that cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from antiphon.boundary.making.align import Cause
from antiphon.boundary.making.forms import Style, bracketed, spans_of
from antiphon.boundary.words import words

_STYLE = {"Okay,", "let", "me", "see.", "Hmm,", "wait."}


def write_traces(path: Path, count: int) -> Path:
    """So many traces of as many problems. Every content word tells its problem's number."""
    records = []
    for number in range(count):
        word = iter(f"p{number}w{place}" for place in range(100))
        sentences = [
            f"{phrase} {next(word)} {next(word)} isn't {next(word)} {next(word)}."
            for phrase in ("Okay, let me see.", "", "Hmm, wait.", "Okay, let me see.", "")
        ]
        thinking = "\n".join(sentences)
        records.append({"problem_key": f"problem {number}", "response": f"<think>\n{thinking}\n</think>\nDone."})
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), "utf-8")
    return path


LONG = "26-40"
"""The length at which each of these traces gives one slice."""


def style_of(text: str) -> Style:
    """What is style in a slice of such a trace."""
    return spans_of(text, (text[start:end] in _STYLE for start, end in words(text)))


def number_of(text: str) -> int:
    """The problem that a slice is about."""
    found = re.search(r"p(\d+)w", text)
    assert found is not None
    return int(found[1])


def asked_for(messages: Iterable[dict[str, str]]) -> str:
    """The text that an annotator is to mark, without the marks that were proposed."""
    *_, last = messages
    return last["content"].partition("The text:\n\n")[2].replace("⟦", "").replace("⟧", "")


def well(text: str) -> str:
    """The reply of a good annotator."""
    return bracketed(text, style_of(text))


USABLE: dict[str, Callable[[str], str]] = {
    "well": well,
    "curly": lambda text: well(text).replace("'", "’"),
    "fenced": lambda text: f"```text\n{well(text)}\n```",
    "talkative": lambda text: f"Here is the text, with ⟦ and ⟧:\n\n{well(text)}\n\nI marked ⟦all of it.",
    "thinking": lambda text: f"<think>Is ⟦it⟧ style? {text[:50]}</think>\n\n{well(text)}",
    "careless": lambda text: re.sub(r"p\d+w3\b", "changed", well(text)),
}
UNUSABLE: dict[str, tuple[Callable[[str], str], Cause]] = {
    "refusing": (lambda text: "I'm sorry, but I cannot help with that.", Cause.REFUSAL),
    "German": (
        lambda text: "⟦Gut, mal sehen.⟧ Das Boot ist nicht schnell genug, um rechtzeitig anzukommen, meint er." * 2,
        Cause.LANGUAGE,
    ),
    "tired": (lambda text: well(text)[: len(text) // 2], Cause.HALF),
    "eager": (lambda text: " ".join(f"⟦{word}⟧" for word in text.split()), Cause.SPANS),
    "silent": (lambda text: "", Cause.EMPTY),
    "lazy": (str, Cause.UNMARKED),
    "untidy": (lambda text: f"⟦{text}", Cause.BRACKETS),
    "inventive": (lambda text: re.sub(r"p\d+w\d*[02468]\b", "changed", well(text)), Cause.CHANGED),
}
