"""Traces from whole replies: what is recorded, how each ends, and what is refused before anything is spent."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon.dialect
from antiphon.dialect import Message, Part
from antiphon.engine.base import Capabilities, Engine, Reply
from antiphon.engine.base import Sequence as Prefix
from antiphon.engine.scripted import ScriptedEngine
from antiphon.errors import EngineUnavailable, ModelError, RequestRefused, SettingsError, VariantChanged
from antiphon.problem import Problem
from antiphon.settings import Sampling, load
from antiphon.store import Reader, Store
from antiphon.synth.reply import part
from antiphon.synth.run import Run
from antiphon.trace import Author, IdsFrom, Key, Kind, Span, SpanEnd, Status, Trace

PLAIN = antiphon.dialect.load("plain", template=None, has_control=None, controls=None)
QUESTION: Message = {"role": "user", "content": "2+2?"}
KEY = Key("p", "teacher_only", 0)


def says(answer: str = "It is 4.", thinking: str = "Two and two.", finish: str = "stop", **counts: Any) -> Reply:
    return Reply(thinking, answer, finish, **{"server": "http://s", "prompt": 9, "received": 7, "kept": 7, **counts})


class Completer(Engine):
    """Gives whole replies and nothing else."""

    def __init__(self, name: str, replies: Callable[[int], Reply | Exception], context: int | None = None):
        self.name = name
        self.replies = replies
        self.context = context
        self.asked: list[tuple[Sequence[Message], int, int | None]] = []

    @property
    def identity(self) -> Mapping[str, str]:
        return {"model": self.name, "route": "chat"}

    async def capabilities(self) -> Capabilities:
        return Capabilities(ids=False, context=self.context, continues=False)

    async def probe(self) -> None:
        pass

    async def open(self, parts: Iterable[Part]) -> Prefix:
        raise AssertionError("a chat endpoint cannot go on from a prefix")

    async def encode(self, text: str) -> array[int]:
        return array("I")

    async def decode(self, ids: Iterable[int]) -> str:
        raise AssertionError("it has no ids")

    def control_id(self, token: str) -> int | None:
        return None

    async def complete(
        self, messages: Sequence[Message], sampling: Sampling, max_tokens: int, seed: int | None = None
    ) -> Reply:
        self.asked.append((tuple(messages), max_tokens, seed))
        reply = self.replies(len(self.asked))
        if isinstance(reply, Exception):
            raise reply
        return reply


def run(
    directory: Path, replies: Callable[[int], Reply | Exception], *, context: int | None = None, **flags: Any
) -> tuple[Run, Completer]:
    engine = Completer("vendor", replies, context)

    def open_engine(reference: str, **how: Any) -> Engine:
        return engine if reference == "chat" else ScriptedEngine(reference, lambda here: [])

    given = {"method": "teacher_only", "teacher.model": "chat", **{k.replace("__", "."): v for k, v in flags.items()}}
    problem = Problem("p", (QUESTION,))
    return Run([problem], directory / "run", load(flags=given), open_engine=open_engine), engine


def written(directory: Path, reply: Reply | Exception, **flags: Any) -> Trace:
    (trace,) = run(directory, lambda number: reply, **flags)[0]
    return trace


def page(folder: Path) -> Path:
    """A family that writes other markers."""
    path = folder / "brackets.toml"
    path.write_text(
        """
follows_template = false
ends = []
[prompt]
system = "{content}"
user = "{content}"
assistant = "{content}"
reply = ""
[thinking]
open = "[["
close = "]]"
answer = ""
""",
        "utf-8",
    )
    return path


def test_thinking_and_answer_stand_between_the_markers(tmp_path: Path) -> None:
    trace = written(tmp_path, says(cached=5, told=9))
    assert trace.response == "<think>\nTwo and two.\n</think>\n\nIt is 4."
    assert [(span.author, span.kind, span.end) for span in trace.spans] == [
        (Author.NONE, Kind.MARKER, SpanEnd.SEAM),
        (Author.TEACHER, Kind.THINKING, SpanEnd.THINK_CLOSE),
        (Author.NONE, Kind.MARKER, SpanEnd.SEAM),
        (Author.TEACHER, Kind.ANSWER, SpanEnd.END_OF_TURN),
    ]
    assert all(span.ids_from is IdsFrom.NONE and not span.ids for span in trace.spans)
    assert (trace.status, trace.closed_by) == (Status.COMPLETE, Author.TEACHER)
    usage = trace.usage[Author.TEACHER]
    assert (usage.requests, usage.received, usage.kept, usage.prompt) == (1, 7, 7, 9)
    assert usage.cached_share == 5 / 9


def test_the_turn_is_recorded(tmp_path: Path) -> None:
    written(tmp_path, says(requests=2, prompt=18, received=11))
    with Reader(tmp_path / "run") as reader:
        (turn,) = reader.turns(KEY)
    assert (turn.role, turn.server, turn.span) == (Author.TEACHER, "http://s", 3)
    assert (turn.words, turn.cut) == (0, False)
    assert (turn.requests, turn.prompt, turn.received, turn.kept, turn.thrown_away) == (2, 18, 11, 7, 4)


def test_the_students_markers_are_taken_where_there_is_a_student(tmp_path: Path) -> None:
    trace = written(tmp_path, says(), student__model="own", student__dialect=str(page(tmp_path)))
    assert trace.response == "[[Two and two.]]It is 4."
    assert {span.author for span in trace.spans} == {Author.NONE, Author.TEACHER}


def test_the_student_alone_works_too(tmp_path: Path) -> None:
    trace = written(tmp_path, says(), method="student_only", student__model="chat", teacher__model=None)
    assert {span.author for span in trace.spans} == {Author.NONE, Author.STUDENT}
    assert trace.status is Status.COMPLETE


@pytest.mark.parametrize(
    ("reply", "status", "cause"),
    [
        (says(), Status.COMPLETE, ""),
        (says(thinking=""), Status.COMPLETE, ""),
        (says(finish="length"), Status.TOO_LONG, "the reply reached its budget of 24576 tokens"),
        (says("", finish="length"), Status.TOO_LONG, "the reply reached its budget of 24576 tokens"),
        (says(" \n"), Status.NO_ANSWER, "the answer is empty"),
        (says("", ""), Status.NO_ANSWER, "the answer is empty"),
        (says(finish="content_filter"), Status.FAILED, "http://s ended the reply with 'content_filter'"),
        (says("", finish="tool_calls"), Status.FAILED, "http://s ended the reply with 'tool_calls'"),
        (says(thinking="over and over, " * 60), Status.REPETITION, "the thinking repeats itself"),
        (says("again and again. " * 60, finish="length"), Status.REPETITION, "the answer repeats itself"),
        (RequestRefused("http://s: no"), Status.FAILED, "http://s: no"),
    ],
)
def test_how_a_trace_ends(tmp_path: Path, reply: Reply | Exception, status: Status, cause: str) -> None:
    trace = written(tmp_path, reply)
    assert (trace.status, trace.cause) == (status, cause)
    if isinstance(reply, Reply):
        assert trace.thinking == reply.thinking
        assert trace.answer == reply.answer.lstrip("\n")


def test_a_reply_that_broke_off_in_its_thinking_has_no_second_marker(tmp_path: Path) -> None:
    trace = written(tmp_path, says("", finish="length"))
    assert [span.kind for span in trace.spans] == [Kind.MARKER, Kind.THINKING]
    assert (trace.spans[-1].end, trace.closed_by) == (SpanEnd.BUDGET, None)


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>\nTwo.\n</think>\n\nFour.", "Two.", "Four."),
        ("\n<think>Two.</think>Four.", "Two.", "Four."),
        ("Two.\n</think>\n\nFour.", "Two.", "Four."),  # the prompt had opened it
        ("</think>\nFour.", "", "Four."),
        ("<think>\n\n</think>\n\nFour.", "", "Four."),
        ("<think>\n```\n</think>\n```\nTwo.\n</think>\nFour.", "```\n</think>\n```\nTwo.", "Four."),
        ("Write </think> to close it.", "", "Write </think> to close it."),
        ("```\n<think>\n</think>\n```", "", "```\n<think>\n</think>\n```"),
        ("It begins with <think> and goes on.", "", "It begins with <think> and goes on."),
        ("<think>\nTwo.\n</think>\nFour, not </think>.", "Two.", "Four, not </think>."),
        ("<think>\nnever closed", "never closed", ""),
        ("  Four.", "", "  Four."),
    ],
)
def test_thinking_inside_the_text_is_told_by_its_markers(text: str, thinking: str, answer: str) -> None:
    parted = part(says(text, ""), PLAIN)
    assert (parted.thinking, parted.answer) == (thinking, answer)


def test_markers_mean_nothing_where_the_server_tells_thinking_apart() -> None:
    parted = part(says("<think>\nFour.\n</think>\n5", "Two.\n</think>\nthree"), PLAIN)
    assert (parted.thinking, parted.answer) == ("Two.\n</think>\nthree", "<think>\nFour.\n</think>\n5")


anything = st.text(st.characters(exclude_categories=()), max_size=60).filter(lambda text: "`" not in text)


@given(thinking=anything, answer=anything)
def test_nothing_but_line_breaks_beside_the_markers_is_lost(thinking: str, answer: str) -> None:
    parted = part(says(f"<think>\n{thinking}\n</think>\n\n{answer}", ""), PLAIN)
    assert (parted.thinking, parted.answer) == (thinking.strip("\n"), answer.lstrip("\n"))


def test_the_budgets_are_asked_for_together(tmp_path: Path) -> None:
    task, engine = run(tmp_path, lambda number: says(), budget__thinking=100, budget__answer=30, seed=3, samples=2)
    assert len(list(task)) == 2
    assert [(asked[0], asked[1]) for asked in engine.asked] == [((QUESTION,), 130)] * 2
    assert len({asked[2] for asked in engine.asked}) == 2


def test_the_context_bounds_what_is_asked_for(tmp_path: Path) -> None:
    task, engine = run(tmp_path, lambda number: says(finish="length"), context=100, budget__answer=30)
    (trace,) = task
    assert engine.asked[0][1] == 99  # the question takes about one token
    assert (trace.status, trace.cause) == (Status.CONTEXT_FULL, "the reply fills the context")


def test_a_trace_that_was_cut_is_asked_for_anew(tmp_path: Path) -> None:
    list(run(tmp_path, lambda number: says(), samples=1)[0])

    async def cut() -> None:
        with Store.open(tmp_path / "run") as store:
            store.plan([Key("p", "teacher_only", 1)])
            recorder = store.recorder(Key("p", "teacher_only", 1))
            recorder.begin()
            for index in range(4):
                kind = (Kind.MARKER, Kind.THINKING, Kind.MARKER, Kind.ANSWER)[index]
                recorder.close_span(index, Span(Author.TEACHER, kind, "stale", end=SpanEnd.SEAM))
            await store.flush()

    asyncio.run(cut())
    task, engine = run(tmp_path, lambda number: says(thinking=""), samples=2)
    trace = {trace.key.sample: trace for trace in task}[1]
    assert trace.response == "<think>\n\n</think>\n\nIt is 4."
    assert len(engine.asked) == 1


def test_an_outage_is_waited_for(tmp_path: Path) -> None:
    def replies(number: int) -> Reply | Exception:
        return EngineUnavailable("gone") if number == 1 else says()

    (trace,) = run(tmp_path, replies)[0]
    assert trace.status is Status.COMPLETE


def test_limits_count_the_servers_tokens(tmp_path: Path) -> None:
    reply = says(received=400, kept=400)
    task, _ = run(tmp_path, lambda number: reply, samples=5, concurrency=1, max__tokens_total=700)
    assert len([trace for trace in task if trace.status is not None]) == 2
    assert task.tally.spend is not None
    assert task.tally.spend.tokens == 800


# -- what is refused


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_turns_are_refused_with_the_reason(tmp_path: Path, role: str) -> None:
    other = {"teacher": "student", "student": "teacher"}[role]
    flags = {"method": "tessy", f"{role}__model": "chat", f"{other}__model": "own", f"{other}__dialect": "qwen3"}
    task, engine = run(tmp_path, lambda number: says(), **flags)
    with pytest.raises(ModelError) as raised:
        list(task)
    said = str(raised.value)
    assert said.startswith("vendor: a chat endpoint cannot go on from the middle of a reply")
    assert f"or choose one of the methods {role}_only, " in said
    assert "\n" not in said
    assert engine.asked == []


def test_thinking_that_is_to_be_closed_at_its_budget_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"budget\.on_budget: vendor: .* set it to stop"):
        list(run(tmp_path, lambda number: says(), budget__on_budget="close")[0])


def test_a_variant_is_not_continued_by_another_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(run(tmp_path, lambda number: says())[0])
    monkeypatch.setattr(Completer, "identity", {"model": "vendor"})
    with pytest.raises(VariantChanged):
        list(run(tmp_path, lambda number: says(), samples=2)[0])
