"""The command in a process of its own, with the scripted pair: `python -m tests.cli.command MOOD ARGUMENTS...`.

`hang` and `block`: from its third request on the teacher says nothing more, or keeps the whole process waiting; either
way "waiting" is said on standard error first.
"""

from __future__ import annotations

import signal
import sys
import threading

from antiphon.cli import main
from antiphon.engine.scripted import Fault, Request
from tests.cli.pair import Pair, install


def waiting(request: Request) -> Fault | None:
    if request.number < 3 or mood == "well":
        return None
    print("waiting", file=sys.stderr, flush=True)
    if mood == "block":
        threading.Event().wait()
    return Fault("hang", after=2)


if __name__ == "__main__":
    # A shell that starts tests in the background has SIGINT ignored, and processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    mood = sys.argv.pop(1)
    install(Pair(faults=waiting))
    main()
