"""A configuration file that says everything: all settings with their defaults, described by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from antiphon.settings import load

_HEAD = """\
# Configuration of antiphon. Everything here is the default; leave out what you do not change.
# Flags and the environment (ANTIPHON_BUDGET__THINKING=200) win over this file.
# What changes the text (method, models, dialects, sampling, boundaries, budgets, guards, seed) is refused in a run
# directory that was begun otherwise, unless --variant NAME begins another variant beside it.
"""


def written() -> str:
    """The file's text: TOML that `antiphon.settings.load` reads as the defaults."""
    return "\n".join([_HEAD, *_lines(load(environment={}), "")])


def _lines(section: BaseModel, name: str) -> Iterator[str]:
    """A table: its values first, then the tables in it."""
    fields = type(section).model_fields
    inner = {key: value for key in fields if isinstance(value := getattr(section, key), BaseModel)}
    for key, info in fields.items():
        if key in inner:
            continue
        value = getattr(section, key)
        yield f"# {info.description}"
        yield f"# {key} =" if value is None else f"{key} = {_toml(value)}"
    for key, table in inner.items():
        full = f"{name}.{key}" if name else key
        yield ""
        yield f"# {fields[key].description}"
        yield f"[{full}]"
        yield from _lines(table, full)
    if not name:
        yield ""


def _toml(value: Any) -> str:
    """A text, number or truth value; TOML's basic strings are written as JSON's."""
    return json.dumps(value)
