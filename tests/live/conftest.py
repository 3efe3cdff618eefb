"""The simulated pair that the tests without real servers share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.simulator import Pair, simulated_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def pair(folder: Path) -> Iterator[Pair]:
    with simulated_pairs(folder) as (pair,):
        yield pair
