"""What the end of a program says of it."""

from __future__ import annotations

from typing import Any

from antiphon.trace import Label
from antiphon.verify.checker import Finding, shown
from antiphon.verify.code.inside.values import Unfit, decode
from antiphon.verify.sandbox import Completed


def limited(done: Completed) -> Finding | None:
    """What is found of a program that a limit ended; None: none did."""
    if done.timed_out:
        return Finding(Label.TIMED_OUT, f"no end after {done.seconds:.1f} s", done.seconds)
    if done.out_of_memory:
        return Finding(Label.CRASHED, "took more memory than it may", done.seconds)
    if done.cut:
        return Finding(Label.CRASHED, "printed more than it may", done.seconds)
    return None


def early(done: Completed) -> Finding:
    """What is found of a program that should have gone on, or should have ended well."""
    return limited(done) or Finding(Label.CRASHED, ending(done), done.seconds)


def ending(done: Completed) -> str:
    """The exit status, and the last that was said; without a status it went on, and was ended with its partner."""
    if done.status is None:
        return "does not answer any more"
    said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"ended with status {done.status}" + (f": {shown(said)}" if said else "")


def message(done: Completed) -> Any:
    """The value of the message that one of the programs inside has left on stdout; None where it left none."""
    length, _, said = done.stdout.partition(b"\n")
    try:
        return decode(said, _Object, json=True) if length == b"%d" % len(said) else None
    except Unfit:
        return None


class _Object:
    """An object that is not plain, which equals nothing."""

    def __init__(self, number: int):
        pass

    def __repr__(self) -> str:
        return "an object"
