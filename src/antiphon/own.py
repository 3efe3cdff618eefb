"""Parts of the user's own, named by their import path `package.module:Name`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from antiphon.errors import AntiphonError, UsageError


def named(path: str, what: str, raises: type[UsageError]) -> Any:
    """What an import path names, in what is installed or in the working folder.

    The folder comes last, so that no file in it stands before a library's: the script `antiphon` does not have it on
    its path, `python -m antiphon` and notebooks do.

    Args:
        path: `package.module:Name`.
        what: what an error says of it.
        raises: which error.
    """
    module, _, name = path.partition(":")
    folder = str(Path.cwd())
    if not {"", folder} & set(sys.path):
        sys.path.append(folder)
    try:
        found = importlib.import_module(module)
    except Exception as error:  # the user's module: whatever it raises
        missing = isinstance(error, ModuleNotFoundError)
        said = f"{error} in what is installed and in {folder}" if missing else f"{type(error).__name__}: {error}"
        raise raises(f"{what} cannot be imported: {said}") from error
    try:
        return getattr(found, name)
    except AttributeError:
        place = getattr(found, "__file__", None) or module
        raise raises(f"{what} cannot be imported: there is no {name!r} in {place}") from None


def made(factory: Callable[..., Any], what: str, raises: type[UsageError], *arguments: str) -> Any:
    """What it makes; an error that is not Antiphon's own is raised as `raises`."""
    try:
        return factory(*arguments)
    except AntiphonError:
        raise
    except Exception as error:  # the user's program: whatever it raises
        raise raises(f"{what} cannot be made: {type(error).__name__}: {error}") from error
