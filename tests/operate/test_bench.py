"""A bench's figures follow from what was noted, and each advice from its figures; nothing is said where all is well."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.scripted import Fault
from antiphon.errors import EngineUnavailable, UsageError
from antiphon.operate.bench import Bench, Figures, RoleFigures, ServerFigures, advice, advise, notes
from antiphon.operate.bench.counters import Counted, counted
from antiphon.operate.bench.figures import EMPTYING, WARM_UP, Noted, Reading, Seat, _covered, figures, window
from antiphon.operate.bench.watch import Heard, Moment
from antiphon.problem import Problem
from antiphon.settings import load
from antiphon.store import Reader
from antiphon.trace import Author, Turn
from tests.cli.pair import Pair
from tests.operate.servers import TEACHER as TEACHERS
from tests.operate.servers import LivelyLlama, LivelyVLLM, up

STUDENT, TEACHER = Author.STUDENT, Author.TEACHER
SEAT = Seat(kind="vllm", slots=None, textual=False)


def turn(role: Author, seconds: float, kept: int = 0, received: int = 0, **more: Any) -> Turn:
    values = {"server": f"http://{role}", "asked": received, "words": kept, "cut": True, **more}
    return Turn(role=role, seconds=seconds, kept=kept, received=received, **values)


def moments(until: int, in_flight: int = 1, **more: Any) -> list[Moment]:
    """A look each second, at a process that takes half a core."""
    return [
        Moment(t, in_flight, **{"process": t / 2, "loop": t / 4, "coreless": t / 8} | more) for t in range(until + 1)
    ]


def told(turns: Sequence[Heard], looks: Sequence[Moment], seat: Seat = SEAT, **more: Any) -> Figures:
    noted: dict[str, Any] = {"counted": {}, "judged": {}, "readings": {}, **more}
    seats = {STUDENT: seat, TEACHER: seat}
    return figures(Noted(turns, looks, **noted), seats, concurrency=1, run_ahead="streamed", planned=9)


def in_turns(until: int) -> list[Heard]:
    """One trace: the student for a second, the teacher for three, and again."""
    return [
        heard
        for t in range(0, until, 4)
        for heard in (
            Heard(t + 1, turn(STUDENT, 1, 2, 5)),
            Heard(t + 4, turn(TEACHER, 3, 12, 15, requests=2, prompt=100, told=60, cached=45)),
        )
    ]


# -- figures


def test_figures_of_a_run_that_is_known() -> None:
    found = told(in_turns(100), moments(100), judged={TEACHER: 250}, readings={TEACHER: Reading(0.002, 2)})
    student, teacher = found.roles[STUDENT], found.roles[TEACHER]
    assert (found.seconds, found.left_out, found.turns, found.in_flight) == (80, 20, 40, 1)
    assert (student.share, teacher.share, found.elsewhere) == (0.25, 0.75, 0)
    assert (student.kept_per_second, teacher.kept_per_second, found.kept_per_second) == (0.5, 3, 3.5)
    assert (student.kept, student.thrown_away, student.waste, student.requests) == (2, 3, 0.6, 1)
    assert (teacher.kept, teacher.thrown_away, teacher.waste, teacher.requests) == (12, 3, 0.2, 2)
    assert (student.idle, teacher.idle, student.seconds, teacher.seconds) == (0.75, 0.25, 1, 3)
    assert (teacher.cached_share, teacher.cached_by, teacher.cached_told) == (0.75, "replies", 0.6)
    assert (student.cached_share, student.cached_by) == (None, None)
    assert (teacher.predictor, teacher.lookahead, student.predictor) == (0.02, 2, None)
    assert (found.process, found.loop, found.coreless, found.cpu_per_turn) == (0.5, 0.25, 0.125, 1)
    assert [(server.address, server.waiting, server.running) for server in teacher.servers] == [
        ("http://teacher", 0.75, None)
    ]


def test_what_a_forced_word_keeps_is_no_turn() -> None:
    forced = Heard(50, turn(STUDENT, 0.0, 1, 0, requests=0))
    before, after = told(in_turns(100), moments(100)), told([*in_turns(100), forced], moments(100))
    student = after.roles[STUDENT]
    assert after.turns == before.turns and student.requests == 1
    assert student.thrown_away == 3 - 1 / 20, "its token was thrown away in the turn before"


def test_a_turn_that_never_ends_counts_with_its_part() -> None:
    """As in `student_only`, where a turn is a whole trace: tokens a second are known, figures a turn are not."""
    found = told([Heard(100.5, turn(STUDENT, 100.5, 201, 201))], moments(100))
    student = found.roles[STUDENT]
    assert student.kept_per_second == pytest.approx(2) and student.share == pytest.approx(1)
    assert (student.turns, student.kept, student.waste) == (0, None, None)
    assert found.roles[TEACHER].idle == 1
    assert "only 0 turns" in notes(found)[0]


def test_lengths_in_characters_are_estimates_in_tokens() -> None:
    student = told(in_turns(100), moments(100), SEAT._replace(textual=True)).roles[STUDENT]
    assert student.estimated and student.kept_per_second == 0.125 and student.kept == 0.5


def test_the_window_ends_when_the_problems_run_out() -> None:
    looks = [*moments(49, 8), *(Moment(t, 8 - (t - 49) // 5, 0.0, 0.0) for t in range(50, 90))]
    end = window(looks).end
    assert next(look for look in looks if look.time == end).in_flight < 8 * EMPTYING
    assert all(look.in_flight >= 8 * EMPTYING for look in looks if look.time < end)
    assert window(looks).begin == end * WARM_UP


def test_a_system_that_tells_nothing_of_waiting_for_cores() -> None:
    assert told(in_turns(100), moments(100, coreless=None)).coreless is None


@given(
    ended=st.floats(0, 100),
    seconds=st.floats(0, 100, allow_subnormal=False).filter(lambda s: s == 0 or s > 1e-3),
    cuts=st.tuples(st.floats(-1, 101), st.floats(-1, 101), st.floats(-1, 101)).map(sorted),
)
def test_the_parts_of_a_turn_are_the_whole(ended: float, seconds: float, cuts: list[float]) -> None:
    heard = Heard(ended, turn(STUDENT, seconds))
    a, b, c = cuts
    assert heard.within(a, b) + heard.within(b, c) == pytest.approx(heard.within(a, c), abs=1e-6)
    assert heard.within(-101, 101) == pytest.approx(1)


@given(
    turns=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60))),
    begin=st.integers(0, 60),
    length=st.integers(1, 60),
)
def test_time_without_a_request_is_counted_once(turns: list[tuple[int, int]], begin: int, length: int) -> None:
    looks = [Moment(t, 1, 0.0, 0.0) for t in (begin - length / 4, begin + length)]
    heard = [Heard(end, turn(STUDENT, seconds)) for end, seconds in turns]
    busy = {t for end, seconds in turns for t in range(end - seconds, end)}
    assert _covered(heard, window(looks)) == len(busy & set(range(begin, begin + length)))


# -- counters

VLLM = """# HELP vllm:num_requests_running Number of requests.
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0"} 1.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.5
vllm:generation_tokens_total{engine="0"} 1.5e+03
vllm:prefix_cache_queries_total{engine="0"} 1000.0
vllm:prefix_cache_hits_total{engine="0"} 900.0
vllm:num_preemptions_total{engine="0"} 0.0
vllm:generation_tokens_created{engine="0"} 1.7e+09
"""


def test_counters_of_each_kind() -> None:
    assert counted(VLLM, "vllm") == counted(VLLM, "openai") == Counted(5, 1, 0.5, 1500, 1000, 900, 0)
    assert counted(VLLM, "sglang") is None
    llama = "llamacpp:requests_processing 2\nllamacpp:requests_deferred 7\nllamacpp:prompt_tokens_total 9\n"
    assert counted(llama, "llama.cpp") == Counted(running=2, queued=7)
    sglang = 'sglang:num_queue_reqs{tp_rank="0"} 4\nsglang:prompt_tokens_total 10\nsglang:cached_tokens_total 8\n'
    assert counted(sglang, "sglang") == Counted(queued=4, prompt=10, cached=8)
    assert counted("<html>no such page</html>", "vllm") is None


def test_counters_are_means_and_rates_of_the_window() -> None:
    """Those of a server that began anew go on from nought."""
    written = {0: 0, 20: 1000, 40: 1200, 60: 30, 80: 130, 100: 330}
    each = [(float(t), Counted(t / 10, 1, 0.5, float(n), n * 10.0, n * 8.0, 0)) for t, n in written.items()]
    (server,) = (found := told(in_turns(100), moments(100), counted={"http://teacher": each}).roles[TEACHER]).servers
    assert (server.running, server.queued, server.filled, server.preempted) == (6, 1, 0.5, 0)
    assert server.written == (200 + 0 + 100 + 200) / 80
    assert (found.cached_share, found.cached_by) == (0.75, "replies"), "most prompts were told of"
    quiet = [Heard(h.ended, replace(h.turn, told=10, cached=10, prompt=100)) for h in in_turns(100)]
    found = told(quiet, moments(100), counted={"http://teacher": each}).roles[TEACHER]
    assert (found.cached_share, found.cached_by) == (0.8, "counters")
    assert told(quiet, moments(100)).roles[TEACHER].cached_by == "replies"


# -- advice

ROLE = RoleFigures(
    kind="vllm",
    slots=None,
    launched=False,
    estimated=False,
    kept_per_second=500,
    received_per_second=600,
    turns=500,
    kept=10,
    thrown_away=3,
    requests=1,
    seconds=0.5,
    tokens_per_word=1.5,
    cached_share=0.9,
    cached_by="replies",
    cached_told=1.0,
    waiting=30,
    share=0.47,
    idle=0.0,
    predictor=0.0002,
    lookahead=1,
    servers=(ServerFigures("http://one", 30, running=30, queued=0, filled=0.6, written=600, preempted=0),),
)
WELL = Figures(
    seconds=48,
    left_out=12,
    concurrency=64,
    run_ahead="streamed",
    planned=500,
    in_flight=64,
    most=64,
    turns=1000,
    kept_per_second=1000,
    cpu_per_turn=0.001,
    process=0.3,
    loop=0.25,
    coreless=0.01,
    late=0.001,
    silent=0.0,
    roles={STUDENT: ROLE, TEACHER: ROLE},
)


def bad(student: dict[str, Any] | None = None, teacher: dict[str, Any] | None = None, **more: Any) -> Figures:
    """As `WELL` but for this; `server` changes the one server."""

    def role(changed: dict[str, Any]) -> RoleFigures:
        server = changed.pop("server", {})
        return replace(ROLE, **{"servers": (replace(ROLE.servers[0], **server),), **changed})

    return replace(WELL, roles={STUDENT: role(dict(student or {})), TEACHER: role(dict(teacher or {}))}, **more)


SILENT = {"running": None, "queued": None, "filled": None, "written": None, "preempted": None}
LONG = {"waiting": 45, "share": 0.7}
FEW = {"waiting": 6, "server": {"filled": 0.1}}

CASES: dict[str, tuple[Figures, str, str, str]] = {
    "the event loop has no time left": (bad(loop=0.93), "run", "93% of a core, 1.00 ms", "several runs"),
    "nor has it with a slow predictor": (
        bad({"predictor": 0.0006}, {"predictor": 0.0004}, loop=0.93),
        "run",
        "50% of it for the predictors",
        "--boundary",
    ),
    "nor has it, and servers seem to be the limit": (bad({}, LONG, loop=0.93), "run", "93%", "several runs"),
    "others have the core": (bad(loop=0.3, coreless=0.3, late=0.03), "run", "closed 30 ms late", "a core of its own"),
    "others have the core, and it has no time left": (bad(loop=0.6, coreless=0.3), "run", "30% of the", "a core of"),
    "a predictor that takes as long as a model": (bad({}, {"predictor": 0.3}), "teacher", "300.0 ms", "--boundary"),
    "requests queue at the teacher": (
        bad({}, {**LONG, "server": {"queued": 9.5, "running": 32}}),
        "teacher",
        "45.0 of 64.0 traces in flight (70%) wait for the teacher, 30.0 for the student, and 9.5 requests queue",
        "a replica of the teacher: --teacher URL,URL",
    ),
    "requests queue while the cache is empty": (
        bad({}, {**LONG, "server": {"queued": 9.5, "running": 32, "filled": 0.2}}),
        "teacher",
        "take 20% of its cache",
        "--max-num-seqs",
    ),
    "the student's cache is full": (bad({**LONG, "server": {"filled": 0.95}}), "student", "95% full", "--student URL"),
    "a server without counters has many waiting": (bad({}, {**LONG, "server": SILENT}), "teacher", "70%", "replica"),
    "its slots are taken": (
        bad({}, {"waiting": 24, "share": 0.75, "slots": 32}, most=32, in_flight=32),
        "teacher",
        "all its slots are taken (32)",
        "replica",
    ),
    "slots keep traces out": (
        bad(FEW, {**FEW, "slots": 12, "kind": "llama.cpp"}, most=12, in_flight=12),
        "teacher",
        "with 12 slots it keeps 12 traces in flight where 64 are asked for",
        "--parallel",
    ),
    "a server that is started has few slots": (
        bad(FEW, {**FEW, "slots": 12, "kind": "llama.cpp", "launched": True}, most=12, in_flight=12),
        "teacher",
        "12 slots",
        "start the server yourself",
    ),
    "servers have little to do": (
        bad(FEW, FEW, most=12, in_flight=12, concurrency=12),
        "run",
        "12 traces in flight are few: 6.0 wait for the student, 6.0 wait for the teacher",
        "--concurrency 24",
    ),
    "prefixes are lost": (bad({}, {"cached_share": 0.3}), "teacher", "only 30%", "--concurrency 48"),
    "requests are put back": (bad({}, {"server": {"preempted": 7}}), "teacher", "put back 7", "--concurrency 48"),
    "a student throws away": (
        bad({"kept": 4, "thrown_away": 12}),
        "student",
        "12.0 tokens a turn are thrown away, 75% of what it writes; its predictor's look-ahead explains 3.0",
        "run_ahead=4,",
    ),
    "streams are closed late": (
        bad({"kept": 4, "thrown_away": 12}, late=0.04),
        "student",
        "12.0 tokens",
        "--concurrency 32: with 64 traces in flight this process comes 40 ms late",
    ),
    "pieces are too long": (
        bad({"kept": 4, "thrown_away": 12}, run_ahead=32),
        "student",
        "12.0 tokens",
        "run_ahead=streamed, or run_ahead=4",
    ),
    "a policy that throws away": (bad({"kept": 4, "thrown_away": 12}, run_ahead="auto"), "student", "75%", "doctor"),
    "pieces are too short": (
        bad({"kept": 4}, {"kept": 25.5, "requests": 6.4}, run_ahead=4),
        "run",
        "4 tokens each: the student 1.00, the teacher 6.40",
        "run_ahead=streamed, or run_ahead=26",
    ),
    "streams break": (bad({}, {"requests": 1.3}), "run", "the teacher 1.30", "doctor"),
}


@pytest.mark.parametrize(("found", "about", "says", "change"), CASES.values(), ids=CASES)
def test_one_thing_is_wrong_and_one_thing_is_said(found: Figures, about: str, says: str, change: str) -> None:
    (said,) = advise(found)
    assert said.about == about
    assert says in said.says
    assert change in said.change


FINE = {
    "as it is": WELL,
    "nobody knows of caches or counters": bad(
        {"cached_share": None, "cached_by": None, "server": SILENT}, {"cached_share": None, "server": SILENT}
    ),
    "no turn has ended": bad(
        *({"turns": 0, **dict.fromkeys(("kept", "thrown_away", "requests", "seconds", "predictor"))} for _ in "xx"),
        cpu_per_turn=None,
        turns=0,
    ),
    "others have the core, and it is in time": bad(loop=0.3, coreless=0.3, late=0.004),
    "a queue at a server that few wait for": bad({}, {"server": {"queued": 9.5}}),
    "most wait for a model of this process": bad({}, {**LONG, "kind": None, "server": SILENT}),
    "few turns a trace, mostly new text": bad({}, {"cached_share": 0.3, "turns": 200}),
    "few in flight since there are few problems": bad(FEW, FEW, most=12, in_flight=12, planned=12),
    "the look-ahead explains what is thrown away": bad({"kept": 4, "thrown_away": 8, "lookahead": 3}),
    "few in flight, and a cache that is half full": bad(
        FEW, {"waiting": 6, "server": {"filled": 0.55}}, most=12, in_flight=12, concurrency=12
    ),
    "adaptive requests": bad({}, {"requests": 1.4}, run_ahead="adaptive"),
}


@pytest.mark.parametrize("found", FINE.values(), ids=FINE)
def test_where_nothing_is_wrong_nothing_is_said(found: Figures) -> None:
    assert not advise(found)


def test_what_keeps_streams_open_is_said_once() -> None:
    first, second = advise(bad({"kept": 4, "thrown_away": 12}, loop=0.9))
    assert "several runs" in first.change and "see above" in second.change


def test_what_to_bear_in_mind() -> None:
    assert notes(WELL) == []
    few, short, gone = notes(replace(WELL, turns=3, most=5, planned=5, silent=0.25))
    assert "only 3 turns" in few and "with 5 traces to write" in short and "25% of the time" in gone


def test_the_thresholds_in_the_documentation_are_those_of_the_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "bench.md").read_text("utf-8")
    rows = re.findall(r"^\| .* \| `([A-Z_]+)` \| ([\d.]+|1/3) \|$", page, re.MULTILINE)
    values = {name: eval(value) for name, value in rows}
    names = [name for name in vars(advice) if name.isupper() and not name.startswith("_")]
    assert values == {name: getattr(advice, name) for name in names if name not in ("MANUALS", "OTHER", "IN_PROCESS")}


# -- a run


def asked(count: int) -> list[Problem]:
    numbers = range(100, 100 + count)
    return [Problem(f"p{n}", ({"role": "user", "content": f"What is {n} times 6?"},)) for n in numbers]


def benched(
    directory: Path, opener: Callable[..., Any], count: int = 400, seconds: float = 1.0, **more: Any
) -> Figures:
    settings = load(flags={**PAIR, **{name.replace("__", "."): value for name, value in more.items()}}, environment={})
    return asyncio.run(Bench(asked(count), directory, settings, seconds=seconds, open_engine=opener).work())


PAIR = {
    "student.model": "lab:student",
    "teacher.model": "lab:teacher",
    "boundary.student": "lab",
    "boundary.teacher": "lab",
    "concurrency": 4,
    "run_ahead": "streamed",
}


def test_a_scripted_pair_is_measured_and_stopped(tmp_path: Path) -> None:
    pair = Pair(delay=0.001)
    found = benched(tmp_path / "run", pair)
    student, teacher = found.roles[STUDENT], found.roles[TEACHER]
    assert found.in_flight == found.most == 4 and found.planned == 400
    assert 0 < student.share + teacher.share <= 1.05
    assert found.process > 0 and found.loop > 0 and found.cpu_per_turn
    assert student.turns and teacher.turns and student.requests == 1
    assert [server.address for server in student.servers] == ["scripted:lab:student"]
    assert (student.cached_share, student.kind) == (None, None)
    assert student.predictor and student.lookahead is not None
    with Reader(tmp_path / "run") as reader:
        counts = reader.counts("tessy")
        turns = [each for trace in reader.traces() for each in reader.turns(trace.key)]
    assert counts[None] > 0, "it was stopped before the end"
    ended = sum(role.turns for role in found.roles.values())
    assert ended == found.turns < sum(each.requests > 0 for each in turns), "what was warming up is left out"


def test_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="3 of 3 traces over before anything could be measured"):
        benched(tmp_path / "run", Pair(), count=3)
    with pytest.raises(UsageError, match="all traces of these problems are finished"):
        benched(tmp_path / "run", Pair(), count=3)


def test_why_all_traces_failed_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"3 x .*refused"):
        benched(tmp_path / "run", Pair(faults=lambda request: Fault("refuse")), count=3)


def test_a_server_that_never_answers(tmp_path: Path) -> None:
    def opener(reference: str, **how: Any) -> Any:
        engine = pair(reference, **how)
        engine.faults = lambda request: Fault("gone")
        return engine

    pair = Pair()
    with pytest.raises(EngineUnavailable, match="antiphon doctor"):
        benched(tmp_path / "run", opener, seconds=0.3)


@pytest.fixture
def servers() -> Iterator[tuple[LivelyLlama, LivelyVLLM]]:
    student, teacher = LivelyLlama(slots=2), LivelyVLLM(TEACHERS, name="teacher")
    with up(student, teacher):
        yield student, teacher


def test_servers_are_asked_for_their_counters(tmp_path: Path, servers: tuple[LivelyLlama, LivelyVLLM]) -> None:
    from antiphon.engine.models import open_engine

    student, teacher = servers
    found = benched(
        tmp_path / "run", open_engine, **{"student.model": student.url, "teacher.model": teacher.url, "concurrency": 8}
    )
    of_student, of_teacher = found.roles[STUDENT], found.roles[TEACHER]
    assert found.most == 2 and (of_student.slots, of_student.kind) == (2, "llama.cpp")
    assert (of_teacher.kind, of_teacher.slots) == ("vllm", None)
    (one,) = of_teacher.servers
    assert one.address == teacher.url and one.running is not None and one.written and one.queued is None
