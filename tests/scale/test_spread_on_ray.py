"""Commands on a real Ray cluster of two machines, whose processes are killed, and the command too."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from bench.ray import Machines, ended, machines, started, until

from antiphon.store import Reader
from antiphon.trace import Key
from tests.cli.conftest import write_lines
from tests.verify.scripted import answered, asked

pytestmark = [
    pytest.mark.live,  # one after the other: Ray gives up if its own processes need more than some seconds to begin
    pytest.mark.filterwarnings("ignore"),  # Ray's own
    pytest.mark.usefixtures("none_left"),
]
COUNT = 24
GATED = "tests.scale.gated:Gated"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    (tmp_path / "gate").mkdir()
    return tmp_path / "gate"


def run_of(directory: Path, gate: Path | None = None) -> Path:
    """Answers, right and wrong, to problems of which the second half waits for the gate."""
    late = {} if gate is None else {"gate": str(gate)}
    problems = [asked(f"p{at:02}", answer="1", **(late if at >= COUNT // 2 else {})) for at in range(COUNT)]
    answered(directory, problems, {problem.id: ["1", "2"] for problem in problems})
    return directory


def verdicts(directory: Path) -> dict[Key, Any]:
    """All but how long they took."""
    with Reader(directory) as reader:
        return {
            trace.key: [(one.verifier, one.version, one.label, one.detail) for one in trace.verdicts]
            for trace in reader.traces()
        }


def given(directory: Path) -> int:
    return sum(map(len, verdicts(directory).values()))


def verify(directory: Path, *more: object, verifier: str = GATED) -> subprocess.Popen[str]:
    words = ("verify", directory, "--verifier", verifier, "--json", *more)
    return started([sys.executable, "-m", "antiphon", *map(str, words)])


def test_the_verdicts_are_those_that_one_machine_gives(cluster: Machines, tmp_path: Path) -> None:
    alone, spread = (run_of(tmp_path / name) for name in ("alone", "spread"))
    here, _ = ended(verify(alone, verifier="exact"))
    there, said = ended(verify(spread, "--ray", cluster.address, verifier="exact"))
    assert {**json.loads(there), "run": ""} == {**json.loads(here), "run": ""}
    assert verdicts(spread) == verdicts(alone)
    assert not said, "Ray says nothing"


def test_workers_that_are_killed_cost_nothing(cluster: Machines, gate: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", gate)
    process = verify(run, "--ray", cluster.address)
    until(lambda: given(run) and any(gate.iterdir()), process)
    assert process.poll() is None, "verdicts are kept as they come"
    assert cluster.kill_workers()
    (gate / "open").touch()
    out, _ = ended(process)
    assert json.loads(out)["judged"] == {"tessy": {"right": COUNT, "wrong": COUNT}}
    assert all(len(each) == 1 for each in verdicts(run).values())


def test_an_answer_that_kills_its_judge_costs_no_other(cluster: Machines, tmp_path: Path) -> None:
    problems = [asked(f"p{at}", answer="1") for at in range(9)]
    answered(tmp_path, problems, {problem.id: ["1", "2"] for problem in problems} | {"p4": ["1", "deadly"]})
    out, _ = ended(verify(tmp_path, "--ray", cluster.address, verifier="tests.scale.gated:Deadly"), code=1)
    assert json.loads(out)["judged"] == {"tessy": {"right": 9, "wrong": 8, "cannot_judge": 1}}
    (why,) = json.loads(out)["reasons"]
    assert "the process that worked on it died, again and again" in why


def test_a_command_that_is_killed_goes_on(cluster: Machines, gate: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", gate)
    process = verify(run, "--ray", cluster.address)
    until(lambda: given(run) and any(gate.iterdir()), process)
    process.send_signal(signal.SIGKILL)
    ended(process, code=-signal.SIGKILL)
    before = verdicts(run)
    kept = given(run)
    assert 0 < kept < 2 * COUNT
    (gate / "open").touch()
    out, _ = ended(verify(run, "--ray", cluster.address))
    assert (json.loads(out)["before"], sum(json.loads(out)["judged"]["tessy"].values())) == (kept, 2 * COUNT - kept)
    after = verdicts(run)
    assert all(len(each) == 1 for each in after.values())
    assert all(after[key] == each for key, each in before.items() if each)


def test_an_interrupted_command_ends_at_once_and_goes_on(cluster: Machines, gate: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", gate)
    process = verify(run, "--ray", cluster.address)
    until(lambda: given(run) and any(gate.iterdir()), process)
    process.send_signal(signal.SIGINT)
    _, said = ended(process, code=130)
    assert "Traceback" not in said
    kept = given(run)
    (gate / "open").touch()
    out, _ = ended(verify(run, "--ray", cluster.address))
    assert json.loads(out)["before"] == kept and given(run) == 2 * COUNT


LEAVING = """
import asyncio, contextlib, sys, threading
import ray
from antiphon.scale.spread import Spread
from tests.scale.gated import endless

async def eight(spread):
    async with contextlib.aclosing(spread.map(endless, enumerate(range(16)))) as results:
        return [await anext(results) for _ in range(8)]

def shutdown(whole=ray.shutdown):
    print([one.name for one in threading.enumerate() if one.name.startswith(("StreamingExecutor", "antiphon-"))])
    whole()

ray.shutdown = shutdown
with Spread(sys.argv[1]) as spread:
    assert len(asyncio.run(eight(spread))) == 8
print("left")
"""


def test_whoever_leaves_leaves_nothing_that_asks_ray(cluster: Machines) -> None:
    out, _ = ended(started([sys.executable, "-c", LEAVING, cluster.address]))
    assert out.splitlines() == ["['antiphon-ray-shutdown']", "left"]


def test_likelihoods_are_those_that_one_machine_measures(cluster: Machines, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    records = [
        {
            "id": f"p{at}",
            "messages": [
                {"role": "user", "content": f"What is {at} plus 4?"},
                {"role": "assistant", "content": f"<think>\nso {at} plus 4\n</think>\n\n{at + 4}"},
            ],
        }
        for at in range(12)
    ]
    file = write_lines(tmp_path / "records.jsonl", records)

    def compare(name: str, *more: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is told, and what is kept."""
        words = ("compare", file, "--under", "lab:student", "--boundary", "none", "--scores", tmp_path / name, *more)
        out, _ = ended(started([sys.executable, "-m", "antiphon", *map(str, words), "--json"]))
        (kept,) = (tmp_path / name).iterdir()
        lines = map(json.loads, kept.read_text().splitlines())
        return json.loads(out), {line["text"]: [kept.name, line["cut"], line["cells"]] for line in lines}

    told, kept = compare("alone")
    told_there, kept_there = compare("spread", "--ray", cluster.address)
    assert len(kept) == len(records)
    assert close(kept_there, kept) and close(told_there, told)
    again, _ = compare("spread", "--ray", cluster.address)
    assert again == told_there, "nothing is measured twice"


def test_an_export_is_the_file_that_one_machine_writes(cluster: Machines, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")

    def export(name: str, *more: object) -> tuple[dict[str, Any], bytes]:
        """What is told, and what is written."""
        words = ("export", run, "--format", "tokens", "--student", "lab:student", "--to", tmp_path / name, *more)
        out, _ = ended(started([sys.executable, "-m", "antiphon", *map(str, words), "--json"]))
        return {**json.loads(out), "path": "", "files": []}, (tmp_path / name).read_bytes()

    alone, spread = export("alone.jsonl"), export("spread.jsonl", "--ray", cluster.address)
    assert spread == alone
    assert alone[0]["rows"] == 2 * COUNT


def test_a_lost_machine_costs_nothing(cluster: Machines, gate: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", gate)
    process = verify(run, "--ray", cluster.address)
    until(lambda: given(run) and any(gate.iterdir()), process)
    assert process.poll() is None, "verdicts are kept as they come"
    cluster.lose(1)
    cluster.add(2)
    (gate / "open").touch()
    out, _ = ended(process)
    assert json.loads(out)["judged"] == {"tessy": {"right": COUNT, "wrong": COUNT}}
    assert all(len(each) == 1 for each in verdicts(run).values())


def close(one: Any, other: Any) -> bool:
    """Whether values are the same, numbers nearly: a model computes otherwise in other company."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == pytest.approx(other, rel=1e-4)) if isinstance(one, float) else bool(one == other)
