"""The simulated pair of completion servers (`../shared/sim`), whose labels and authors are known exactly.

Both models follow one script: style and capability in spans, each author with words of its own. The servers run in a
process of their own on free ports. The teacher reads a dialect of its own (`simulator.toml`), the student Qwen3's.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import antiphon.problem
from antiphon.boundary.base import BoundaryPredictor, Session, Verdict
from antiphon.boundary.words import WordReader
from antiphon.problem import Problem
from antiphon.settings import Settings, load
from antiphon.trace import Author, Status, Trace

SIMULATOR = Path(__file__).parents[2] / "shared" / "sim"
DIALECT = Path(__file__).with_suffix(".toml")
Form = Literal["ids", "text"]
"""How requests and replies travel: as token ids, or as text."""


def _script() -> ModuleType:
    """The simulator's own `simlib.py`: the script that both models follow, and its labels."""
    spec = importlib.util.spec_from_file_location("simlib", SIMULATOR / "simlib.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simlib = _script() if SIMULATOR.is_dir() else ModuleType("simlib")


# -- the servers


@dataclass(frozen=True)
class SimulatedServer:
    """One of the two, on this machine; perhaps behind TLS, at a port of its own (`bench.away`)."""

    port: int
    front: int | None = None
    authority: Path | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}" if self.front is None else f"https://127.0.0.1:{self.front}"

    def stats(self) -> Mapping[str, Any]:
        """Its counters since the last reset."""
        return self._ask("GET", "/stats")

    def reset(self, *, keep_cache: bool = False) -> None:
        """Clears counters and faults, and the prefix cache unless told otherwise."""
        self._ask("POST", "/reset?keep_cache" if keep_cache else "/reset")

    def fault(self, kind: str, *, match: str = "", count: int = -1) -> None:
        """From now on answers requests whose prompt holds `match` with a fault, `count` times (-1: always)."""
        self._ask("POST", "/fault", {"kind": kind, "match": match, "count": count})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()


@dataclass(frozen=True)
class Pair:
    """A teacher and a student, and where the tokenizer of both lies."""

    teacher: SimulatedServer
    student: SimulatedServer
    tokenizer: Path

    @property
    def servers(self) -> tuple[SimulatedServer, SimulatedServer]:
        """Both."""
        return self.teacher, self.student

    @property
    def requests(self) -> int:
        """Requests since the last reset."""
        return sum(server.stats()["requests"] for server in self.servers)

    @property
    def decoded(self) -> int:
        """Tokens written since the last reset."""
        return sum(server.stats()["decoded_tokens"] for server in self.servers)

    def reset(self, *, keep_cache: bool = False) -> None:
        """As `SimulatedServer.reset`, of both."""
        for server in self.servers:
            server.reset(keep_cache=keep_cache)

    def fault(self, kind: str, *, match: str = "", count: int = -1) -> None:
        """As `SimulatedServer.fault`, of both."""
        for server in self.servers:
            server.fault(kind, match=match, count=count)


@contextmanager
def simulated_pairs(folder: Path, count: int = 1, costs: Sequence[str] = ()) -> Iterator[list[Pair]]:
    """So many pairs in one process of their own, for as long as the context lasts.

    Args:
        folder: gets the problems (`p512.jsonl` ...) and `tokenizer.json`.
        costs: flags of the simulator that change what its servers' work costs.
    """
    pairs = unserved_pairs(folder, count)
    process = serve(pairs, costs)
    try:
        yield pairs
    finally:
        process.terminate()
        process.communicate()


def unserved_pairs(folder: Path, count: int = 1) -> list[Pair]:
    """As `simulated_pairs`, but nothing listens there yet."""
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.exists():
        subprocess.run([sys.executable, SIMULATOR / "make_problems.py", folder], check=True)
    return [Pair(SimulatedServer(one), SimulatedServer(other), tokenizer) for one, other in free_ports(count)]


def serve(pairs: Sequence[Pair], costs: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Starts the servers of pairs, all in one process, and returns once they listen.

    Raises:
        RuntimeError: they do not.
    """
    names = [f"{role}:{getattr(pair, role).port}" for pair in pairs for role in ("teacher", "student")]
    process = subprocess.Popen(
        [sys.executable, SIMULATOR / "simserver.py", *(word for name in names for word in ("--engine", name)), *costs],
        env={**os.environ, "SIM_TOKENIZER": str(pairs[0].tokenizer), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if not process.stdout.readline().startswith("ready"):
        process.kill()
        process.communicate()
        raise RuntimeError("the simulated servers did not start")
    return process


def free_ports(pairs: int) -> list[tuple[int, int]]:
    """So many pairs of ports of this machine that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * pairs)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return list(zip(ports[::2], ports[1::2], strict=True))


# -- the problems and what runs need


def problems(folder: Path, count: int, *, spans: int | None = None, answer: int | None = None) -> list[Problem]:
    """The first so many.

    Args:
        folder: as for `simulated_pairs`.
        spans: pairs of style and capability in a trace; None: 50 to 90.
        answer: tokens of the answer, 60 or more; None: 150.
    """
    loaded = antiphon.problem.load([str(folder / "p512.jsonl")], limit=count).problems
    return [_with(problem, caps=spans, ans=answer) for problem in loaded]


def _with(problem: Problem, **lengths: int | None) -> Problem:
    text = statement(problem)
    for name, length in lengths.items():
        if length is not None:
            text = re.sub(rf"\b{name}=\d+", f"{name}={length}", text)
    return Problem(problem.id, ({"role": "user", "content": text},))


def statement(problem: Problem) -> str:
    """A problem's text, which holds its script."""
    return problem.messages[-1]["content"]


def write_problems(path: Path, some: Iterable[Problem]) -> Path:
    """The file that the command reads."""
    path.write_text("".join(json.dumps({"id": each.id, "prompt": statement(each)}) + "\n" for each in some))
    return path


def flags(pair: Pair, form: Form, **more: Any) -> dict[str, Any]:
    """The settings of a run on a pair, by dotted names."""
    both = {"server.tokenizer": str(pair.tokenizer), "server.ids": "auto" if form == "ids" else "never"}
    return {
        "teacher.model": pair.teacher.url,
        "teacher.dialect": str(DIALECT),
        "student.model": pair.student.url,
        "student.dialect": "qwen3",
        **{f"{role}.{name}": value for role in ("teacher", "student") for name, value in both.items()},
        **(
            {}
            if pair.teacher.authority is None
            else {
                "teacher.server.verify": str(pair.teacher.authority),
                "student.server.verify": str(pair.teacher.authority),
            }
        ),
        "boundary.teacher": "bench.simulator:Labels",
        "boundary.student": "bench.simulator:Labels",
        "concurrency": 512,
        **more,
    }


def settings(pair: Pair, form: Form, **more: Any) -> Settings:
    """The same as settings."""
    return load(flags=flags(pair, form, **more), environment={})


# -- exact labels


class Labels(BoundaryPredictor):
    """The script's own labels: the class of a word is known before the word exists."""

    id = "simulated-labels"
    lookahead = -1

    def session(self, role: Author) -> Session:
        return _LabelsSession()


class _LabelsSession(Session):
    """A word is of the class of its first token, known when its first character is there. The script's tokens divide
    words, but never into both classes: a phrase of style is followed by a blank, a terminator ends the word before
    it."""

    def __init__(self) -> None:
        self._reader = WordReader()
        self._settled = ""  # since the last terminator: labels do not depend on what is before it
        self._seam = 0  # position where the settled text ends
        self._classes: dict[int, bool] = {}  # of the words begun since the seam, by start

    @property
    def position(self) -> int:
        return self._reader.position

    def context(self, text: str) -> None:
        self._settled = _since_terminator(self._settled + self._reader.text(self._seam, self.position) + text)
        self._reader.skip(len(text))
        self._seam = self.position
        self._classes.clear()

    def feed(self, text: str) -> list[Verdict]:
        verdicts = self._whole(self._reader.push(text))
        if (partial := self._reader.partial) is not None:
            verdicts += self._begun(partial[0])
        return verdicts

    def finish(self) -> list[Verdict]:
        return self._whole(self._reader.finish())

    def rollback(self, offset: int) -> None:
        self._reader.rollback(offset)
        self._classes = {start: style for start, style in self._classes.items() if start < offset}

    def _whole(self, words: Iterable[tuple[int, int]]) -> list[Verdict]:
        verdicts = []
        for start, end in words:
            verdicts += self._begun(start)
            verdicts.append(Verdict(start, end, self._classes[start], 1.0))
        return verdicts

    def _begun(self, start: int) -> list[Verdict]:
        if start in self._classes:
            return []
        last = next(reversed(self._classes), start)
        if not self._classes.get(last, True) and "." not in self._reader.text(last, start):
            self._classes[start] = False  # capability lasts until a terminator
            return [Verdict(start, start, False, 1.0)]
        before = _since_terminator(self._settled + self._reader.text(self._seam, start))
        tokens = simlib.tok(before.rstrip(" "))  # the blank belongs to the token that begins with the word
        style = self._classes[start] = not tokens or bool(simlib.labels_next(tokens, True)[-1])
        return [Verdict(start, start, style, 1.0)]


def _since_terminator(text: str) -> str:
    return text[text.rfind(".") + 1 :].removeprefix("\n\n")


# -- what a trace must be


def wrong(trace: Trace, problem: Problem) -> list[str]:
    """How a finished trace differs from the script; empty if in nothing."""
    seed, spans, lengths, answer, _ = simlib.spec(statement(problem))
    if trace.status is not Status.COMPLETE:
        return [f"{trace.key}: {trace.status}: {trace.cause}"]
    count = simlib.confusion(trace.thinking)
    expected = {"style_teacher": 0, "cap_student": 0, "other": 0, "spans": spans, "cap_teacher": sum(lengths)}
    found = [
        f"{trace.key}: {name} is {count[name]}, not {number}"
        for name, number in expected.items()
        if count[name] != number
    ]
    reply = trace.response.partition("</think>")[2]
    if reply != "".join(simlib.answer_toks(seed, answer)):
        found.append(f"{trace.key}: the answer is not the script's: {reply[:80]!r}")
    return found


def needed(trace: Trace) -> int:
    """Tokens that a finished trace takes if none is thrown away (the line breaks before its answer are no model's)."""
    return len(simlib.tok(trace.thinking)) + 1 + len(simlib.tok(trace.answer))


def needed_of_teacher(trace: Trace) -> int:
    """Of these, the teacher's."""
    return sum(len(simlib.tok(span.text)) for span in trace.spans if span.author is Author.TEACHER)
