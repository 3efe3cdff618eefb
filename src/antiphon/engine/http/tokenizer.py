"""Where the tokenizer of a model behind a server lies on this machine, if it does."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from antiphon.engine.model_files import Tokenizer, read_tokenizer
from antiphon.errors import ModelError


def find_tokenizer(named: str | None, model: str, places: Iterable[Path]) -> Tokenizer | None:
    """The first that can be read of: what the user names, where the server says that its model lies, and Hugging Face's
    local cache under the model's name. None: none of them.

    Raises:
        ModelError: what the user names cannot be read.
    """
    if named is not None:
        return read_tokenizer(Path(named).expanduser())
    cached = cached_model(model)
    for place in (*places, *([cached] if cached else [])):
        try:
            if place.exists():
                return read_tokenizer(place)
        except (ModelError, OSError):
            continue
    return None


def cached_model(name: str) -> Path | None:
    """The folder of a model in Hugging Face's local cache, the one used last, if its tokenizer is there.

    The layout (`models--ORGANISATION--NAME/snapshots/REVISION`) is documented with huggingface_hub.
    """
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    hub = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = (hub / f"models--{name.replace('/', '--')}" / "snapshots").glob("*/tokenizer.json")
    found = sorted(snapshots, key=lambda file: file.stat().st_mtime)
    return found[-1].parent if found else None
