"""Files to read, written as users' tools write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest


def lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    """JSON lines, one a record."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Writes a file in an empty folder; its name as a path."""

    def put(name: str, data: bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    return put
