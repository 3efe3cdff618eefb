"""Plain values as bytes, for talk between programs that do not trust each other. It runs inside the sandbox, too.

A value is a letter and what it needs: ``i2a;`` an integer in hexadecimal, ``s3:abc`` a text by its length in bytes,
``l2:`` a list by its number of items, which follow. Subclasses of plain types are taken for what they extend, so no
method of theirs is ever asked. Whatever else there is goes as a number that its owner knows it by.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing itself takes as long to load as a short program to run
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

SEQUENCES: dict[bytes, Any] = {b"l": list, b"t": tuple, b"e": set, b"z": frozenset}
# Values of the standard library: how each is taken apart into plain ones, and the type that puts it together again.
PARTS: dict[tuple[str, str], Callable[[Any], tuple[Any, ...]]] = {
    ("collections", "deque"): lambda value: (list(value),),
    ("decimal", "Decimal"): lambda value: (str(value),),
    ("fractions", "Fraction"): lambda value: (value.numerator, value.denominator),
    ("datetime", "date"): lambda value: (value.year, value.month, value.day),
}


class Unfit(Exception):
    """Bytes that are no value."""


def encode(value: object, number_of: Callable[[object], int]) -> bytes:
    """The bytes of `value`; `number_of` gives the number of an object that is not plain."""
    out: list[bytes] = []
    _encode(value, number_of, out)
    return b"".join(out)


def _encode(value: Any, number_of: Callable[[object], int], out: list[bytes]) -> None:
    if value is None:
        out.append(b"N")
    elif value is True or value is False:
        out.append(b"T" if value else b"F")
    elif isinstance(value, int):
        out.append(b"i%s;" % int.__format__(value, "x").encode())
    elif isinstance(value, float):
        out.append(b"f%s;" % float.hex(value).encode())
    elif isinstance(value, complex):
        out.append(b"c%s;%s;" % (float.hex(value.real).encode(), float.hex(value.imag).encode()))
    elif isinstance(value, str):
        text = str.encode(value, "utf-8", "surrogatepass")
        out.append(b"s%d:" % len(text))
        out.append(text)
    elif isinstance(value, (bytes, bytearray)):
        out.append((b"b%d:" if isinstance(value, bytes) else b"a%d:") % len(value))
        out.append(bytes(value))
    elif isinstance(value, dict):
        out.append(b"d%d:" % dict.__len__(value))
        for key, each in dict.items(value):
            _encode(key, number_of, out)
            _encode(each, number_of, out)
    elif (letter := _letter(value)) is not None:
        items = tuple(SEQUENCES[letter].__iter__(value))
        out.append(b"%s%d:" % (letter, len(items)))
        for each in items:
            _encode(each, number_of, out)
    else:
        for (module, name), parts in PARTS.items():
            if type(value) is getattr(sys.modules.get(module), name, None):
                out.append(b"x")
                _encode((module, name, *parts(value)), number_of, out)
                return
        out.append(b"r%d;" % number_of(value))


def _letter(value: object) -> bytes | None:
    for letter, kind in SEQUENCES.items():
        if isinstance(value, kind):
            return letter
    return None


def decode(data: bytes, object_of: Callable[[int], object], json: bool = False) -> Any:
    """The value of `data`; `object_of` gives what stands here for the other side's object of a number.

    `json`: only what JSON can spell, which takes no longer the more its author knows of hashing.

    Raises:
        Unfit: it is none.
    """
    try:
        value, end = _decode(data, 0, object_of, json)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, ArithmeticError, RecursionError) as error:
        raise Unfit(str(error)) from None
    if end != len(data):
        raise Unfit("more than one value")
    return value


def _decode(data: bytes, at: int, object_of: Callable[[int], Any], json: bool) -> tuple[Any, int]:
    letter = data[at : at + 1]
    at += 1
    if letter in (b"N", b"T", b"F"):
        return {b"N": None, b"T": True, b"F": False}[letter], at
    if letter == b"x" and not json:
        (module, name, *parts), at = _decode(data, at, object_of, json)
        PARTS[module, name]
        return getattr(__import__(module), name)(*parts), at
    end = data.index(b";" if letter in (b"i", b"f", b"c", b"r") else b":", at)
    head, at = data[at:end], end + 1
    if letter == b"i":
        return int(head, 16), at
    if letter == b"f":
        return float.fromhex(head.decode()), at
    if letter == b"c":
        end = data.index(b";", at)
        return complex(float.fromhex(head.decode()), float.fromhex(data[at:end].decode())), end + 1
    if letter == b"r":
        return object_of(int(head)), at
    length = int(head)
    if not 0 <= length <= len(data) - at:
        raise ValueError("a length")
    if letter in (b"s", b"b", b"a"):
        raw = data[at : at + length]
        at += length
        if letter == b"s":
            return str(raw, "utf-8", "surrogatepass"), at
        return (raw if letter == b"b" else bytearray(raw)), at
    if letter == b"d":
        pairs = {}
        for _ in range(length):
            key, at = _decode(data, at, object_of, json)
            if json and not isinstance(key, str):
                raise TypeError("a key")
            pairs[key], at = _decode(data, at, object_of, json)
        return pairs, at
    if json and letter in (b"e", b"z"):
        raise TypeError("a set")
    values = []
    for _ in range(length):
        value, at = _decode(data, at, object_of, json)
        values.append(value)
    return SEQUENCES[letter](values), at


def send(file: BinaryIO, message: bytes) -> None:
    """Writes a message, its length before it."""
    file.write(b"%d\n" % len(message) + message)
    file.flush()


def receive(file: BinaryIO, most: int) -> bytes | None:
    """Reads a message; None at the end.

    Raises:
        Unfit: it is none, or longer than `most` bytes.
    """
    line = file.readline(20)
    if not line:
        return None
    if not line.endswith(b"\n") or not line[:-1].isdigit() or int(line) > most:
        raise Unfit("a message of no fit length")
    message = file.read(int(line))
    return message if len(message) == int(line) else None
