"""From paths to problems: every record is either a problem or an error with its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from antiphon.errors import ProblemError
from antiphon.problem import table, text
from antiphon.problem.base import Problem, Row, content_id
from antiphon.problem.record import Ask, problem_of, template_of
from antiphon.problem.source import DAMAGE, Source, expand

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Loaded:
    """What some paths hold.

    Attributes:
        problems: in the order of the files, each id once.
        bad: every record that is no problem, and every file that is damaged or holds no record; each message begins
            with its file and line.
        duplicates: every record whose messages were there before, as a sentence with both places. With the earlier
            one's id, or none of its own, it is that problem, once; with another id it is a problem too.
    """

    problems: list[Problem] = dataclasses.field(default_factory=list)
    bad: list[ProblemError] = dataclasses.field(default_factory=list)
    duplicates: list[str] = dataclasses.field(default_factory=list)

    def require_good(self) -> None:
        """Raises:
        ProblemError: there are bad records; the message shows the first ten and counts the rest.
        """
        if self.bad:
            lines = [str(error) for error in self.bad[:_SHOWN]]
            if len(self.bad) > _SHOWN:
                lines.append(f"and {len(self.bad) - _SHOWN} more")
            raise ProblemError("\n".join(lines))


def load(
    paths: str | Path | Iterable[str | Path],
    *,
    field: str | None = None,
    template: str | None = None,
    limit: int | None = None,
) -> Loaded:
    """Reads all problems, and all that is wrong with them, before anything is spent.

    Args:
        paths: files, folders, globs, or "-" for standard input; one or several.
        field: the field that holds the text or the messages (see `problem_of`).
        template: a jinja2 template that writes the text (see `template_of`).
        limit: stop after so many problems; what comes later is not looked at.

    Raises:
        ProblemError: a path that names nothing, a template that is not valid, `field` beside `template`. What is wrong
            inside a file is in the result.
    """
    loaded = Loaded()
    by_id: dict[str, Problem] = {}
    by_content: dict[str, Problem] = {}
    for item in iterate(paths, field=field, template=template):
        if isinstance(item, ProblemError):
            loaded.bad.append(item)
        elif (first := by_id.setdefault(item.id, item)) is item:
            loaded.problems.append(item)
            twin = by_content.setdefault(content_id(item.messages), item)
            if twin is not item:
                loaded.duplicates.append(
                    f"{item.place}: {item.id!r} asks the same as {twin.id!r} at {twin.place}; both are kept"
                )
            if len(loaded.problems) == limit:
                break
        elif item.messages == first.messages:
            differs = "" if item.metadata == first.metadata else ", though other fields differ"
            loaded.duplicates.append(f"{item.place}: the same as {first.place}{differs}; the first is kept")
        else:
            loaded.bad.append(
                ProblemError(
                    f"{item.place}: the id {item.id!r} stands for another text at {first.place}; make ids unique, or"
                    " remove them"
                )
            )
    return loaded


def iterate(
    paths: str | Path | Iterable[str | Path], *, field: str | None = None, template: str | None = None
) -> Iterator[Problem | ProblemError]:
    """The problems one after the other, bad records and files as errors in their place; the arguments are `load`'s.

    Nothing is compared: the same problem may come twice.
    """
    if field is not None and template is not None:
        raise ProblemError("a field and a template were both given; one of them states the problem")
    ask = None if template is None else template_of(template)
    sources = expand([paths] if isinstance(paths, (str, Path)) else paths)
    return chain.from_iterable(_problems(source, field, ask) for source in sources)


def _problems(source: Source, field: str | None, ask: Ask | None) -> Iterator[Problem | ProblemError]:
    empty = True
    try:
        for row in rows(source):
            empty = False
            try:
                if row.fields is None:
                    raise ProblemError(row.fault)
                yield problem_of(row.fields, field=field, ask=ask, source=source.name, line=row.line)
            except ProblemError as error:
                yield ProblemError(f"{source.name}:{row.line}: {error}")
    except ProblemError as error:
        yield ProblemError(f"{source.name}: {error}")
    else:
        if empty:
            yield ProblemError(f"{source.name}: holds no record")


def rows(source: Source) -> Iterator[Row]:
    """The rows of a source.

    Raises:
        ProblemError: its encoding or shape is none that can be read.
    """
    form = source.format()
    if form == "saved":
        assert source.path is not None
        yield from table.saved(source.path)
    elif form in ("parquet", "arrow"):
        with source.open() as stream:
            yield from (table.parquet if form == "parquet" else table.arrow)(stream)
    else:
        line = 0
        try:
            with source.text() as stream:
                for row in _TEXT[form](stream):
                    line = row.line
                    yield row
        except DAMAGE as error:
            yield Row(line + 1, None, f"cannot be read further: {error}")


_TEXT: dict[str, Callable[[BinaryIO], Iterator[Row]]] = {
    "jsonl": text.json_lines,
    "json": text.json_array,
    "csv": partial(text.separated, separator=","),
    "tsv": partial(text.separated, separator="\t"),
}
