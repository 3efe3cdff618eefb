"""What a method takes from the run directory and the problems, found before anything is loaded or spent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.errors import ProblemError, SettingsError, StoreUnfit
from antiphon.problem import Problem
from antiphon.settings import Settings
from antiphon.store import Reader, Variant
from antiphon.synth.cutter import Cutter, lengths
from antiphon.synth.methods import PROBLEMS, Method, Revoiced, Turns
from antiphon.trace import Status


@dataclass(frozen=True)
class Given:
    """`shaping` is what it adds to a variant's fingerprint; `cutter` ends the spans, `source` is the variant whose
    traces are written anew, where a method asks for it."""

    shaping: Mapping[str, Any] = field(default_factory=dict)
    cutter: Cutter | None = None
    source: str | None = None


NOTHING = Given()


def find(chosen: Method, settings: Settings, directory: Path, variant: str, problems: Iterable[Problem]) -> Given:
    """What this method needs of what is there.

    Raises:
        SettingsError, ProblemError, StoreUnfit: it is not there; says what to do.
    """
    thinking = chosen.thinking
    if isinstance(thinking, Turns) and thinking.boundaries != "predicted":
        return _like(chosen.name, settings, directory, variant, random=thinking.boundaries == "random")
    if isinstance(thinking, Revoiced):
        return _source(chosen.name, settings, directory, variant)
    if chosen.shown == PROBLEMS:
        _require_references(chosen.name, problems)
    return NOTHING


def _like(name: str, settings: Settings, directory: Path, variant: str, *, random: bool) -> Given:
    if settings.shard is not None:
        raise SettingsError(
            f"the method {name} goes by the lengths of all spans of a variant, and shard {settings.shard} holds some of"
            " them; merge that variant's shards, and write this one there (antiphon merge)"
        )
    if settings.like is None:
        raise SettingsError(
            f"the method {name} needs a variant of this run whose spans are to be as long: give --like VARIANT"
        )
    with _reader(directory, name, "--like", settings.like) as reader:
        like = _finished(reader, settings.like, variant, "--like")
        found = lengths(reader.traces(variant=like.name, status=[Status.COMPLETE]))
    if not all(found.values()):
        raise SettingsError(
            f"--like {like.name}: it has no complete trace in which student and teacher both think; "
            "name one written in turns"
        )
    cutter = Cutter(found, random=random)
    return Given({"like": {"fingerprint": like.fingerprint, "lengths": cutter.digest}}, cutter)


def _source(name: str, settings: Settings, directory: Path, variant: str) -> Given:
    if settings.until_right is not None:
        raise SettingsError(f"the method {name} writes each trace of its source once; it does not go with until_right")
    if settings.source is None:
        raise SettingsError(
            f"the method {name} needs the variant of this run that it writes anew: give --from VARIANT "
            "(antiphon import makes one of data that you have)"
        )
    with _reader(directory, name, "--from", settings.source) as reader:
        source = _finished(reader, settings.source, variant, "--from")
    return Given({"source": {"fingerprint": source.fingerprint}}, source=source.name)


def _reader(directory: Path, name: str, flag: str, wanted: str) -> Reader:
    try:
        return Reader(directory)
    except StoreUnfit as error:
        raise StoreUnfit(f"{flag} {wanted}: the method {name} goes by a variant of this run: {error}") from None


def _finished(reader: Reader, wanted: str, variant: str, flag: str) -> Variant:
    """The variant of this name.

    Raises:
        UsageError: there is none.
        SettingsError: it is not finished, or has nothing complete.
    """
    if wanted == variant:
        raise SettingsError(f"{flag} {wanted}: that is this variant itself; name another, or give this one a --variant")
    counts = reader.counts(wanted)
    if pending := counts.get(None):
        raise SettingsError(f"{flag} {wanted}: {pending} of its traces are not finished; finish it first")
    if not counts.get(Status.COMPLETE):
        raise SettingsError(f"{flag} {wanted}: it has no complete trace; name another")
    return next(known for known in reader.variants() if known.name == wanted)


def _require_references(name: str, problems: Iterable[Problem]) -> None:
    for problem in problems:
        reference = problem.metadata.get("reference")
        if not isinstance(reference, str) or not reference.strip():
            raise ProblemError(
                f"{problem.place or f'problem {problem.id!r}'}: it has no field reference, which the method {name} "
                "shows to the student; give a teacher (--teacher MODEL), who writes one"
            )
