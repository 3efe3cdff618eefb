"""What a run leaves in its directory of the times in which it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.pair import Shape, engines, problems, settings

from antiphon.store import Reader, Session
from antiphon.synth.run import Run
from antiphon.synth.session import LoopTime
from antiphon.synth.tally import Tally
from antiphon.trace import Trace


def written(directory: Path, count: int, *, concurrency: int, most: int | None = None) -> list[Trace]:
    run = Run(problems(count), directory, settings(concurrency=concurrency), open_engine=engines(Shape(thinking=56), 3))
    traces = []
    for trace in run:
        traces.append(trace)
        if len(traces) == most:
            break
    return traces


def sessions(directory: Path) -> list[Session]:
    with Reader(directory) as reader:
        return reader.sessions("tessy")


def test_each_session_is_noted_with_what_ended_in_it(tmp_path: Path) -> None:
    traces = written(tmp_path, 3, concurrency=2) + written(tmp_path, 8, concurrency=64)
    first, second = sessions(tmp_path)
    assert (first.places, second.places) == (2, 5)  # no more than there were traces to write
    with Reader(tmp_path) as reader:
        assert first.turns + second.turns == sum(len(reader.turns(key)) for key in {each.key for each in traces})
    assert first.began < first.ended < second.began < second.ended
    for session in (first, second):
        assert 0 < session.cpu <= session.ended - session.began + 0.05
        if Path("/proc/thread-self/schedstat").exists():
            assert session.coreless is not None and 0 <= session.coreless < session.ended - session.began + 0.05
        else:
            assert session.coreless is None
    for trace in traces[:3]:
        assert trace.started is not None
        assert trace.finished is not None
        assert first.began - 0.01 <= trace.started <= trace.finished <= first.ended + 0.01


def test_the_wait_for_a_core_is_that_of_the_time_between(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([b"900000000 2000000000 7\n", b"990000000 2500000000 9\n", b"", b"1 2 3"])
    monkeypatch.setattr(Path, "read_bytes", lambda path: next(told))
    assert LoopTime().session(Tally()).coreless == 0.5
    assert LoopTime().session(Tally()).coreless is None


def test_one_that_was_stopped_is_noted_and_one_that_wrote_nothing_is_not(tmp_path: Path) -> None:
    written(tmp_path, 8, concurrency=1, most=2)
    assert len(sessions(tmp_path)) == 1
    written(tmp_path, 8, concurrency=1)
    before = sessions(tmp_path)
    written(tmp_path, 8, concurrency=1)
    assert sessions(tmp_path) == before
