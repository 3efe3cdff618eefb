"""Runs a server and ends it, with all its children, when standard input closes.

    python watch.py SECONDS PROGRAM [ARGUMENT ...]

Whoever starts this holds the other end of standard input. It closes when that process wants the server to end, and
also when it dies in any way: unlike a signal upon a parent's death it depends on no thread and no operating system.
The server leads a process group of its own; it is asked to end (SIGTERM), and killed after SECONDS.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from threading import Thread


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):  # nobody there; on macOS: only those who have ended already
        pass


def _end_when_closed(leader: int, patience: float) -> None:
    while os.read(0, 1024):
        pass
    _signal_group(leader, signal.SIGTERM)
    time.sleep(patience)  # cut short: the process ends with the server
    _signal_group(leader, signal.SIGKILL)


def main(patience: str, *command: str) -> int:
    """The exit status of the server; 128 and the signal's number where one ended it, 127 where it cannot be run."""
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        os.write(2, f"{command[0]}: cannot be run ({error.strerror})\n".encode())
        return 127
    Thread(target=_end_when_closed, args=(server.pid, float(patience)), daemon=True).start()
    status = server.wait()
    _signal_group(server.pid, signal.SIGKILL)  # children that outlived it
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))  # without waiting for the thread, which may be reading
