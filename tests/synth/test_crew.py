"""Workers side by side: when their work is over, however, none of them goes on."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from antiphon.synth.crew import Crew


def test_where_one_fails_none_is_left_behind() -> None:
    numbers, ended = count(), list[int]()

    async def worker() -> None:
        number = next(numbers)
        if number == 0:
            raise ValueError("the first")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def go() -> None:
        with pytest.raises(ValueError, match="the first"):
            await Crew().work(worker, 3)
        assert sorted(ended) == [1, 2]

    asyncio.run(go())


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_stop_is_an_end_as_any_other(when: str) -> None:
    crew, ended = Crew(), list[str]()

    async def worker() -> None:
        if when == "while":
            crew.stop()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("worker")

    if when == "before":
        crew.stop()
    asyncio.run(crew.work(worker, 2))
    assert ended == (["worker"] * 2 if when == "while" else [])
    crew.stop()  # it is over already
