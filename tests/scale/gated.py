"""Verifiers that wait, or die: for tests that do something to who judges in the middle of it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from antiphon.problem import Problem
from antiphon.scale.worker import Work
from antiphon.trace import Verdict
from tests.verify.scripted import ScriptedVerifier


class Gated(ScriptedVerifier):
    """Judges answers to problems with a folder `gate` once a file `open` is in it; who waits leaves a file there."""

    async def check(self, problem: Problem, answer: str) -> Verdict:
        if "gate" in problem.metadata:
            gate = Path(problem.metadata["gate"])
            (gate / problem.id).touch()
            while not (gate / "open").exists():  # noqa: ASYNC110 - another process opens it
                await asyncio.sleep(0.05)
        return await super().check(problem, answer)


class Deadly(ScriptedVerifier):
    """Takes its process with it at the answer "deadly"."""

    async def check(self, problem: Problem, answer: str) -> Verdict:
        if answer == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().check(problem, answer)


async def endless() -> Work:
    """What never comes to an end with items from 8 on."""

    async def work(item: int) -> int:
        if item >= 8:
            await asyncio.Event().wait()
        return item

    return work
