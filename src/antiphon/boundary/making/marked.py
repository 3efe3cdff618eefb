"""Marked texts: pieces of thinking of which somebody said what is style, and the files that hold them.

Files of records (JSON lines, and whatever else problems are read from) may have three forms, also mixed:

    spans      `text`, and `style`: a list of [start, end) in characters
    tags       `tags` (B-style, I-style, O), one for each of `tokens` or `words`; `text` where blanks do not join these
    brackets   `marked`: the text with ⟦ and ⟧ around what is style

A `.txt` file holds bracketed texts for an editor, each below a line `=== id`, behind which may stand `problem_key=`,
`domain=`, `model=` and `author=` with values quoted as in a shell. A file without such a line is one text.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.boundary.making.forms import (
    Style,
    Unpaired,
    bracketed,
    checked_spans,
    classes_of,
    kind_of,
    tagged,
    text_field,
    unbracketed,
)
from antiphon.boundary.words import words
from antiphon.errors import UsageError
from antiphon.export.jsonl import SUFFIXES, compressing, encoded
from antiphon.files import replaced
from antiphon.problem.read import rows
from antiphon.problem.source import DAMAGE, Source, expand
from antiphon.trace import Author

_NAMED = ("problem_key", "domain", "model", "author")
_PLAIN = ".txt"
_FORMS = ("style", "tags", "marked")
_HEADER = re.compile(r"^=== (.*)(?:\n|\Z)", re.MULTILINE)
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class MarkedText:
    """One text with its style marked.

    Attributes:
        id: unique in its file; a hash of the text where the record has none.
        text: a piece of thinking.
        style: what is style in it.
        problem_key: equal for all texts about one problem, which never stand on both sides of a split.
        domain: what it is about (math, code ...); "" where that was not said, as for `model`.
        model: who wrote it.
        author: in which role it wrote, where that is known.
        fields: whatever else the record holds, as JSON has it.
    """

    id: str
    text: str
    style: Style
    problem_key: str
    domain: str = ""
    model: str = ""
    author: Author | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[bool]:
        """The class of each of its words: whether it is style."""
        return classes_of(self.text, self.style)


def read_marked(path: str | Path) -> list[MarkedText]:
    """All marked texts of a file, or of the files that a glob matches.

    Raises:
        UsageError: there is no such file, it holds no marked text, or some of it cannot be used: the message has
            file, line and what to do for each such record (the first ten are shown, the rest are counted).
    """
    found: dict[str, MarkedText] = {}
    places: dict[str, str] = {}
    faults: list[str] = []
    for source in expand([path]):
        empty = True
        try:
            for item in _items(source):
                empty = False
                if item.marked is None:
                    faults.append(f"{item.place}: {item.fault}")
                elif item.marked.id in found:
                    faults.append(
                        f"{item.place}: the id {item.marked.id!r} stands at {places[item.marked.id]} already; give each"
                        " text an id of its own"
                    )
                else:
                    found[item.marked.id], places[item.marked.id] = item.marked, item.place
        except UsageError as error:
            faults.append(f"{source.name}: {error}")
        else:
            if empty:
                faults.append(f"{source.name}: holds no marked text")
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise UsageError("\n".join(faults[:_SHOWN] + more))
    return list(found.values())


def write_marked(path: str | Path, marked: Iterable[MarkedText]) -> None:
    """Writes marked texts, in place only when the file is whole: as spans, or in a `.txt` file with brackets (which
    leaves out `fields`).

    Raises:
        UsageError: the name ends in none of .jsonl, .jsonl.gz, .jsonl.zst and .txt, it cannot be written, or a text
            cannot stand in a `.txt` file.
    """
    path = require_writable(path)
    as_text = path.name.endswith(_PLAIN)
    lines = (_section(item) if as_text else encoded(_record(item))[0] for item in marked)
    with replaced(path) as file, compressing(file, path.name) as stream:
        for line in lines:
            stream.write(line)


def require_writable(path: str | Path) -> Path:
    """The path, if marked texts can be written there; for asking before there are any.

    Raises:
        UsageError: its name says no form, or its folder does not exist.
    """
    path = Path(path)
    if not path.name.endswith((*SUFFIXES, _PLAIN)):
        raise UsageError(f"{path}: marked texts are written to a file that ends in {', '.join(SUFFIXES)} or {_PLAIN}")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}; make it first")
    return path


class _Item(NamedTuple):
    """A record with its place: a marked text, or why there is none."""

    place: str
    marked: MarkedText | None
    fault: str = ""


def _items(source: Source) -> Iterator[_Item]:
    """Raises:
    UsageError: the encoding or shape of the source is none that can be read.
    """
    if source.name.endswith(_PLAIN):
        yield from _sections(source)
        return
    for row in rows(source):
        place = f"{source.name}:{row.line}"
        try:
            yield _Item(place, None, row.fault) if row.fields is None else _Item(place, _of_record(row.fields))
        except UsageError as error:
            yield _Item(place, None, str(error))


def _of_record(record: Mapping[str, Any]) -> MarkedText:
    forms = [name for name in _FORMS if record.get(name) is not None]
    if len(forms) != 1:
        raise UsageError(
            f"holds {' and '.join(forms)}; leave one of them"
            if forms
            else "holds neither style (spans), tags nor marked (text with ⟦ ⟧): nothing says what is style in it"
        )
    used = {forms[0], "text", "id", *_NAMED}
    if forms[0] == "style":
        text = text_field(record, "text")
        style = checked_spans(record["style"], len(text))
    elif forms[0] == "tags":
        tokens = "words" if record.get("tokens") is None else "tokens"
        used.add(tokens)
        text, style = tagged(record, tokens)
    else:
        if record.get("text") is not None:
            raise UsageError("holds marked and text; leave one of them")
        text, style = unbracketed(text_field(record, "marked"))
    return _made(text, style, record, {name: value for name, value in record.items() if name not in used})


def _made(text: str, style: Style, record: Mapping[str, Any], fields: Mapping[str, Any]) -> MarkedText:
    if not words(text):
        raise UsageError("the text has no words")
    id = _named(record, "id") or hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    problem = record.get("problem")
    author = _named(record, "author")
    if author not in ("", Author.STUDENT, Author.TEACHER):
        raise UsageError(f"author is {author!r}, neither student nor teacher")
    return MarkedText(
        id,
        text,
        style,
        _named(record, "problem_key") or (_named(record, "problem") if isinstance(problem, str | int) else "") or id,
        _named(record, "domain"),
        _named(record, "model"),
        Author(author) if author else None,
        fields,
    )


def _named(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{name} is {kind_of(value)}, not a text")
    return value or ""


def _record(marked: MarkedText) -> dict[str, Any]:
    named = {name: value for name in _NAMED if (value := getattr(marked, name))}
    return {"id": marked.id, **named, **marked.fields, "text": marked.text, "style": marked.style}


def _section(marked: MarkedText) -> bytes:
    header = shlex.join([marked.id, *(f"{name}={value}" for name in _NAMED if (value := getattr(marked, name)))])
    try:
        body = bracketed(marked.text, marked.style)
        if "\r" in body or "\r" in header or "\n" in header or _HEADER.search(body):
            raise UsageError("it holds a carriage return, a line that begins with ===, or a line break in its id")
        return f"=== {header}\n{body}\n".encode()
    except (UsageError, UnicodeEncodeError) as error:
        raise UsageError(f"{marked.id!r} cannot stand in a {_PLAIN} file: {error}; write .jsonl") from None


def _sections(source: Source) -> Iterator[_Item]:
    """The texts of a .txt file."""
    try:
        with source.text() as stream:
            data = stream.read()
        content = data.decode("utf-8-sig").replace("\r\n", "\n")
    except DAMAGE as error:
        raise UsageError(f"cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise UsageError("is not valid UTF-8; save it so") from None
    headers = list(_HEADER.finditer(content))
    if not headers:
        if content.strip():
            yield _section_item(source, 0, shlex.quote(Path(source.name).stem), content)
        return
    if content[: headers[0].start()].strip():
        yield _Item(f"{source.name}:1", None, "there is text above the first line === id; put such a line above it")
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        body = content[header.end() : following.start() if following else len(content)]
        yield _section_item(source, content.count("\n", 0, header.start()) + 1, header[1], body)


def _section_item(source: Source, line: int, header: str, body: str) -> _Item:
    """A text of a .txt file; `line` is that of its header, 0 where there is none."""
    place = f"{source.name}:{max(1, line)}"
    try:
        id, *pairs = shlex.split(header)
        named = {"id": id, **dict(pair.split("=", 1) for pair in pairs)}
    except ValueError:
        named = {}
    if not {"id"} <= named.keys() <= {"id", *_NAMED}:
        known = ", ".join(f"{name}=..." for name in _NAMED)
        return _Item(place, None, f"write this line as === id, with any of {known} behind, quoted as in a shell")
    try:
        return _Item(place, _made(*unbracketed(body.removesuffix("\n")), named, {}))
    except Unpaired as error:
        lines = body.count("\n", 0, error.at)
        return _Item(f"{source.name}:{line + 1 + lines}", None, str(error))
    except UsageError as error:
        return _Item(place, None, str(error))
