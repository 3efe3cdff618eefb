"""What is recorded of a variant: what shapes its text, for the fingerprint, and what is good to know beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.engine import models
from antiphon.settings import Role, Settings
from antiphon.store.columns import canonical
from antiphon.synth.methods import BestOf
from antiphon.synth.score import Score
from antiphon.synth.spend import Prices
from antiphon.synth.voice import Voice
from antiphon.synth.wording import GRADING, REFERENCE, hashed
from antiphon.trace import Author

_ROLES = (Author.STUDENT, Author.TEACHER)


def shaping_of(settings: Settings, score: Score) -> dict[str, Any]:
    """What the text depends on, apart from other variants. Only what this method uses is in it."""
    method = score.method
    shaping = settings.shaping()
    for author in _ROLES:
        section = shaping.pop(author.value)
        voice = score.voices.get(author)
        if voice is None:
            continue
        section["dialect"] = {"name": voice.dialect.name, "page": voice.dialect.fingerprint}
        if author not in method.roles:  # only the markers of the response are its own
            section = {"dialect": section["dialect"]}
        else:
            section["engine"] = dict(voice.engine.identity)
            section["boundary"] = voice.predictor.id if voice.predictor is not None else None
        shaping[author.value] = section
    shaping.pop("boundary", None)
    shaping["method"] = {"name": method.name, "revision": method.revision}
    shaping["budget"] |= {"thinking": score.thinking_budget, "answer": score.answer_budget}
    if method.keeps_chunks:
        shaping["chunk"] = settings.chunk
    if isinstance(method.thinking, BestOf):
        shaping["candidates"] = settings.candidates
        shaping["wording"] = hashed(GRADING)
    if method.shown is not None:
        shaping["shown"] = method.shown
        shaping["wording"] = hashed(REFERENCE)
    if score.marks is not None:
        shaping["marks"] = score.marks.id
    return shaping


def about(settings: Settings, roles: Mapping[Author, Role], voices: Mapping[Author, Voice]) -> dict[str, Any]:
    """What else is known: versions, where the models are, prices."""
    from antiphon.version import __version__

    told: dict[str, Any] = {"antiphon": __version__, "run_ahead": settings.run_ahead}
    for author, role in roles.items():
        voice = voices[author]
        told[author.value] = {
            "model": models.shown(role.model or ""),
            "context": voice.context,
            "ids": voice.has_ids,
            "counts_tokens": voice.counts_tokens,
            **voice.engine.about,
        }
        prices = Prices.of(role)
        if prices is not None:
            told[author.value]["prices"] = prices._asdict()
    return told


def same_hand(one: Mapping[str, Any], other: Mapping[str, Any], role: Author) -> bool:
    """Whether what a role writes alone is the same by both: markers of the response, which may be the other role's, are
    none of its text."""
    first, second = (
        {name: value for name, value in shaping.items() if name != role.other.value} for shaping in (one, other)
    )
    return canonical(first) == canonical(second)
