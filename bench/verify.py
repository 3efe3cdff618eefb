"""How many model-written programs are judged in a second: `python -m bench.verify [--seconds 10] [--jobs N]`.

Each figure is of many short programs at once, as `antiphon verify` has them: a bare command, a Python program that
reads and prints, and function tests, which take two sandboxes with an interpreter each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from antiphon.problem import Problem
from antiphon.trace import Label
from antiphon.verify.code import CodeVerifier
from antiphon.verify.sandbox import Program, Sandbox

Task = Callable[[], Awaitable[None]]

SUM = "```python\na, b = map(int, input().split())\nprint(a + b)\n```"
ADD = "```python\ndef add(a, b):\n    return a + b\n```"


def problem(**metadata: object) -> Problem:
    return Problem("bench", ({"role": "user", "content": "Add two numbers."},), metadata)


def tasks(sandbox: Sandbox) -> dict[str, Task]:
    """What is measured."""
    verifier = CodeVerifier(sandbox)
    cases = problem(public_test_cases=json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]))
    tests = problem(entry_point="add", tests="def check(candidate):\n    assert candidate(1, 2) == 3")

    async def command() -> None:
        assert (await sandbox.run(Program(("true",)))).status == 0

    async def program() -> None:
        assert (await verifier.check(cases, SUM)).label is Label.RIGHT

    async def functions() -> None:
        assert (await verifier.check(tests, ADD)).label is Label.RIGHT

    return {"a bare command": command, "a Python program, one case": program, "function tests": functions}


async def rate(task: Task, seconds: float, jobs: int) -> float:
    """How many are done in a second, twice as many asked for as are run at once."""
    done = 0
    end = time.monotonic() + seconds

    async def again() -> None:
        nonlocal done
        while time.monotonic() < end:
            await task()
            done += 1

    began = time.monotonic()
    await asyncio.gather(*(again() for _ in range(2 * jobs)))
    return done / (time.monotonic() - began)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each figure")
    parser.add_argument("--jobs", type=int, help="at once; unset: as many as there are processors")
    chosen = parser.parse_args()
    sandbox = Sandbox(chosen.jobs)
    sandbox.require()
    print(f"{sandbox.jobs} at once; {sandbox.holds()}\n")
    print(f"{'':28}{'a second':>10}")
    for name, task in tasks(sandbox).items():
        await task()
        print(f"{name:28}{await rate(task, chosen.seconds, sandbox.jobs):10.1f}")


if __name__ == "__main__":
    asyncio.run(main())
