"""What a shell completes: names from closed lists, gathered when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import typer

from antiphon.errors import AntiphonError

Completion = Callable[[str], list[str]]
_MOST = 100  # ids of a run directory


def names(gather: Callable[[], Iterable[str]]) -> Completion:
    """Completes one of these."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in gather() if name.startswith(incomplete)]

    return complete


def several(gather: Callable[[], Iterable[str]]) -> Completion:
    """Completes the last of several with commas between them."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in gather() if name.startswith(last)]

    return complete


def methods() -> Iterable[str]:
    from antiphon.synth.methods import METHODS

    return METHODS


def boundaries() -> Iterable[str]:
    from antiphon.boundary.pagefile import shipped_pages

    return ("default", *shipped_pages())


def dialects() -> Iterable[str]:
    from antiphon.dialect import shipped_families

    return shipped_families()


def verifiers() -> Iterable[str]:
    from antiphon.verify.choose import VERIFIERS

    return VERIFIERS


def tools() -> Iterable[str]:
    from antiphon.evaluation.exchange import TOOLS

    return (f"{name}=" for name in TOOLS)


def export_formats() -> Iterable[str]:
    from antiphon.export.formats import FORMATS

    return FORMATS


def import_formats() -> Iterable[str]:
    from antiphon.imports.record import FORMATS

    return ("auto", *FORMATS)


def presets() -> Iterable[str]:
    from antiphon.train.recipe import PRESETS

    return PRESETS


def arms() -> Iterable[str]:
    from antiphon.lab.arms import ARMS

    return ARMS


def results() -> Iterable[str]:
    from antiphon.verify.result import Result

    return [result.value for result in Result]


def settings() -> Iterable[str]:
    from antiphon.settings import Settings

    return _settings(Settings, "")


def recipe() -> Iterable[str]:
    from antiphon.train.recipe import Recipe

    return _settings(Recipe, "")


def _settings(section: Any, before: str) -> Iterator[str]:
    """The values of a section and of those in it, each as it is written before its value."""
    for name, field in section.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from _settings(field.annotation, f"{before}{name}.")
        else:
            yield f"{before}{name}="


# -- from the run directories on the command line


def variants(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of variants in the run directories that were named before."""
    found: dict[str, None] = {}
    for directory in _directories(ctx):
        found |= dict.fromkeys(_read(directory, lambda reader: [variant.name for variant in reader.variants()]))
    return [name for name in found if name.startswith(incomplete)]


def traces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Traces of the run directory that was named before."""
    return [
        str(key)
        for directory in _directories(ctx)
        for key in _read(directory, lambda reader: reader.find(incomplete))[:_MOST]
    ]


def _directories(ctx: typer.Context) -> Iterator[Any]:
    """What may be run directories: by their names, and what stood before an option whose value is asked for."""
    yield from ctx.args
    for name in ("directory", "directories", "pilots", "run"):
        given = ctx.params.get(name) or ()
        yield from given if isinstance(given, list | tuple) else (given,)


def _read(directory: Any, what: Callable[[Any], list[Any]]) -> list[Any]:
    """What is found there; nothing in what is no run directory."""
    from pathlib import Path

    from antiphon.store import Reader

    try:
        with Reader(Path(directory)) as reader:
            return what(reader)
    except AntiphonError:
        return []
