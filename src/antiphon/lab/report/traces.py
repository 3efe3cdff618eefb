"""The traces of an experiment side by side, as a page of the viewer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.lab.arms import MAIN, WRITINGS
from antiphon.lab.place import Place

if TYPE_CHECKING:
    from antiphon.analyse.source import Side

FILE = "traces.html"


def side_by_side(directory: Path, seed: int, boundary: str) -> Path | None:
    """Writes how the main arms' traces of a seed differ, with those that differ most, as `antiphon compare --html`
    does.

    Args:
        boundary: the predictor that marks style where one author wrote alone, as `antiphon.boundary.load` takes it.

    Returns:
        The page, relative to the directory; None: the seed has no traces there, or only those of one arm.

    Raises:
        StoreError: they cannot be read.
        PredictorError, SettingsError: of the predictor.
        UsageError: the page cannot be written.
    """
    from antiphon.analyse.source import find
    from antiphon.store import Reader

    run = Place(directory).run(seed)
    if not run.is_dir():
        return None
    with Reader(run) as reader:
        written = {variant.name for variant in reader.variants()}
    arms = [arm for arm in WRITINGS if arm in MAIN and arm in written]
    if len(arms) < 2:
        return None
    asyncio.run(_write(find(f"{run}:{arm}" for arm in arms), boundary, directory / FILE))
    return Path(FILE)


async def _write(sides: Sequence[Side], boundary: str, to: Path) -> None:
    from antiphon.analyse.compare import compare
    from antiphon.boundary import load
    from antiphon.view.file import write_comparison

    predictor = load(boundary)
    try:
        write_comparison(await compare(sides, predictor=predictor), to)
    finally:
        await predictor.close()
