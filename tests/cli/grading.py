"""The scripted pair with a teacher that grades, and dies at a request if it is told to.

python -m tests.cli.grading N ARGUMENTS...      the command, killed by SIGKILL at the N-th request of both (0: never)
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import count

from antiphon.cli import main
from antiphon.engine.base import Engine
from antiphon.engine.scripted import Control, Fault, Request, ScriptedEngine, Situation, Token
from tests.cli.pair import Pair, install


class GradingPair(Pair):
    """Its teacher's every second grade of a problem cannot be read.

    Args:
        dies_at: the request of both, from 1, at which the process is killed.
    """

    def __init__(self, dies_at: int = 0):
        super().__init__()
        self.dies_at = dies_at
        self._requests = count(1)
        self._grades: defaultdict[str, Iterator[int]] = defaultdict(count)

    def __call__(self, reference: str, *, context: int | None = None, **how: object) -> Engine:
        engine = super().__call__(reference, context=context, **how)
        assert isinstance(engine, ScriptedEngine)
        speak = engine.script

        def script(here: Situation) -> Iterator[Token]:
            prompt, _, said = here.text.rpartition("<think>")
            if "Grade: N" not in prompt:
                yield from speak(here)
            elif "</think>" not in said:
                yield Control("</think>")
            else:
                (asked, *_) = re.findall(r"What is \d+ times \d+", prompt)
                yield "Grade: high" if next(self._grades[asked]) % 2 else "Grade: 6"
                yield Control("<|im_end|>")

        engine.script = script
        engine.faults = self._die
        return engine

    def _die(self, request: Request) -> Fault | None:
        if next(self._requests) == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return None


if __name__ == "__main__":
    install(GradingPair(int(sys.argv.pop(1))))
    main()
