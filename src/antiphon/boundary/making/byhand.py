"""Slices laid out for people to mark in an editor, and what they made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from antiphon.boundary.making.align import Unusable, align
from antiphon.boundary.making.annotate import TEST, TRAIN, Written
from antiphon.boundary.making.corpus import Corpus
from antiphon.boundary.making.forms import Style, bracketed
from antiphon.boundary.making.journal import Outcome
from antiphon.boundary.making.marked import read_marked, write_marked
from antiphon.errors import UsageError

HAND = "hand"
"""The annotator's name where people marked."""


def lay_out(folder: Path, corpus: Corpus, marks: Mapping[str, Style]) -> Written:
    """Writes slices to `train.txt` and `test.txt`, with marks to begin with, for people to mark.

    Raises:
        UsageError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}; name another folder") from None
    fit = [item for item in corpus.slices if "\r" not in item.text and not re.search("^=== ", item.text, re.MULTILINE)]
    sides = [[item for item in fit if (item.problem_key in corpus.tests) is test] for test in (False, True)]
    for name, side in zip((TRAIN, TEST), sides, strict=True):
        if side:
            write_marked(folder / f"{name}.txt", (replace(item, style=marks.get(item.id, ())) for item in side))
    return Written(len(sides[0]), len(sides[1]))


def read_back(folder: Path, corpus: Corpus) -> list[Outcome]:
    """What people made of the files that were laid out. Where they changed a word by mistake, their marks are put on
    the text as it was.

    Raises:
        UsageError: a file cannot be read, or holds a text that was none of the slices.
    """
    slices = {item.id: item for item in corpus.slices}
    outcomes: list[Outcome] = []
    for test, path in enumerate(laid_out(folder)):
        for item in read_marked(path) if path.exists() else ():
            known = slices.get(item.id)
            if known is None:
                raise UsageError(f"{path}: {item.id!r} is none of the slices; give the same traces, seed and words")
            try:
                style = item.style if item.text == known.text else align(known.text, bracketed(item.text, item.style))
            except Unusable as unusable:
                outcomes.append(Outcome(known, bool(test), HAND, unusable.cause, reply=item.text))
            else:
                outcomes.append(Outcome(replace(known, style=style), bool(test), HAND))
    return outcomes


def laid_out(folder: Path) -> Sequence[Path]:
    """The files for people, whether or not they are there."""
    return [folder / f"{name}.txt" for name in (TRAIN, TEST)]
