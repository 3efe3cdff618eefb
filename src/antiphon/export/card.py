"""The card of a data set folder: what is in it, who wrote it, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.engine.model_files import EMBEDDED, ModelFiles
from antiphon.errors import AntiphonError
from antiphon.export.columns import COLUMNS
from antiphon.plural import many
from antiphon.version import __version__

if TYPE_CHECKING:
    from antiphon.export.file import Exported
    from antiphon.store import Variant

_UNKNOWN = "not known to this run; see the model's own card"


def card(
    done: Exported,
    variants: Iterable[Variant],
    licence: str | None,
    problem_licences: Mapping[str, int],
    data: Sequence[str],
) -> str:
    """The text of a `README.md`.

    Args:
        variants: those that rows are of.
        licence: what the data are published under, by its name on the Hugging Face hub; None: not said.
        problem_licences: how many rows' problems name which licence in their metadata.
        data: the paths of the rows in the folder.
    """
    name = Path(done.path).name
    front = [
        *([f"license: {licence}"] if licence else []),
        "language_creators:",
        "- machine-generated",
        f"pretty_name: {json.dumps(name)}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        *([f"    path: {data[0]}"] if len(data) == 1 else ["    path:", *(f"    - {one}" for one in data)]),
        "tags:",
        "- antiphon",
        "- reasoning",
    ]
    written = f"{many(done.rows, 'row')} in the format `{done.format}`, written by Antiphon {__version__}."
    body = [f"# {name}", "", written, ""]
    body += _table(("column", "what it holds"), [(f"`{one}`", COLUMNS.get(one, "")) for one in done.columns])
    body += ["", "## Who wrote it", ""]
    for variant in variants:
        body += _variant(variant)
    body += ["## Licences", "", f"- this data set: {licence or 'not said'}"]
    body += [f"- {role} {_cell(model)}: {text}" for role, model, text in _licences(variants)]
    if problem_licences:
        named = ", ".join(f"{text} ({many(count, 'row')})" for text, count in problem_licences.items())
        body += [f"- problems, by their own field `license`: {named}"]
    else:
        body += ["- problems: their records name none"]
    body += ["", "## What was left out", ""]
    body += _table(("why", "traces"), done.left_out.items()) if done.left_out else ["Nothing."]
    counted = {what: count for what, count in done.counts.items() if count}
    if counted:
        body += ["", "## Counted", "", *_table(("what", "how many"), counted.items())]
    if done.lengths.rows:
        body += ["", "## Lengths", "", f"In tokens of {done.student}; the longest has {done.lengths.longest}.", ""]
        bins = ((f"{least} to {most}", count) for (least, most), count in done.lengths.histogram.items())
        body += _table(("tokens", "rows"), bins)
    return "\n".join(["---", *front, "---", "", *body]) + "\n"


def _variant(variant: Variant) -> list[str]:
    shaping = variant.shaping
    lines = [f"Variant `{variant.name}`, method `{_method(shaping)}`, fingerprint `{variant.fingerprint[:16]}`.", ""]
    rows = []
    for role in ("student", "teacher"):
        if role in variant.about:
            sampling = shaping.get(role, {}).get("sampling", {})
            settings = ", ".join(f"{name} {value}" for name, value in sampling.items())
            rows.append((role, _model(variant, role), settings))
    return lines + ([*_table(("role", "model", "sampling"), rows), ""] if rows else [])


def _method(shaping: Mapping[str, Any]) -> str:
    method = shaping.get("method", "")
    return str(method.get("name", "")) if isinstance(method, dict) else str(method)


def _licences(variants: Iterable[Variant]) -> list[tuple[str, str, str]]:
    """(role, model, licence) of each model, as the `README.md` in its folder says, if it is there."""
    found = {}
    for variant in variants:
        for role in ("student", "teacher"):
            if role in variant.about:
                found[role, _model(variant, role)] = _licence_of(variant.about[role].get("model") or "") or _UNKNOWN
    return [(role, model, text) for (role, model), text in found.items()]


def _model(variant: Variant, role: str) -> str:
    """A model's name without the place where it is, which is nobody's business."""
    served = variant.shaping.get(role, {}).get("engine", {}).get("model")
    return str(served or Path(variant.about[role].get("model") or "").name)


def _licence_of(model: str) -> str | None:
    try:
        folder = ModelFiles.read(model).path if model in EMBEDDED else Path(model)
        text = (folder / "README.md").read_text("utf-8")
    except (OSError, ValueError, AntiphonError):
        return None
    _, _, front = text.partition("---\n")
    lines = front.partition("\n---")[0].splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("license:")), None)


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
