"""What the tests of a cluster have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scale.fake_ray import FakeRay, install


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    ray = install(FakeRay(tmp_path / "disks"), monkeypatch.setattr)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield ray
    ray.head.close()


@pytest.fixture
def none_left() -> Iterator[None]:
    """A test that fails leaves no command running, for whose end the cluster would make others wait."""
    from bench.ray import kill_started

    yield
    kill_started()
