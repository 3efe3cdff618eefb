"""From paths to problems: every record is either a problem or an error with its place."""

from __future__ import annotations

import dataclasses
from collections import Counter
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
from antiphon.problem.shard import Shard, Share, digest
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
        share: where only a shard's problems were kept, what they are of the whole.
    """

    problems: list[Problem] = dataclasses.field(default_factory=list)
    bad: list[ProblemError] = dataclasses.field(default_factory=list)
    duplicates: list[str] = dataclasses.field(default_factory=list)
    share: Share | None = None

    @property
    def count(self) -> int:
        """How many problems there are, those of other shards among them."""
        return len(self.problems) if self.share is None else sum(self.share.problems)

    def only(self, shard: Shard) -> Loaded:
        """The same with a shard's problems alone."""
        share = Share.of(shard, (problem.id for problem in self.problems))
        return dataclasses.replace(self, problems=[each for each in self.problems if each.id in shard], share=share)

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
    shard: Shard | None = None,
) -> Loaded:
    """Reads all problems, and all that is wrong with them, before anything is spent.

    Args:
        paths: files, folders, globs, or "-" for standard input; one or several.
        field: the field that holds the text or the messages (see `problem_of`).
        template: a jinja2 template that writes the text (see `template_of`).
        limit: stop after so many problems; what comes later is not looked at.
        shard: keep the problems of this one. Bad records are those of the whole, duplicates its own; what other shards
            have is counted (`share`).

    Raises:
        ProblemError: a path that names nothing, a template that is not valid, `field` beside `template`. What is wrong
            inside a file is in the result.
    """
    loaded = Loaded()
    kept, others = _Kept(loaded), _Others(loaded.bad)
    for item in iterate(paths, field=field, template=template):
        if isinstance(item, ProblemError):
            loaded.bad.append(item)
            continue
        taking = kept if shard is None or item.id in shard else others
        if taking.take(item) and len(loaded.problems) + others.count == limit:
            break
    if shard is None:
        return loaded
    sizes = others.sizes(shard.of)
    sizes[shard.index] = len(loaded.problems)
    return dataclasses.replace(loaded, share=Share(shard, tuple(sizes)))


class _Kept:
    """Problems that are kept, and what was met twice."""

    def __init__(self, loaded: Loaded):
        self._loaded = loaded
        self._by_id: dict[str, Problem] = {}
        self._by_content: dict[str, Problem] = {}

    def take(self, problem: Problem) -> bool:
        """Adds it, unless its id was there before; says whether it was not."""
        loaded, first = self._loaded, self._by_id.setdefault(problem.id, problem)
        if first is problem:
            loaded.problems.append(problem)
            twin = self._by_content.setdefault(content_id(problem.messages), problem)
            if twin is not problem:
                loaded.duplicates.append(
                    f"{problem.place}: {problem.id!r} asks the same as {twin.id!r} at {twin.place}; both are kept"
                )
            return True
        if problem.messages == first.messages:
            differs = "" if problem.metadata == first.metadata else ", though other fields differ"
            loaded.duplicates.append(f"{problem.place}: the same as {first.place}{differs}; the first is kept")
        else:
            loaded.bad.append(_other_text(problem, f"at {first.place}"))
        return False


class _Others:
    """Problems of other shards: of each no more is kept than tells it again, a hundred bytes."""

    def __init__(self, bad: list[ProblemError]):
        self._bad = bad
        self._contents: dict[int, int] = {}  # by id; both as digests

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._contents)

    def sizes(self, of: int) -> list[int]:
        """How many each of `of` shards has."""
        sizes = Counter(id % of for id in self._contents)
        return [sizes[index] for index in range(of)]

    def take(self, problem: Problem) -> bool:
        """Counts it, unless its id was there before; says whether it was not."""
        before, content = self.count, digest(content_id(problem.messages))
        if self._contents.setdefault(digest(problem.id), content) != content:
            self._bad.append(_other_text(problem, "before"))
        return self.count > before


def _other_text(problem: Problem, where: str) -> ProblemError:
    return ProblemError(
        f"{problem.place}: the id {problem.id!r} stands for another text {where}; make ids unique, or remove them"
    )


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
