"""Runs in a sandbox of its own with the problem's tests, and asks the answer's code through the socket that is stdin.

The code is in another sandbox: what comes from there are plain values, and whether they are right is found here. The
finding goes to stdout as one message: how it ended, and a word for people.

    checker.py ENTRY
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False  # typing itself takes as long to load as a short program to run
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    from antiphon.verify.code.inside.values import Unfit, decode, encode, receive, send
else:
    from values import Unfit, decode, encode, receive, send

LARGEST = 1 << 27
SHOWN = 200


class Over(BaseException):
    """Nothing more is to be tested. No test takes it for an exception that it expects."""


class Side:
    """The side of the answer's code: `asked` counts the calls, `given` is what the last one gave, `error` what it
    raised; `over` is how it ended and why, once it has."""

    def __init__(self) -> None:
        self.asked = 0
        self.given: Any = None
        self.error: Exception | None = None
        self.over: tuple[str, str] | None = None
        self._read, self._write = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(0), "wb")

    def ask(self, target: int | str, special: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What a call gives, or raises."""
        if self.over is not None:
            raise Over
        request = encode((target, special, args, named), number_of)
        self.asked += 1
        match self._exchange(request):
            case ["value", value, [*after]]:
                for before, now in zip(args, after, strict=False):
                    take_over(before, now)
                self.given = value
                return value
            case ["raised", [str(name), *_] as names, str(text)]:
                error = exception(names, text)
                if error is not None:
                    self.error, self.given = error, f"{name}: {text}"
                    raise error
                self.over = ("raised", f"{name}: {text}")
            case None:
                self.over = ("gone", "")
            case _:
                self.over = ("raised", "what it sends is no reply")
        raise Over

    def _exchange(self, request: bytes) -> Any:
        try:
            send(self._write, request)
        except OSError:
            pass  # it may have left a word before it ended
        try:
            reply = receive(self._read, LARGEST)
            return None if reply is None else decode(reply, Remote)
        except OSError:
            return None
        except Unfit:
            return "unfit"


def exception(names: list[str], text: str) -> Exception | None:
    """The nearest of the exceptions of these names that we have; None for what is none, as SystemExit."""
    for name in names:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(text)
            except TypeError:  # those of Unicode want more than a text
                return ValueError(text)
    return None


def take_over(before: Any, now: Any) -> None:
    """Changes an argument as the call changed it."""
    if type(before) is type(now):
        if isinstance(before, list):
            before[:] = now
        elif isinstance(before, (dict, set)):
            before.clear()
            before.update(now)


class Remote:
    """An object of the other side, by its number, or by its name in the answer's code."""

    number: int | str

    def __init__(self, number: int | str):
        self.number = number


def forward(special: str) -> Any:
    def ask(self: Remote, *args: Any, **named: Any) -> Any:
        return side.ask(self.number, special, args, named)

    return ask


for special in ("call", "getattr", "getitem", "contains", "len", "iter", "next", "str", "repr", "bool"):
    setattr(Remote, f"__{special}__", forward(f"__{special}__"))


def number_of(value: object) -> Any:
    if not isinstance(value, Remote):
        side.over = ("tests", f"they pass {type(value).__name__}, which cannot be sent to the code")
        raise Over
    return value.number


def short(value: object) -> str:
    if isinstance(value, Remote):
        return "an object"
    try:
        text = repr(value)
    except BaseException:
        text = type(value).__name__
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def names_in(code: CodeType) -> set[str]:
    """All names that a piece of code and what it defines look up."""
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, type(code)):
            names |= names_in(each)
    return names


def run(entry: str) -> tuple[str, str]:
    """Runs the tests; returns how that ended and a word for people."""
    source = ""
    try:
        with open("tests.py", encoding="utf-8") as file:  # noqa: PTH123 (pathlib takes its time to load, too)
            source = file.read()
        code = compile(source, "tests.py", "exec", dont_inherit=True)
        space: dict[str, Any] = {"__name__": "tests"}
        with open("context.py", encoding="utf-8") as file:  # noqa: PTH123
            exec(compile(file.read(), "context.py", "exec", dont_inherit=True), space)
        if entry:
            space[entry] = Remote(entry)
        for name in names_in(code):
            if not hasattr(builtins, name):
                space.setdefault(name, Remote(name))
        exec(code, space)
        check = space.get("check")
        if entry and callable(check) and not isinstance(check, Remote):
            check(space[entry])
    except BaseException as error:
        return side.over or judged(error, line_of(error, source))
    return side.over or (("passed", "") if side.asked else ("tests", "they call nothing"))


def judged(error: BaseException, line: str) -> tuple[str, str]:
    """What an exception says of the code, or of the tests."""
    side.over = ("done", "")  # to show a value asks nothing any more
    if error is side.error:
        return "raised", f"{side.given}; at: {line}"
    if not side.asked or not isinstance(error, Exception):
        return "tests", f"{short(error)}; at: {line}"
    said = "" if isinstance(error, AssertionError) else f"{short(error)}; at: "
    return "failed", f"{said}{line}; the last call gave {short(side.given)}"


def line_of(error: BaseException, source: str) -> str:
    """The line of the tests at which it happened."""
    number, at = getattr(error, "lineno", None) or 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == "tests.py":
            number = at.tb_lineno
        at = at.tb_next
    lines = source.splitlines()
    return lines[number - 1].strip()[:SHOWN] if 0 < number <= len(lines) else "no line of theirs"


side = Side()
findings = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
os.dup2(os.open(os.devnull, os.O_RDWR), 0)
send(findings, encode(run(sys.argv[1]), number_of))
