"""What all tests share: hypothesis profiles and the data that do not ship with the project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cli.pair import Pair, install

# `quick` is the default; the second stage of .ci/run asks for the other: pytest --hypothesis-profile=long
settings.register_profile("quick", max_examples=40, deadline=None, derandomize="CI" in os.environ)
settings.register_profile("long", max_examples=2_000, deadline=None)
settings.load_profile("quick")

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Real vocabularies, problems and annotated text, beside the project where they are to be had."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes is begun first, so that on several cores nothing is waited for alone at the end."""

    def minutes(item: pytest.Item) -> float:
        return max((mark.kwargs.get("minutes", 0) for mark in item.iter_markers("slow")), default=0)

    items.sort(key=minutes, reverse=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; a test that needs it is skipped where it is not there."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not here")
    return SHARED


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    """The scripted pair in the place of every model."""
    return install(Pair(), monkeypatch.setattr)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch on one core: models so small only lose by more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
