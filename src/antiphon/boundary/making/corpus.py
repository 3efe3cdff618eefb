"""A corpus to be marked: slices of thinking cut at random from traces, and which problems are kept for testing."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from antiphon.boundary.making.forms import CLOSE, OPEN
from antiphon.boundary.making.marked import MarkedText
from antiphon.boundary.making.split import held_out
from antiphon.boundary.making.thinking import Stretch, messages_of, stretches, text_of_content
from antiphon.boundary.words import words
from antiphon.dialect import Message
from antiphon.errors import ProblemError, UsageError
from antiphon.problem.base import content_id
from antiphon.problem.read import rows
from antiphon.problem.record import CONVERSATIONS, IDS, TEXTS
from antiphon.problem.source import Source, expand
from antiphon.store import Reader
from antiphon.store.place import DATABASE
from antiphon.trace import Author, Kind, Trace


@dataclass(frozen=True, slots=True)
class Thinking:
    """One model's thinking about one problem.

    Attributes:
        stretch: its text, and the text that places in it are counted in.
        file: where it comes from, as the user named it: a file or a run directory.
        row: its line or row in the file, or the key of its trace.
        source: where it was published, where the record says so, else `file`.
        author: in which role it was written, where that is known and was one.
    """

    stretch: Stretch
    file: str
    row: int | str
    problem_key: str
    model: str = ""
    source: str = ""
    domain: str = ""
    licence: str = ""
    author: Author | None = None


class Cut(NamedTuple):
    """How slices are cut: their length in words, from and to, and the seed."""

    shortest: int = 60
    longest: int = 100
    seed: int = 0


@dataclass(slots=True)
class Corpus:
    """What was found in traces.

    Attributes:
        slices: texts without marks, in the order in which they are to be marked.
        tests: the problems (`problem_key`) that are kept for testing.
        traces: how many had thinking long enough; `short` how many had too little, `without` how many had none.
        faults: what could not be read, with its place.
    """

    slices: list[MarkedText] = field(default_factory=list)
    tests: frozenset[str] = frozenset()
    traces: int = 0
    short: int = 0
    without: int = 0
    faults: list[str] = field(default_factory=list)


def gather(paths: Iterable[str | Path], number: int, cut: Cut, *, test_share: float = 0.2, domain: str = "") -> Corpus:
    """Cuts slices from traces: one from each, in an order that the seed gives, then a second one from each, and so on.

    No two slices of one trace overlap, none is twice there. The same traces, cut and number give the same slices,
    whatever the order of the files; a larger number gives the same ones first.

    Args:
        paths: run directories, files of records, globs.
        number: how many slices to take; there may be fewer.
        test_share: about this share of the traces, and their problems, are kept for testing; 0: none are.
        domain: what to say where a record says nothing.

    Raises:
        UsageError: a path that names nothing, no thinking long enough to be cut, too few problems to be split.
    """
    corpus = Corpus()
    firsts: dict[str, MarkedText] = {}

    def candidates() -> Iterator[tuple[int, str, MarkedText]]:
        for item in thinkings(paths, domain=domain):
            if isinstance(item, str):
                corpus.faults.append(item)
            elif item is None:
                corpus.without += 1
            elif not (found := slices(item, cut)):
                corpus.short += 1
            else:
                corpus.traces += 1
                firsts.setdefault(found[0].id, found[0])
                yield from ((rank, _drawn(cut.seed, piece.id), piece) for rank, piece in enumerate(found))

    corpus.slices = _first(candidates(), number)
    if not corpus.slices:
        raise UsageError(
            f"no thinking of at least {cut.shortest} words in {', '.join(map(str, paths))}: with less there"
            f" are {corpus.short:,}, with none {corpus.without:,}, and {len(corpus.faults):,} cannot be read"
            + (f" ({corpus.faults[0]})" if corpus.faults else "")
            + "; --words N-M takes shorter slices" * bool(corpus.short)
        )
    if test_share:
        _, held = held_out(list(firsts.values()), test_share, cut.seed)
        corpus.tests = frozenset(piece.problem_key for piece in held)
    return corpus


def _first(found: Iterable[tuple[int, str, MarkedText]], number: int) -> list[MarkedText]:
    """The first so many in order, each once (copies of a trace give the same ones), no more than these in memory."""
    kept: dict[str, tuple[int, str, MarkedText]] = {}
    last: list[tuple[int, int, str]] = []  # a heap of them, the last in order on top
    for rank, drawn, piece in found:
        if piece.id in kept:
            continue
        kept[piece.id] = rank, drawn, piece
        heapq.heappush(last, (-rank, -int(drawn, 16), piece.id))
        if len(kept) > number:
            del kept[heapq.heappop(last)[2]]
    return [piece for _, _, piece in sorted(kept.values(), key=lambda item: item[:2])]


def slices(thinking: Thinking, cut: Cut) -> list[MarkedText]:
    """Slices of one thinking, none overlapping another, in random order; none where it is too short.

    Each begins and ends with a whole word. Their `fields` say where they were cut: `start` and `end` count characters
    of the field or response that the thinking stands in. Slices that hold ⟦ or ⟧ are left out.
    """
    stretch = thinking.stretch
    found = words(stretch.text)
    digest = hashlib.sha256(stretch.text.encode("utf-8", "surrogatepass")).hexdigest()
    draw = random.Random(f"{cut}/{thinking.problem_key}/{thinking.model}/{digest}")
    made: list[MarkedText] = []
    at = 0
    while (room := len(found) - at) >= cut.shortest:
        length = draw.randint(cut.shortest, min(cut.longest, room))
        first = at + draw.randint(0, min(cut.longest, room - length))
        at = first + length
        start, end = stretch.start + found[first][0], stretch.start + found[at - 1][1]
        text = stretch.within[start:end]
        if OPEN not in text and CLOSE not in text:
            made.append(_slice(thinking, text, start, end))
    draw.shuffle(made)
    return made


def _slice(thinking: Thinking, text: str, start: int, end: int) -> MarkedText:
    named = f"{thinking.problem_key}/{thinking.model}/{start}/{text}"
    where = {"source": thinking.source or thinking.file, "licence": thinking.licence}
    return MarkedText(
        hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        text,
        (),
        thinking.problem_key,
        thinking.domain,
        thinking.model,
        thinking.author,
        {**where, "file": thinking.file, "row": thinking.row, "start": start, "end": end},
    )


def _drawn(seed: int, id: str) -> str:
    return hashlib.sha256(f"{seed}/{id}".encode()).hexdigest()


def thinkings(paths: Iterable[str | Path], *, domain: str = "") -> Iterator[Thinking | str | None]:
    """All thinking in run directories and files of records; None for a trace that has none, a text where something
    cannot be read.

    Raises:
        ProblemError: a path that names nothing.
    """
    for path in map(Path, paths):
        if (path / DATABASE).is_file():
            yield from _of_run(path, domain)
        else:
            for source in expand([path]):
                yield from _of_file(source, domain)


def _of_file(source: Source, domain: str) -> Iterator[Thinking | str | None]:
    try:
        for row in rows(source):
            if row.fields is None:
                yield f"{source.name}:{row.line}: {row.fault}"
                continue
            record = row.fields
            found = list(stretches(record))
            if not found:
                yield None
            for stretch in found:
                yield Thinking(
                    stretch,
                    source.name,
                    row.line,
                    problem_key_of(record) or f"{source.name}:{row.line}",
                    model=_said(record, "model"),
                    source=_said(record, "source"),
                    domain=_said(record, "domain") or domain,
                    licence=_said(record, "licence") or _said(record, "license"),
                )
    except ProblemError as error:
        yield f"{source.name}: {error}"


def _of_run(directory: Path, domain: str) -> Iterator[Thinking | None]:
    with Reader(directory) as reader:
        models = {variant.name: _models(variant.shaping) for variant in reader.variants()}
        problems = {problem.id: problem for problem in reader.problems()}
        for trace in reader.traces():
            stretch = _stretch(trace)
            if stretch is None:
                yield None
                continue
            problem = problems[trace.key.problem]
            said = problem.metadata
            authors = {span.author for span in trace.spans if span.kind not in (Kind.MARKER, Kind.ANSWER) and span.text}
            names = [models[trace.key.variant].get(author, "") for author in sorted(authors)]
            yield Thinking(
                stretch,
                str(directory),
                str(trace.key),
                _said(said, "problem_key") or content_id(problem.messages),
                model=" + ".join(name for name in names if name),
                source=_said(said, "source"),
                domain=_said(said, "domain") or domain,
                licence=_said(said, "licence") or _said(said, "license"),
                author=authors.pop() if len(authors) == 1 and authors < {Author.STUDENT, Author.TEACHER} else None,
            )


def _stretch(trace: Trace) -> Stretch | None:
    """The thinking of a trace, which is in one piece."""
    if not trace.thinking:
        return None
    start = 0
    for span in trace.spans:
        if span.kind is not Kind.MARKER:
            break
        start += len(span.text)
    return Stretch(trace.response, start, start + len(trace.thinking))


def _models(shaping: Mapping[str, Any]) -> dict[Author, str]:
    """The models of a variant by role."""
    engines = {author: shaping.get(author, {}).get("engine", {}) for author in (Author.STUDENT, Author.TEACHER)}
    return {author: str(engine.get("model", "")) for author, engine in engines.items()}


def problem_key_of(record: Mapping[str, Any]) -> str:
    """What all traces of one problem share: `problem_key` where the record has it, else a hash of what was asked, else
    an id; "" where there is nothing of these."""
    if key := _said(record, "problem_key"):
        return key
    asked: list[Message] = []
    for message in messages_of(next((value for name in CONVERSATIONS if (value := record.get(name))), None)):
        if message.get("role") == "assistant":
            break
        asked.append(Message(role=str(message.get("role")), content=text_of_content(message.get("content"))))
    texts = [text for name in TEXTS if isinstance(text := record.get(name), str) and text.strip()]
    if not asked and texts:
        asked = [Message(role="user", content=texts[0])]
    return content_id(asked) if asked else next((key for name in IDS if (key := _said(record, name))), "")


def _said(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
