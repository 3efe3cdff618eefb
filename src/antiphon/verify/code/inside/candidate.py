"""Runs inside the sandbox with the answer's code: calls what it is asked to call, and sends back what that gave.

The code can do with this process whatever it likes. All that the other side takes from it are plain values.

    candidate.py serve ENTRY       requests come and replies go through the socket that is stdin
    candidate.py once ENTRY        one request by stdin, its reply to stdout
"""

from __future__ import annotations

import os
import sys
import types

TYPE_CHECKING = False  # typing itself takes as long to load as a short program to run
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from antiphon.verify.code.inside.values import decode, encode, receive, send
else:
    from values import decode, encode, receive, send

LARGEST = 1 << 27
objects: dict[int, object] = {}


def number_of(value: object) -> int:
    objects[id(value)] = value
    return id(value)


def load(entry: str) -> dict[str, Any]:
    """The module that the code makes; what the problem states as code comes first, without the entry point."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    space = module.__dict__
    for name in ("context.py", "solution.py"):
        with open(name, "rb") as file:  # noqa: PTH123 (pathlib takes its time to load, too)
            code = compile(file.read(), name, "exec", dont_inherit=True)
        exec(code, space)
        if name == "context.py":
            space.pop(entry, None)
    return space


def find(space: dict[str, Any], name: str) -> Any:
    """A function of the module, or the method of its class Solution."""
    if name not in space and hasattr(space.get("Solution"), name):
        return getattr(space["Solution"](), name)
    if name not in space:
        raise NameError(f"the code defines no {name!r}")
    return space[name]


SPECIAL: dict[str, Callable[..., Any]] = {
    "__call__": lambda value, *args, **named: value(*args, **named),
    "__getattr__": getattr,
    "__getitem__": lambda value, key: value[key],
    "__contains__": lambda value, key: key in value,
    "__len__": len,
    "__iter__": iter,
    "__next__": next,
    "__str__": str,
    "__repr__": repr,
    "__bool__": bool,
}


def answer(space: dict[str, Any], request: bytes) -> bytes:
    target, special, args, named = decode(request, objects.get)
    on = find(space, target) if isinstance(target, str) else objects[target]
    value = SPECIAL[special](on, *args, **named)
    return encode(("value", value, args), number_of)


def failure(error: BaseException) -> bytes:
    """What an exception says: the names of its classes, the nearest first, and its text."""
    try:
        text = str(error)[:500]
    except BaseException:
        text = ""
    names = [each.__name__ for each in type(error).__mro__]
    return encode(("raised", names, text), number_of)


def main() -> None:
    mode, entry = sys.argv[1:]
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(0 if mode == "serve" else 1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    if mode == "once":
        os.dup2(nothing, 1)
    try:
        space = load(entry)
    except BaseException as error:
        send(replies, failure(error))
        return
    while (request := receive(requests, LARGEST)) is not None:
        try:
            reply = answer(space, request)
        except BaseException as error:
            reply = failure(error)
        send(replies, reply)


main()
