"""Programs run in the sandbox."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractContextManager

import pytest

from antiphon.verify.sandbox import MIB, Completed, Limits, Program, Sandbox
from tests.verify.leftovers import nothing_left

SMALL = Limits(cpu=10, wall=30, memory=128 * MIB, disk=8 * MIB, output=4096, processes=16)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(sandbox: Sandbox, *command: str, limits: Limits = SMALL, **more: object) -> Completed:
    program = Program(command, limits=limits, **more)  # type: ignore[arg-type]
    with none_left(sandbox):
        return asyncio.run(sandbox.run(program))


def none_left(sandbox: Sandbox) -> AbstractContextManager[None]:
    """What is not shut in is killed, but its end is not waited for."""
    return nothing_left(patience=5 if sandbox.unsafe else 0)
