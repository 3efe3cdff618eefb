"""Devices that are full, as PyTorch says it: at loading, in a step."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch

from antiphon.engine.device import full, placed, usable_device
from antiphon.errors import ModelError, RequestRefused
from tests.engine.local import text, write
from tests.full_device import BROKEN, CROWDED, FULL, ROOM


class Model:
    """Goes to no device."""

    def __init__(self, error: RuntimeError):
        self._error = error

    def to(self, device: torch.device) -> None:
        raise self._error


@pytest.mark.parametrize(("error", "says"), [(FULL, ROOM), (CROWDED, "CUDA error: out of memory")])
def test_a_model_that_does_not_go_into_a_device(error: RuntimeError, says: str) -> None:
    with pytest.raises(ModelError) as refused:
        placed(Model(error), torch.device("cuda"))
    assert str(refused.value).startswith(f"{says}; name another device (cpu, cuda:1 ...) or free this one")


def test_what_else_goes_wrong_at_a_device_is_not_called_full() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"):
        placed(Model(BROKEN), torch.device("cuda"))
    with pytest.raises(RuntimeError, match="device-side assert"):
        full(BROKEN)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="device 'nothing' cannot be used"):
        usable_device("nothing")


def test_a_step_that_does_not_go_into_a_device_ends_its_requests_only(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine()

    async def script() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(model._forward, "_model", _raises(FULL))
            with pytest.raises(RequestRefused) as refused:
                await write(await text(model, "x"), 3)
        assert str(refused.value) == f"{ROOM}; lower the concurrency or the memory for rows"
        assert len(await write(await text(model, "x"), 3)) == 3

    asyncio.run(script())


def _raises(error: RuntimeError) -> Any:
    def call(**_: Any) -> Any:
        raise error

    return call
