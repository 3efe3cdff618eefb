"""A silent server: all traces wait for one series of questions, and the log tells how it went."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon import events
from antiphon.errors import EngineUnavailable
from antiphon.synth import outage
from antiphon.synth.outage import Outage


class Silent:
    """Answers after so many questions in vain."""

    def __init__(self, in_vain: int):
        self.in_vain = in_vain
        self.asked = 0

    async def probe(self) -> None:
        self.asked += 1
        if self.asked <= self.in_vain:
            raise EngineUnavailable(f"silent {self.asked}")


def told(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds waited, which pass at once; each without its share of chance."""
    waited: list[float] = []
    pause = asyncio.sleep

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await pause(0)

    monkeypatch.setattr(outage.asyncio, "sleep", wait)
    monkeypatch.setattr(outage.random, "uniform", lambda low, high: (low + high) / 2)
    return waited


def test_traces_wait_together_and_longer_each_time(waits: list[float], tmp_path: Path) -> None:
    first, second = Silent(7), Silent(0)

    async def all_traces() -> None:
        silence = Outage([first, second], limit=1e6)
        assert not silence.silent
        await silence.clear()
        met = [asyncio.ensure_future(silence.reported(EngineUnavailable(f"trace {n}"))) for n in range(3)]
        while not first.asked:
            await asyncio.wait(met, timeout=0)
        assert silence.silent
        waiting = asyncio.ensure_future(silence.clear())
        await asyncio.wait(met, timeout=0)
        assert not waiting.done()
        await asyncio.gather(*met, waiting)
        assert not silence.silent
        await silence.clear()
        await silence.reported(EngineUnavailable("again"))
        assert not silence.silent

    with events.written_to(tmp_path / "log", pytest.fail):
        asyncio.run(all_traces())
    assert waits == [0.5, 1, 2, 4, 8, 15, 15]
    assert (first.asked, second.asked) == (9, 2)  # the second outage was over at once
    said = told(tmp_path / "log")
    assert [(one["event"], one.get("cause")) for one in said] == [
        ("outage", "trace 0"),
        ("outage_over", None),
        ("outage", "again"),
        ("outage_over", None),
    ]
    assert all(0 <= one["seconds"] < 60 for one in said if one["event"] == "outage_over")


def test_who_waits_too_long_gives_up_with_all_others(waits: list[float], tmp_path: Path) -> None:
    async def all_traces() -> list[BaseException | None]:
        silence = Outage([Silent(1 << 30)], limit=0.0)
        met = [silence.reported(EngineUnavailable("trace")) for _ in range(2)]
        return await asyncio.gather(*met, silence.clear(), return_exceptions=True)

    with events.written_to(tmp_path / "log", pytest.fail):
        one, other, _ = asyncio.run(all_traces())
    assert str(one) == str(other) == "silent 1; given up after 0 s, all traces kept; the same command goes on"
    assert isinstance(one, EngineUnavailable)
    assert waits == []
    assert [one["event"] for one in told(tmp_path / "log")] == ["outage", "outage_given_up"]


def test_no_wait_is_longer_than_what_is_left(waits: list[float]) -> None:
    silence = Outage([Silent(1)], limit=0.25)
    asyncio.run(silence.reported(EngineUnavailable("trace")))
    assert len(waits) == 1 and 0 < waits[0] <= 0.25
