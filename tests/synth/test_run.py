"""Many traces at once on a run directory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest
from bench.pair import Capitals, Shape, engines, problems, settings

import antiphon
from antiphon.dialect import Part
from antiphon.engine.base import Chunk, Sequence
from antiphon.engine.scripted import Fault, Request, ScriptedEngine
from antiphon.errors import (
    EngineUnavailable,
    PredictorError,
    SettingsError,
    StoreBusy,
    StoreUnfit,
    VariantChanged,
)
from antiphon.problem import Problem
from antiphon.synth.run import Run
from antiphon.synth.score import Listener
from antiphon.trace import Author, Key, Kind, Status

SHAPE = Shape(thinking=56, answer=5)
Opener = Callable[..., ScriptedEngine]


def run(directory: Path, count: int = 4, *, open_engine: Opener | None = None, **flags: Any) -> Run:
    made = engines(SHAPE, 3) if open_engine is None else open_engine
    how = {name: flags.pop(name) for name in ("variant", "retry", "listener") if name in flags}
    return Run(problems(count), directory / "run", settings(**flags), open_engine=made, **how)


def faulty(faults: Callable[[str, Request], Fault | None], shape: Shape = SHAPE) -> Opener:
    """The pair, with faults by role and request."""
    opener = engines(shape, 3)

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = opener(reference, **how)
        engine.faults = lambda request: faults(reference, request)
        return engine

    return open_engine


def test_every_trace_is_written_and_given_once(tmp_path: Path) -> None:
    task = run(tmp_path, samples=3)
    traces = list(task)
    assert (task.tally.in_flight, task.tally.done) == (0, 12)
    assert {trace.key for trace in traces} == {Key(f"p{n}", "tessy", s) for n in range(4) for s in range(3)}
    assert len(traces) == 12
    assert all(trace.status is Status.COMPLETE for trace in traces)
    thinking = "".join(SHAPE.token(n) for n in range(SHAPE.thinking))
    answer = "".join(f" a{(SHAPE.thinking + 4 + n) % 89}" for n in range(-4 + 4, SHAPE.answer))
    assert {trace.thinking for trace in traces} == {thinking}
    assert {trace.answer for trace in traces} == {answer}
    shares = traces[0].usage
    assert shares[Author.TEACHER].kept == 48
    assert shares[Author.STUDENT].kept == 8 + 5


def test_a_second_run_gives_the_same_traces_and_asks_for_nothing(tmp_path: Path) -> None:
    first = {trace.key: trace.response for trace in run(tmp_path)}
    asked: list[str] = []

    def count(role: str, request: Request) -> None:
        asked.append(role)

    again = run(tmp_path, open_engine=faulty(count))
    assert {trace.key: trace.response for trace in again} == first
    assert asked == []
    assert again.tally.planned == 0
    assert again.tally.before == 4


def test_more_samples_or_problems_add_to_what_is_there(tmp_path: Path) -> None:
    list(run(tmp_path, 2))
    more = run(tmp_path, 3, samples=2)
    assert len(list(more)) == 6
    assert more.tally.planned == 4


def test_a_limit_takes_the_first_problems(tmp_path: Path) -> None:
    assert {trace.key.problem for trace in run(tmp_path, limit=2)} == {"p0", "p1"}


def test_it_is_an_async_iterator_too(tmp_path: Path) -> None:
    async def collect() -> list[Key]:
        return [trace.key async for trace in run(tmp_path)]

    assert len(asyncio.run(collect())) == 4


def test_a_plain_loop_works_where_an_event_loop_runs_already(tmp_path: Path) -> None:
    async def notebook() -> int:
        return len(list(run(tmp_path)))

    assert asyncio.run(notebook()) == 4


def test_leaving_the_loop_keeps_everything_and_a_later_run_goes_on(tmp_path: Path) -> None:
    def endless(role: str, request: Request) -> Fault | None:
        return Fault("hang") if "Question 3" in request.situation.text else None

    for trace in run(tmp_path, concurrency=1, open_engine=faulty(endless)):
        assert trace.status is Status.COMPLETE
        break
    reader = antiphon.read(tmp_path / "run")
    done = reader.counts()[Status.COMPLETE]
    assert 1 <= done < 4
    assert len(list(run(tmp_path))) == 4


def test_leaving_an_async_loop_keeps_everything(tmp_path: Path) -> None:
    async def first() -> None:
        traces = run(tmp_path, concurrency=1).__aiter__()
        await anext(traces)
        await traces.aclose()  # type: ignore[attr-defined]

    asyncio.run(first())
    assert len(list(run(tmp_path))) == 4


def test_a_run_stopped_before_it_begins_writes_nothing(tmp_path: Path) -> None:
    stopped = run(tmp_path)
    stopped.stop()
    assert list(stopped) == []
    assert antiphon.read(tmp_path / "run").counts() == {None: 4}


@pytest.mark.parametrize("kind", ["hang", "gone"])
def test_what_an_interrupted_turn_received_is_counted(tmp_path: Path, kind: Any) -> None:
    def faults(role: str, request: Request) -> Fault | None:
        return Fault(kind, after=2) if role == "teacher" else None

    class Impatient(Listener):
        def proposed(self, author: Author, kind: Kind, text: str) -> None:
            if author is Author.TEACHER:
                stopped.stop()

    stopped = run(tmp_path, 1, open_engine=faulty(faults), listener=Impatient())
    assert list(stopped) == []
    with antiphon.read(tmp_path / "run") as reader:
        teacher = reader.totals()[Author.TEACHER]
        assert (teacher.requests, teacher.received) == (1, 2)
        assert teacher.prompt > 0 and teacher.refused == 0
    assert stopped.tally.usage[Author.TEACHER].received == 2
    assert [trace.status for trace in run(tmp_path, 1)] == [Status.COMPLETE]


def test_one_failing_problem_costs_the_others_nothing(tmp_path: Path) -> None:
    def faults(role: str, request: Request) -> Fault | None:
        return Fault("refuse") if "Question 2" in request.situation.text else None

    failing = run(tmp_path, open_engine=faulty(faults))
    statuses = {trace.key.problem: trace.status for trace in failing}
    assert statuses == {"p0": Status.COMPLETE, "p1": Status.COMPLETE, "p2": Status.FAILED, "p3": Status.COMPLETE}
    assert failing.tally.causes == {"student refused the request": 1}
    assert [trace.cause for trace in antiphon.read(tmp_path / "run").traces(status=[Status.FAILED])] == [
        "student refused the request"
    ]
    assert len(list(run(tmp_path))) == 4  # a failed trace is not tried again by itself
    again = run(tmp_path, retry=[Status.FAILED])
    assert {trace.status for trace in again} == {Status.COMPLETE}
    assert again.tally.planned == 1


def test_a_slow_trace_slows_no_other(tmp_path: Path) -> None:
    def faults(role: str, request: Request) -> Fault | None:
        return Fault("hang") if "Question 0" in request.situation.text else None

    slow = run(tmp_path, open_engine=faulty(faults), concurrency=2)
    finished = []
    for trace in slow:
        finished.append(trace.key.problem)
        if len(finished) == 3:
            break
    assert sorted(finished) == ["p1", "p2", "p3"]


def test_a_silent_engine_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    made: list[ScriptedEngine] = []
    struck: list[int] = []

    def faults(role: str, request: Request) -> Fault | None:
        if role == "teacher" and request.number == 3 and not struck:
            struck.append(request.number)
            return Fault("gone", after=2)
        return None

    opener = faulty(faults)

    class Recovering(ScriptedEngine):
        async def probe(self) -> None:
            if self.down:
                self.down = False  # it is back when it is asked the second time
                await super().probe()
                raise EngineUnavailable("not yet")
            await super().probe()

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = opener(reference, **how)
        engine.__class__ = Recovering
        made.append(engine)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("antiphon.synth.outage._FIRST_WAIT", 0.001)
        task = run(tmp_path, open_engine=open_engine)
        traces = list(task)
    assert struck and not task.tally.silent
    assert {trace.status for trace in traces} == {Status.COMPLETE}
    thinking = "".join(SHAPE.token(n) for n in range(SHAPE.thinking))
    assert {trace.thinking for trace in traces} == {thinking}


def test_an_engine_silent_too_long_ends_the_run_with_all_pending(tmp_path: Path) -> None:
    def faults(role: str, request: Request) -> Fault | None:
        return Fault("gone") if role == "teacher" else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("antiphon.synth.outage._FIRST_WAIT", 0.001)
        with pytest.raises(EngineUnavailable, match=r"teacher does not answer; given up .* all traces kept") as raised:
            list(run(tmp_path, open_engine=faulty(faults), outage=0.01))
    assert raised.value.exit_code == 3
    assert antiphon.read(tmp_path / "run").counts() == {None: 4}
    assert len(list(run(tmp_path))) == 4


def test_an_engine_that_is_gone_from_the_start(tmp_path: Path) -> None:
    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = engines(SHAPE, 3)(reference)
        engine.down = True
        return engine

    with pytest.raises(EngineUnavailable):
        list(run(tmp_path, open_engine=open_engine))


class Wrong(Capitals):
    """Judges words that are not there."""

    id = "wrong"

    def session(self, role: Author) -> Any:
        session = super().session(role)
        session._verdict = lambda start, end: antiphon.boundary.base.Verdict(start + 1000, end + 1000, True, 1.0)  # type: ignore[attr-defined]
        return session


class Raising(Capitals):
    """Falls over."""

    id = "raising"

    def session(self, role: Author) -> Any:
        raise ZeroDivisionError("a fault of the predictor's own")


@pytest.mark.parametrize(
    ("predictor", "cause"),
    [
        ("Wrong", "verdict on characters 1001 to 1003"),
        ("Raising", "unexpected ZeroDivisionError: a fault of the predictor"),
    ],
)
def test_a_predictors_fault_fails_the_trace_and_names_itself(tmp_path: Path, predictor: str, cause: str) -> None:
    spec = f"tests.synth.test_run:{predictor}"
    traces = list(run(tmp_path, 1, **{"boundary.teacher": spec, "boundary.student": spec}))
    assert [trace.status for trace in traces] == [Status.FAILED]
    assert traces[0].cause.startswith(cause)
    assert issubclass(PredictorError, antiphon.AntiphonError)


class Away(Capitals):
    """Its server is gone for a while, and asked whether it is back."""

    id = "away"
    probes = 0

    async def advance(self, steps: Any) -> Any:
        if self.probes < 2:
            raise EngineUnavailable("the predictor's server does not answer")
        return await super().advance(steps)

    async def probe(self) -> None:
        self.probes += 1
        if self.probes < 2:
            raise EngineUnavailable("the predictor's server does not answer")


class Gone(Away):
    """Never comes back."""

    async def probe(self) -> None:
        raise EngineUnavailable("the predictor's server does not answer")


def test_a_predictor_that_is_not_there_is_told_before_models_are_loaded(tmp_path: Path) -> None:
    def opened(reference: str, **how: Any) -> ScriptedEngine:
        raise AssertionError("a model was opened")

    with pytest.raises(SettingsError, match="boundary 'no_such' is not default"):
        list(run(tmp_path, 1, open_engine=opened, **{"boundary.student": "no_such"}))


def test_a_silent_predictor_is_waited_for_like_an_engine(tmp_path: Path) -> None:
    def flags(name: str) -> dict[str, Any]:
        return {f"boundary.{role}": f"tests.synth.test_run:{name}" for role in ("teacher", "student")}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("antiphon.synth.outage._FIRST_WAIT", 0.001)
        assert {trace.status for trace in run(tmp_path / "back", **flags("Away"))} == {Status.COMPLETE}
        with pytest.raises(EngineUnavailable, match=r"the predictor's server does not answer; given up"):
            list(run(tmp_path / "gone", outage=0.01, **flags("Gone")))
    assert antiphon.read(tmp_path / "gone" / "run").counts() == {None: 4}


def test_every_request_counts_its_prompt(tmp_path: Path) -> None:
    sent: Counter[str] = Counter()

    def break_some(role: str, request: Request) -> Fault | None:
        sent[role] += request.situation.length
        return Fault("break", after=2) if request.number % 3 == 0 else None

    list(run(tmp_path, 2, open_engine=faulty(break_some)))
    with antiphon.read(tmp_path / "run") as reader:
        assert {role: total.prompt for role, total in reader.totals().items()} == sent
        turns = [turn for trace in reader.traces() for turn in reader.turns(trace.key)]
        assert sum(turn.prompt for turn in turns) == sent.total()
        assert all(total.cached_share is None for total in reader.totals().values()), "this engine tells nothing"


def test_the_cached_share_is_of_the_prompts_that_told_it(tmp_path: Path) -> None:
    told: dict[str, list[int]] = {"teacher": [], "student": []}

    class Telling(ScriptedEngine):
        """Tells at the end of a stream, as servers do, that all but one token of its prompt came from the cache."""

        async def open(self, parts: Iterable[Part]) -> Sequence:
            sequence = await super().open(parts)
            inner = sequence.stream

            async def stream(*how: Any) -> AsyncIterator[Chunk]:
                prompt = sequence.length
                async with aclosing(cast(AsyncGenerator[Chunk], inner(*how))) as chunks:
                    async for chunk in chunks:
                        if chunk.finish is not None:
                            told[self.name].append(prompt)
                            chunk = chunk._replace(cached=prompt - 1)
                        yield chunk

            sequence.stream = stream  # type: ignore[method-assign, assignment]
            return sequence

    def open_engine(reference: str, **how: Any) -> ScriptedEngine:
        engine = engines(SHAPE, 3)(reference, **how)
        engine.__class__ = Telling
        return engine

    list(run(tmp_path, 2, open_engine=open_engine, run_ahead=10))
    with antiphon.read(tmp_path / "run") as reader:
        totals = reader.totals()
    for role, prompts in told.items():
        total = totals[Author(role)]
        assert total.told == sum(prompts) < total.prompt, "closed streams tell nothing"
        assert total.cached_share == pytest.approx((sum(prompts) - len(prompts)) / sum(prompts))


def test_another_method_is_another_variant_of_the_same_run(tmp_path: Path) -> None:
    list(run(tmp_path, 1))
    assert [trace.key.variant for trace in run(tmp_path, 1, method="student_only")] == ["student_only"]
    assert [trace.key.variant for trace in run(tmp_path, 1, method="teacher_only")] == ["teacher_only"]
    reader = antiphon.read(tmp_path / "run")
    assert sorted(variant.name for variant in reader.variants()) == ["student_only", "teacher_only", "tessy"]
    assert [span.kind for span in reader.trace(Key("p0", "teacher_only", 0)).spans] == [
        Kind.MARKER,
        Kind.THINKING,
        Kind.MARKER,
        Kind.ANSWER,
    ]


def test_a_change_in_what_shapes_the_text_is_refused_with_the_difference(tmp_path: Path) -> None:
    list(run(tmp_path, 1))
    with pytest.raises(VariantChanged, match=r"temperature.*0\.7.*0\.2"):
        list(run(tmp_path, 1, **{"student.sampling.temperature": 0.2}))
    assert len(list(run(tmp_path, 1, variant="cool", **{"student.sampling.temperature": 0.2}))) == 1
    assert len(list(run(tmp_path, 1, run_ahead=7, concurrency=2))) == 1  # these do not shape it


def test_two_runs_on_one_directory_at_once_are_refused(tmp_path: Path) -> None:
    def endless(role: str, request: Request) -> Fault | None:
        return Fault("hang") if "Question 3" in request.situation.text else None

    first = iter(run(tmp_path, concurrency=1, open_engine=faulty(endless)))
    next(first)
    with pytest.raises(StoreBusy):
        list(run(tmp_path))
    first.close()  # type: ignore[attr-defined]


def test_a_listener_hears_all_traces(tmp_path: Path) -> None:
    heard: list[str] = []

    class Ear(Listener):
        def proposed(self, author: Author, kind: Kind, text: str) -> None:
            heard.append("proposed")

        def kept(self, author: Author, kind: Kind, text: str, *, forced: bool) -> None:
            heard.append(text)

        def rolled_back(self, author: Author, text: str) -> None:
            heard.append("rolled back")

    one = run(tmp_path, 1, listener=Ear())
    (trace,) = one
    assert "".join(text for text in heard if text not in ("proposed", "rolled back")) == trace.response
    assert {"proposed", "rolled back"} <= set(heard)
    assert one.tally.usage == trace.usage
    assert one.tally.usage[Author.TEACHER].kept == 48


# -- from Python


def test_synthesize_reads_problems_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id": "a", "problem": "2+2?"}\n{"id": "b", "problem": "3+3?"}\n')
    made = antiphon.synthesize(
        str(path),
        run=tmp_path / "run",
        teacher="t",
        student="s",
        boundary="math",
        settings={"budget.thinking": 20, "teacher.dialect": "qwen3", "student.dialect": "qwen3"},
    )
    assert made.settings.boundary.teacher == made.settings.boundary.student == "math"
    assert made.settings.budget.thinking == 20
    assert [key.problem for key in made.keys] == ["a", "b"]
    again = antiphon.synthesize([path], run=tmp_path / "run")
    assert again.settings.teacher.model is None
    given = antiphon.synthesize([Problem("x", ({"role": "user", "content": "?"},))], run=tmp_path / "run")
    assert [key.problem for key in given.keys] == ["x"]


def test_reading_what_is_no_run_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreUnfit):
        antiphon.read(tmp_path)
