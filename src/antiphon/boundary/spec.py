"""How predictors are named: `NAME?option=value&option=value`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.errors import SettingsError

_ID = re.compile(r"\w+:(?P<name>.+):[0-9a-f]{12}(?P<options>(?::\w+=[^:]*)*)", re.DOTALL)


def name_of(id: str) -> str:
    """What people call the predictor of an `id`: its name and options, without its kind and the digest of its contents.

    A predictor of the user's own is called by its whole id.
    """
    found = _ID.fullmatch(id)
    if found is None:
        return id
    options = found["options"].removeprefix(":").replace(":", "&")
    return f"{found['name']}?{options}" if options else found["name"]


def options(spec: str, known: Mapping[str, Callable[[str], Any]]) -> tuple[str, dict[str, Any]]:
    """A predictor's name and its options, read.

    Args:
        spec: as a setting spells it. Values are taken as they stand, between `=` and the next `&`.
        known: reads the value of each option that there is; raises ValueError with what it takes instead.

    Raises:
        SettingsError: an option that is not known, has no value, or one that cannot be read.
    """
    name, _, text = spec.partition("?")
    found: dict[str, Any] = {}
    for pair in filter(None, text.split("&")):
        option, given, value = pair.partition("=")
        if option not in known:
            raise SettingsError(f"boundary {spec!r}: there is no option {option!r}; known are {', '.join(known)}")
        if not given or option in found:
            raise SettingsError(f"boundary {spec!r}: {option} is to be given once, as {option}=VALUE")
        try:
            found[option] = known[option](value)
        except ValueError as error:
            raise SettingsError(f"boundary {spec!r}: {option} = {value!r}: {error}") from None
    return name, found


def probability(value: str) -> float:
    """An option's value that lies between 0 and 1, neither of them."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise ValueError("give a number above 0 and below 1")
    return number


def count(value: str) -> int:
    """An option's value that is a whole number from 0 on."""
    if not value.isdecimal():
        raise ValueError("give a whole number")
    return int(value)


def one_of(*choices: str) -> Callable[[str], str]:
    """Reads an option that has only these values."""

    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"give {' or '.join(choices)}")
        return value

    return read
