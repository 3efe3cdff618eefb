"""What the doctor finds: a good pair is well, and each thing that can be wrong is found by its own check."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from antiphon.errors import SettingsError
from antiphon.operate.doctor import Chart, Finding, Grade, Report, examine
from antiphon.settings import load
from tests.operate.servers import TEACHER, Lively, LivelyLlama, LivelyOpenAI, LivelyVLLM, up

CALM = {"boundary.teacher": "lab", "boundary.student": "lab", "concurrency": 2, "budget.thinking": 300}


def examined(student: Lively | None, teacher: Lively | None = None, **flags: Any) -> Report:
    servers = [server for server in (student, teacher) if server is not None]
    with up(*servers):
        named = {
            f"{role}.model": server.url
            for role, server in (("student", student), ("teacher", teacher))
            if server is not None
        }
        options = {name.replace("__", "."): value for name, value in flags.items()}
        return asyncio.run(examine(load(flags={**CALM, **named, **options}, environment={})))


def found(report: Report, check: str, title: str = "student") -> Finding:
    """The one finding of a check."""
    (finding,) = (
        finding
        for chart in report.charts
        if chart.title == title
        for finding in chart.findings
        if finding.check == check
    )
    return finding


def grades(report: Report, grade: Grade) -> dict[str, Finding]:
    return {
        f"{chart.title} {finding.check}": finding
        for chart in report.charts
        for finding in chart.findings
        if finding.grade is grade
    }


@pytest.mark.parametrize("kind", [LivelyVLLM, LivelyLlama])
def test_a_good_pair_is_well(kind: Callable[..., Lively]) -> None:
    report = examined(kind(), kind(TEACHER, name="teacher"))
    assert not grades(report, Grade.FAILURE) and not grades(report, Grade.WARNING), report
    assert report.works
    assert [chart.title for chart in report.charts] == ["student", "teacher", "together"]
    assert report.trace is not None and report.trace.status == "complete"
    assert set(found(report, "trace", "together").facts["characters"]) == {
        "student style",
        "teacher capability",
        "student answer",
    }


def test_thinking_that_only_the_budget_ended_is_said() -> None:
    report = examined(LivelyVLLM(), LivelyVLLM(TEACHER, name="teacher"), budget__thinking=6)
    says(found(report, "trace", "together"), r"its thinking was closed for it: the budget is that small")


def test_one_role_alone_is_examined_and_writes_alone() -> None:
    report = examined(LivelyVLLM())
    assert [chart.title for chart in report.charts] == ["student", "together"]
    assert report.works and report.trace is not None
    assert report.trace.key.variant == "student_only"


def test_every_server_of_a_role_is_examined() -> None:
    first, second = LivelyVLLM(), LivelyVLLM(forgets="all")
    with up(first, second):
        flags = {**CALM, "student.model": f"{first.url}, {second.url}"}
        report = asyncio.run(examine(load(flags=flags, environment={})))
    charts = [chart for chart in report.charts if chart.title == "student"]
    assert [chart.where for chart in charts] == [first.url, second.url]
    caches = [finding.grade for chart in charts for finding in chart.findings if finding.check == "prefix cache"]
    assert caches == [Grade.OK, Grade.WARNING]


def test_findings_are_told_as_they_are_made() -> None:
    told: list[tuple[str, str]] = []

    def hear(chart: Chart, finding: Finding) -> None:
        told.append((chart.title, finding.check))

    server = LivelyVLLM()
    with up(server):
        flags = {**CALM, "student.model": server.url}
        report = asyncio.run(examine(load(flags=flags, environment={}), hear=hear))
    assert told == [(chart.title, finding.check) for chart in report.charts for finding in chart.findings]


def test_no_model_is_wrong_use() -> None:
    with pytest.raises(SettingsError, match="--student MODEL"):
        asyncio.run(examine(load(environment={})))
    with pytest.raises(SettingsError, match="no method 'duo'"):
        asyncio.run(examine(load(flags={"student.model": "x", "method": "duo"}, environment={})))


def one_warning(report: Report, check: str, *said: str) -> Finding:
    """That check's, of all the only one that is not well."""
    assert not grades(report, Grade.FAILURE), report
    assert list(grades(report, Grade.WARNING)) == [f"student {check}"], report
    return says(found(report, check), *said)


def says(finding: Finding, *said: str) -> Finding:
    text = f"{finding.says} | {finding.advice}"
    for pattern in said:
        assert re.search(pattern, text), text
    return finding


class LivelyVLLMWithoutScores(LivelyVLLM):
    @staticmethod
    def _scored(ids: list[int]) -> Any:
        return {"choices": [{"index": 0, "text": "x", "finish_reason": "length"}]}


MISTAKES: dict[str, tuple[Callable[[], Lively], dict[str, Any], str, Iterable[str]]] = {
    "vLLM without a prefix cache": (
        lambda: LivelyVLLM(forgets="all"),
        {},
        "prefix cache",
        ("0% of a prompt", "--enable-prefix-caching"),
    ),
    "a sliding window without --swa-full": (
        lambda: LivelyLlama(forgets="rollbacks"),
        {},
        "prefix cache",
        ("0% after a rollback", "--swa-full"),
    ),
    "top_k not heeded": (lambda: LivelyVLLM(deaf=["top_k"]), {}, "sampling", ("top_k not heeded",)),
    "temperature replaced": (lambda: LivelyVLLM(deaf=["temperature"]), {}, "sampling", ("temperature not heeded",)),
    "no counters": (lambda: LivelyLlama(counts=False), {}, "abort", ("cannot be seen", "--metrics")),
    "no probabilities of a prompt": (
        LivelyVLLMWithoutScores,
        {},
        "scoring",
        ("no probabilities of given text",),
    ),
    "fewer slots than traces": (
        lambda: LivelyLlama(slots=2),
        {"concurrency": 8},
        "slots",
        ("2 slots", "--parallel", "--concurrency 2"),
    ),
    "a cache too small for the traces": (
        lambda: LivelyVLLM(blocks=200),
        {"concurrency": 8, "budget.answer": 700},
        "slots",
        ("holds 3,200 tokens, 6 traces half-way to 1,000", "--concurrency 6"),
    ),
    "a context smaller than the budget": (
        lambda: LivelyLlama(context=1200),
        {"budget.thinking": 2000},
        "context",
        ("1,200 tokens", "budget is 2,000", "-c N"),
    ),
    "several tokens at once": (
        lambda: LivelyVLLM(chunk=lambda: 4, pace=0.005),  # apart, also where this machine is slow to read
        {},
        "stream",
        ("4 tokens come together", "--stream-interval 1"),
    ),
}


@pytest.mark.parametrize(("make", "flags", "check", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_and_named(
    make: Callable[[], Lively], flags: dict[str, Any], check: str, said: Iterable[str]
) -> None:
    one_warning(examined(make(), **flags), check, *said)


def fails(report: Report, check: str, *said: str, alone: bool = True) -> Finding:
    """That check's, of all the only one that failed unless others must, too."""
    assert not report.works
    finding = found(report, check)
    assert finding.grade is Grade.FAILURE, report
    assert not alone or list(grades(report, Grade.FAILURE)) == [f"student {check}"], report
    assert report.trace is None, "nothing is written where a run would not work"
    return says(finding, *said)


def test_a_buffered_stream_fails_unless_requests_are_short() -> None:
    fails(
        examined(LivelyVLLM(buffered=True)),
        "stream",
        "arrive at once",
        "proxy_buffering off",
        "run_ahead=16",
    )
    report = examined(LivelyVLLM(buffered=True), run_ahead=16)
    assert report.works and found(report, "stream").grade is Grade.WARNING


def test_a_stream_that_is_cut_fails() -> None:
    fails(examined(LivelyVLLM(breaks=8)), "stream", "breaks", "proxy_read_timeout", alone=False)


def test_a_closed_stream_that_goes_on_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.operate.doctor.flow._STOPS_WITHIN", 0.2)
    fails(examined(LivelyLlama(stubborn=True)), "abort", "still works on it", "proxy_ignore_client_abort")
    one_warning(examined(LivelyLlama(stubborn=True, others=3)), "abort", "others use the server now")


def test_a_context_without_room_for_the_answer_fails() -> None:
    fails(examined(LivelyLlama(context=600), budget__answer=590), "context", "no room", "-c N")


def test_a_dialect_that_is_not_the_models_fails() -> None:
    fails(examined(LivelyVLLM(), student__dialect="gpt-oss"), "template", r"<\|channel\|>|<\|start\|>")


def test_a_tokenizer_that_is_not_the_servers_fails(shared: Any) -> None:
    server = LivelyVLLM(files=False)
    other = str(shared / "tokenizers" / "qwen3")
    fails(examined(server, student__server__tokenizer=other), "ids", "not that of the model", "server.tokenizer")


@pytest.mark.parametrize(
    ("server", "flags", "said"),
    [
        (lambda: LivelyVLLM(key="secret"), {}, "server.key"),
        (lambda: LivelyVLLM(ids=False), {}, "0.10.2"),
        (lambda: LivelyVLLM(), {"student__server__served": "other"}, "it serves student"),
    ],
    ids=["no key", "no ids", "another model"],
)
def test_a_server_that_cannot_be_used_is_one_line(
    server: Callable[[], Lively], flags: dict[str, Any], said: str
) -> None:
    report = examined(server(), **flags)
    assert [finding.check for finding in report.charts[0].findings] == ["reachable"]
    fails(report, "reachable", said)


def test_nobody_there() -> None:
    settings = load(flags={"student.model": "http://127.0.0.1:1"}, environment={})
    fails(asyncio.run(examine(settings)), "reachable", "nothing answers there")


def test_a_server_that_goes_away_meanwhile() -> None:
    server = LivelyVLLM()
    gone = False

    def hear(chart: Chart, finding: Finding) -> None:
        nonlocal gone
        if finding.check == "stream" and not gone:
            gone = True
            server.key = "changed"

    with up(server):
        flags = {**CALM, "student.model": server.url}
        report = asyncio.run(examine(load(flags=flags, environment={}), hear=hear))
    reachable = [finding for finding in report.charts[0].findings if finding.check == "reachable"]
    assert [finding.grade for finding in reachable] == [Grade.OK, Grade.FAILURE]
    says(reachable[1], "went away meanwhile")


def test_the_same_model_twice_is_warned_of() -> None:
    report = examined(LivelyVLLM(), LivelyVLLM(TEACHER))
    assert list(grades(report, Grade.WARNING)) == ["together models"]
    says(found(report, "models", "together"), "teacher and student", "name another model")


def test_a_server_of_text_only() -> None:
    every = ["top_k", "min_p", "repetition_penalty"]
    report = examined(LivelyOpenAI(takes=every), student__dialect="chatml", student__context=4096)
    assert report.works
    assert found(report, "ids").grade is Grade.WARNING
    says(found(report, "markers"), "</think>")
    assert found(report, "stream").grade is Grade.OK


def test_tokenising_by_the_servers_route_has_its_price() -> None:
    clock = found(examined(LivelyVLLM(files=False, pace=0.0)), "clock")
    assert clock.facts["tokenising"] > 0
    says(clock, "by the server's route")
