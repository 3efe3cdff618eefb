"""Rows of files into a variant of a run directory: each response once, as a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from antiphon import dialect
from antiphon.dialect import Dialect
from antiphon.errors import ProblemError, UsageError
from antiphon.imports.record import FORMATS, row_of
from antiphon.imports.writing import Imported, Writer
from antiphon.problem import Problem, content_id
from antiphon.problem.read import rows
from antiphon.problem.source import expand
from antiphon.store import Reader, Store

_BATCH = 8 << 20  # characters of responses that are in memory


async def bring(
    paths: str | Path | Iterable[str | Path],
    directory: Path,
    *,
    variant: str | None = None,
    model: str | None = None,
    format: str | None = None,
    markers: str | None = None,
    by_text: bool = False,
    on_rows: Callable[[Imported], None] = lambda so_far: None,
) -> Imported:
    """Imports the responses of files into a run directory, which is made if it is not there.

    A response is there already if the problem has one in the variant with the same text, ending and verdicts; so many
    as the files hold of the same are kept. Some megabytes are in memory at a time, and durable before the next.

    Args:
        paths: as `antiphon.problem.load` takes them; one that is named twice is read once.
        variant: where they go; None: a variant for each model, named as the model is, or `UNNAMED`.
        model: who wrote them; None: whom the rows name in a field `model`.
        format: one of `FORMATS`; None: told for each row by its fields.
        markers: the family (`antiphon.dialect.shipped_families`) in whose spelling think markers are written; None: as
            they are published.
        by_text: problems are one if their messages are, whatever ids the rows have.
        on_rows: is told after each batch.

    Raises:
        UsageError: a format or family that is not there, rows of several models for one variant, or a variant that is
            of another method, model or spelling. What was imported before stays.
        StoreError: the run directory cannot be written.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"there is no format {format!r}; there are auto, {', '.join(FORMATS)}")
    spelling = None if markers is None else _family(markers)
    sources = {source.name: source for source in expand([paths] if isinstance(paths, (str, Path)) else paths)}
    with Store.open(directory) as store, Reader(directory) as reader:
        done = Imported(repaired=store.repaired)
        writer = Writer(store, reader, done, variant, model, spelling)
        for source in sources.values():
            empty = True
            try:
                for line, fields, fault in rows(source):
                    empty = False
                    done.rows += 1
                    place = f"{source.name}:{line}"
                    try:
                        if fields is None:
                            raise ProblemError(fault)
                        row = row_of(fields, format, source=source.name, line=line)
                    except ProblemError as error:
                        done.bad.append(ProblemError(f"{place}: {error}"))
                        continue
                    problem = _by_text(row.problem) if by_text else row.problem
                    for answer in row.answers:
                        if isinstance(answer, ProblemError):
                            done.bad.append(ProblemError(f"{place}: {answer}"))
                        else:
                            writer.take(problem, row.model, answer)
                    if writer.size >= _BATCH:
                        await writer.write()
                        on_rows(done)
            except ProblemError as error:
                done.bad.append(ProblemError(f"{source.name}: {error}"))
            else:
                if empty:
                    done.bad.append(ProblemError(f"{source.name}: holds no record"))
        await writer.write()
        on_rows(done)
    return done


def _family(name: str) -> Dialect:
    found = dialect.load(name, template=None, has_control=None, controls=None)
    return replace(found, name=name)


def _by_text(problem: Problem) -> Problem:
    """The same problem under the id that its text gives it; its own stays in the metadata."""
    return replace(problem, id=content_id(problem.messages), metadata={"id": problem.id, **problem.metadata})
