"""A predictor of the small kind as a folder: what it says of itself, its weights, its card.

config.json     under `antiphon`: kind "default", version 1, name
weights.npz     the arrays of `antiphon.boundary.default.network.Network`
training.json   how it was trained, and on which problems (hashes)
README.md       the card: data, licences, figures, limits
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.boundary.checkpoint import KEY, find_folder, read_config, trained_on
from antiphon.boundary.default.network import unpacked
from antiphon.errors import ModelError

KIND, VERSION = "default", 1
WEIGHTS = "weights.npz"
SHIPPED = Path(__file__).with_name("shipped")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a folder holds. `digest` is a hash of the weights; `trained_on`: hashes of problems, see
    `antiphon.boundary.making.split.problem_digests`."""

    name: str
    arrays: Mapping[str, Any]
    digest: str
    trained_on: frozenset[str]


def read_folder(reference: str | Path) -> Stored:
    """Reads a predictor's folder; `default` is the shipped one.

    Raises:
        ModelError: there is none, it was made by a newer version, or its weights are damaged.
    """
    folder = find_folder(str(SHIPPED if str(reference) == KIND else reference))
    own: dict[str, Any] = read_config(folder).get(KEY) or {}
    if own.get("kind") != KIND:
        raise ModelError(
            f"{folder}: a predictor of another kind ({own.get('kind')}), not of the small one; "
            "antiphon boundary train makes one"
        )
    version = own.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ModelError(f"{folder}: made by a newer version of antiphon (form {version}); update this one")
    try:
        data = (folder / WEIGHTS).read_bytes()
        arrays = unpacked(data)
    except OSError as error:
        raise ModelError(f"{folder}/{WEIGHTS}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"{folder}/{WEIGHTS}: {error}; copy or train it again") from None
    return Stored(str(own.get("name") or folder.name), arrays, hashlib.sha256(data).hexdigest(), trained_on(folder))
