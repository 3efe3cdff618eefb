"""Work spread over a cluster: every item has one result, whatever dies; commands do what they do without one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon import version
from antiphon.errors import ClusterError, SettingsError, UsageError
from antiphon.scale import spread as spreading
from antiphon.scale.spread import Spread
from antiphon.scale.worker import Failure, Reply, Task, Worker, batch, reply
from antiphon.store import Reader
from antiphon.trace import Key, Label
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER, Scoring, write_run
from tests.cli.conftest import Outcome, command
from tests.cli.pair import Letters
from tests.scale.fake_ray import FakeRay, install
from tests.verify.scripted import answered, asked

__all__ = ["command"]  # a fixture of the command's tests
SCRIPTED = ("--verifier", "tests.verify.scripted:ScriptedVerifier")


async def doubling(lacking: str = "") -> Callable[[Any], Awaitable[Any]]:
    """What doubles numbers, slowly; "bad" falls over, "unequal" is told of, "over" ends all."""
    if lacking:
        raise UsageError(f"{lacking} is missing")

    async def work(item: Any) -> Any:
        await asyncio.sleep(0)
        if item == "bad":
            raise ValueError("a bad trace")
        if item == "over":
            raise UsageError("bubblewrap is missing")
        return f"{item} is no number" if isinstance(item, str) else 2 * item

    return work


def replied(*items: Any, make: Any = doubling, of: str = version.__version__) -> Reply:
    """What a worker makes of a batch."""
    row = batch((number, pickle.dumps(item)) for number, item in enumerate(items))
    with contextlib.closing(Worker(Task(of, Path.cwd(), make))) as worker:
        return reply(worker(row)["reply"])


def mapped(items: dict[str, Any], make: Any = doubling, **more: Any) -> dict[str, Any]:
    """What a cluster makes of items; each has one result."""
    found: dict[str, Any] = {}

    async def work(spread: Spread) -> None:
        async with contextlib.aclosing(spread.map(make, items.items(), **more)) as results:
            async for key, result in results:
                assert key not in found
                found[key] = result

    with Spread("auto") as spread:
        asyncio.run(work(spread))
    return found


def test_a_worker_tells_what_came_of_each_item() -> None:
    results, failure = replied(1, "bad", "unequal", 3)
    assert failure is None
    assert dict(results) == {0: 2, 1: "unexpected ValueError: a bad trace", 2: "unequal is no number", 3: 6}


def test_a_worker_that_cannot_go_on_says_where_and_why_and_gives_what_it_has() -> None:
    results, failure = replied(1, "over")
    assert dict(results) == {0: 2}
    assert failure == Failure(f"{os.uname().nodename}: bubblewrap is missing", UsageError.exit_code)
    assert replied(1, make=partial(doubling, "sympy")).failure == (f"{os.uname().nodename}: sympy is missing", 2)


def test_a_worker_of_another_version_does_nothing() -> None:
    results, failure = replied(1, of="0.0.1")
    assert not results
    assert failure is not None and "the command was given to 0.0.1; install the same" in failure.text


def test_what_works_is_made_once_a_worker() -> None:
    made = []

    async def counted() -> Callable[[Any], Awaitable[Any]]:
        made.append(1)
        return await doubling()

    row = batch([(0, pickle.dumps(1))])
    with contextlib.closing(Worker(Task(version.__version__, Path.cwd(), counted))) as worker:
        assert [reply(worker(row)["reply"]).results for _ in range(3)] == [[(0, 2)]] * 3
    assert len(made) == 1


@settings(max_examples=15)
@given(st.integers(0, 40), st.sets(st.integers(0, 39)), st.sampled_from([1, 40, 1 << 20]), st.integers(1, 9))
def test_every_item_has_one_result_and_who_kills_workers_costs_no_other(
    count: int, deadly: set[int], portion: int, cpus: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        ray = install(FakeRay(Path("unused")), patched.setattr)
        patched.delenv("RAY_ADDRESS", raising=False)
        patched.setattr(spreading, "_PORTION", portion)
        ray.resources["CPU"] = cpus
        items = {f"k{number}": number for number in range(count)}
        begun = [0]

        def dies(numbers: list[int]) -> bool:
            """By what is in a row: portions number their items anew."""
            return any(number + begun[0] in deadly for number in numbers)

        if portion == 1 << 20:
            ray.data.dies = dies
        else:
            deadly = set()
        found = mapped(items)
        assert found == {
            key: "the process that worked on it died, again and again" if number in deadly else 2 * number
            for key, number in items.items()
        }
        assert all(len(row) <= spreading.BATCH for row in ray.data.rows)
        ray.head.close()


def test_a_failure_of_one_worker_ends_all_with_its_exit_code(ray: FakeRay) -> None:
    with pytest.raises(ClusterError, match="bubblewrap is missing") as raised:
        mapped({"a": "over", "b": 1})
    assert raised.value.exit_code == UsageError.exit_code


def test_what_ray_gives_up_for_is_said(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rows: object, override_num_blocks: int) -> None:
        raise ray.exceptions.RayActorError("The actor died\nbecause of this")

    monkeypatch.setattr(ray.data, "from_items", broken)
    with pytest.raises(ClusterError, match=r"Ray gave up: The actor died. What had come is kept"):
        mapped({"a": 1})


def test_a_head_that_dies_is_named(ray: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.scale.cluster._PATIENCE", 0.05)
    monkeypatch.setattr("antiphon.scale.cluster.answers", lambda head: False)
    monkeypatch.setattr(spreading, "_GLANCE", 0.02)
    monkeypatch.setattr(spreading, "_FAREWELL", 0.02)
    over = threading.Event()

    def silent(*_: object) -> Iterator[dict[str, Any]]:
        over.wait()
        yield from ()

    monkeypatch.setattr(ray.data, "_made", silent)
    with pytest.raises(ClusterError, match=r"the head of the Ray cluster, .* does not answer any more\. What had come"):
        mapped({"a": 1})
    over.set()


def test_an_address_for_clients_is_refused(ray: FakeRay) -> None:
    with pytest.raises(SettingsError, match="cannot stream data"):
        Spread("ray://127.0.0.1:10001")
    assert not ray.options


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two variants with answers of all kinds, one of which the verifier falls over."""
    directory = tmp_path / "run"
    problems = [asked("a", answer="1"), asked("b", answer="2"), asked("c", poem="?")]
    answered(directory, problems, {"a": ["1", "2", "timed_out"], "b": ["2", "crashed", "no_answer"], "c": ["1"]})
    answered(directory, problems, {"a": ["1"]}, variant="student_only")
    return directory


def verdicts(directory: Path) -> dict[Key, tuple[Any, ...]]:
    """All but how long they took."""
    with Reader(directory) as reader:
        return {
            trace.key: tuple((one.verifier, one.version, one.label, one.detail) for one in trace.verdicts)
            for trace in reader.traces()
        }


@pytest.mark.parametrize("verifier", ["ScriptedVerifier", "Broken"])
def test_verify_gives_the_verdicts_and_says_what_it_does_alone(
    verifier: str, command: Callable[..., Outcome], run: Path, ray: FakeRay, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "copy" / "run")
    by = ("--verifier", f"tests.verify.scripted:{verifier}", "--json")
    alone = command("verify", tmp_path / "copy" / "run", *by)
    spread = command("verify", run, *by, "--ray", "auto")
    assert verdicts(run) == verdicts(tmp_path / "copy" / "run")
    assert spread.code == alone.code == 1
    said = [{**done.json, "run": "", "reasons": sorted(done.json["reasons"])} for done in (alone, spread)]
    assert said[0] == said[1]
    assert ray.data.rows
    again = command("verify", run, *by, "--ray", "auto").json
    assert again["before"] + sum(again["judged"].get("tessy", {}).values()) == 7
    assert set(again["judged"].get("tessy", {})) <= {"cannot_judge"}, "only what could not be judged is tried again"


def test_an_answer_whose_judge_dies_is_named_and_tried_again(
    command: Callable[..., Outcome], run: Path, ray: FakeRay
) -> None:
    ray.data.dies = lambda numbers: 3 in numbers
    done = command("verify", run, *SCRIPTED, "--ray", "auto", "--variant", "tessy")
    assert done.code == 1
    assert "the process that worked on it died, again and again" in done.err + done.out
    labels = [told[0][2] for told in verdicts(run).values() if told]
    assert labels.count(Label.CANNOT_JUDGE) == 1 and len(labels) == 6
    ray.data.dies = lambda numbers: False
    again = command("verify", run, *SCRIPTED, "--ray", "auto", "--variant", "tessy", "--json").json
    assert (again["before"], sum(again["judged"]["tessy"].values())) == (5, 1)


def test_flags_that_do_not_go_together(command: Callable[..., Outcome], run: Path, ray: FakeRay) -> None:
    assert "--jobs" in command("verify", run, *SCRIPTED, "--ray", "auto", "--jobs", "2").err
    done = command("compare", run, "--ray", "auto")
    assert (done.code, "it is for --under" in done.err) == (2, True)
    assert not ray.options


def test_compare_measures_what_it_measures_alone(
    command: Callable[..., Outcome], ray: FakeRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [(STUDENT, STYLE, "Wait, "), (TEACHER, CAPABILITY, "3+4=7. "), (STUDENT, ANSWER, "7")]
    run = write_run(
        tmp_path / "run", {(f"p{number}", 0): [*spans, (STUDENT, ANSWER, "!" * number)] for number in range(12)}
    )
    opened: list[Scoring] = []

    def open_engine(reference: str, **_: object) -> Scoring:
        opened.append(Scoring(vocabulary=Letters(), scoring="mute" not in reference))
        return opened[-1]

    monkeypatch.setattr("antiphon.engine.models.open_engine", open_engine)
    said = {}
    for name, more in (("alone", ()), ("spread", ("--ray", "auto"))):
        under = ("--under", "some:model", "--boundary", "general", "--scores", tmp_path / name, *more)
        said[name] = command("compare", run, *under)
        assert said[name].code == 0, said[name].err
        again = command("compare", run, *under)
        assert again.out == said[name].out
    assert said["spread"].out == said["alone"].out
    alone, spread = (only(tmp_path / name) for name in ("alone", "spread"))
    assert spread.name == alone.name
    assert len(lines := sorted(alone.read_text().splitlines())) == 12
    assert sorted(spread.read_text().splitlines()) == lines
    assert sum(len(engine.scored) for engine in opened) == 24, "nothing is scored twice"
    mute = command("compare", run, "--under", "mute", "--scores", tmp_path / "mute", "--ray", "auto")
    assert (mute.code, "cannot tell how likely" in mute.err) == (2, True)


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path
