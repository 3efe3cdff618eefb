"""Run directories with whatever traces a test wants, and what comes out of pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from starlette.types import ASGIApp

from antiphon.problem import Problem
from antiphon.store import Store
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status, Trace, Turn, Word, pack_ids, pack_words

TOKEN, PORT = "token", 4711
MODELS = {"student": {"model": "small-student"}, "teacher": {"model": "big-teacher"}}


def problem(id: str, question: str = "What is it?") -> Problem:
    return Problem(id, ({"role": "user", "content": question},), {})


def span(author: str, kind: str, text: str, **more: Any) -> Span:
    """A span; where nothing else is said, with an id for each of its words and a verdict on each."""
    ends = [at + 1 for at in range(len(text)) if not text[at].isspace() and text[at + 1 : at + 2].strip() == ""]
    about: dict[str, Any] = {
        "ids": pack_ids(range(100, 100 + len(ends))),
        "ids_from": IdsFrom.SAMPLED,
        "end": SpanEnd.BOUNDARY,
        "confidence": 0.875,
        "words": pack_words(Word(end, kind == "style", 0.9) for end in ends),
    }
    return Span(Author(author), Kind(kind), text, **about | more)


def trace(id: str, *spans: Span, variant: str = "tessy", sample: int = 0, **more: Any) -> Trace:
    return Trace(Key(id, variant, sample), spans, **{"status": Status.COMPLETE} | more)


def write(
    directory: Path,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    turns: Mapping[Key, Sequence[Turn]] = {},
    shapings: Mapping[str, Mapping[str, Any]] = {},
) -> Path:
    """Writes a run, or goes on with it. A variant's shaping is its name as a method, if it is not given."""

    async def record(store: Store) -> None:
        for each in traces:
            recorder = store.recorder(each.key)
            recorder.begin()
            for number, part in enumerate(each.spans):
                recorder.close_span(number, part)
            for turn in turns.get(each.key, ()):
                recorder.turn(turn)
            if each.status is not None:
                await recorder.finish(each.status, cause=each.cause, closed_by=each.closed_by)
        await store.flush()
        for each in traces:
            store.add_verdicts(each.key, each.verdicts)

    with Store.open(directory) as store:
        store.add_problems(problems)
        for variant in dict.fromkeys(each.key.variant for each in traces):
            store.add_variant(variant, shapings.get(variant, {"method": variant}), MODELS)
        store.plan([each.key for each in traces])
        with ThreadPoolExecutor(1) as own:  # in this thread a browser's driver may have a loop
            own.submit(lambda: asyncio.run(record(store))).result()
    return directory


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(app: ASGIApp, path: str, *, method: str = "GET", **headers: str) -> Answer:
    """Asks as a browser does that has the address; a header's name is written with _ for -."""
    path, _, query = path.partition("?")
    given = {"host": f"127.0.0.1:{PORT}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "server": ("127.0.0.1", PORT),
        "client": ("127.0.0.1", 50_000),
    }
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(app(scope, receive, send))
    start = said[0]
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], found, b"".join(message.get("body", b"") for message in said[1:]))


class Page(HTMLParser):
    """A page as a browser's tree has it: elements with their texts, characters put in as page.js does.

    `texts` are those of all elements of the classes or ids asked for, in their order.
    """

    VOID = frozenset(["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "rect", "source"])

    def __init__(self, html: str, *wanted: str):
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._wanted = set(wanted)
        self._open: list[tuple[str, int | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.append((tag, given))
        if tag in self.VOID:
            return
        names = {*(given.get("class") or "").split(), given.get("id")}
        place = None
        if names & self._wanted:
            place = len(self.texts)
            self.texts.append("")
        self._open.append((tag, place))
        if given.get("data-code"):
            self._add(chr(int(given["data-code"] or "")) * int(given["data-times"] or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        last, _ = self._open.pop()
        assert last == tag, f"<{last}> is closed by </{tag}>"

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _add(self, text: str) -> None:
        for _, place in self._open:
            if place is not None:
                self.texts[place] += text
