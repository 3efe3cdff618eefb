"""The report of an experiment, made of its results: Markdown, JSON and pictures; several experiments side by side."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from antiphon.errors import MissingDependency, StoreFull
from antiphon.lab.report.measure import find
from antiphon.lab.report.page import markdown
from antiphon.lab.report.pairs import beside
from antiphon.lab.report.pictures import draw
from antiphon.lab.report.traces import side_by_side
from antiphon.lab.report.words import answers, claim
from antiphon.lab.results import Results, save

__all__ = ["JSON", "PAGE", "beside", "write"]

PAGE, JSON = "report.md", "report.json"


def write(results: Results, directory: str | Path) -> Path:
    """Writes `report.md`, `report.json`, pictures, and `traces.html`: the first seed's traces side by side.

    Returns:
        The page. Without matplotlib there are no pictures, which it says.

    Raises:
        StoreFull, UsageError: something cannot be written.
        StoreError: the traces cannot be read.
    """
    directory = Path(directory)
    found = find(results)
    try:
        drawn = draw(found, directory)
    except MissingDependency as error:
        drawn, found = [], replace(found, missing=(*found.missing, f"No pictures: {error}."))
    student = results.config["synthesis"]["boundary"]["student"]
    traces = side_by_side(directory, found.seeds[0], student) if found.seeds else None
    parts, said = claim(found), answers(found)
    save(
        directory / JSON,
        {
            "findings": asdict(found),
            "claim": [part._asdict() for part in parts],
            "answers": [one._asdict() for one in said],
            "environment": dict(results.environment),
            "seconds": results.seconds,
            "stages": dict(results.stages),
        },
    )
    to = directory / PAGE
    try:
        to.write_text(markdown(results, found, parts, said, drawn, traces), "utf-8")
    except OSError as error:
        raise StoreFull(f"{to}: cannot be written: {error.strerror or error}") from None
    return to
