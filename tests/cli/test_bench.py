"""`antiphon bench` on the scripted pair: what it prints, what it leaves behind, how it ends."""

from __future__ import annotations

import re
import signal
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from antiphon.cli.bench import _by_address, _servers
from antiphon.engine.scripted import Fault, Request
from tests.cli.conftest import MODELS, Command, asked, write_lines
from tests.cli.pair import Pair, install
from tests.cli.test_stopping import started
from tests.operate.test_bench import WELL

FLAGS = (*MODELS, "--concurrency", 4, "--samples", 100, "--seconds", 1)


@pytest.fixture
def slow_pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that takes its time, and now and then refuses a request."""

    def refuses(request: Request) -> Fault | None:
        return Fault("refuse") if request.number % 40 == 5 else None

    return install(Pair(delay=0.001, faults=refuses), monkeypatch.setattr)


def test_a_table_and_what_to_change(
    command: Command, slow_pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    done = command("bench", problems, *FLAGS)
    assert done.code == 0, done
    assert re.match(r"Measured for 0\.\d s, the first 0\.2 s left out: [\d,]+ turns, 4\.0 traces", done.out)
    rows = {line[:26].strip(): line[26:].split("  ") for line in done.out.splitlines()}
    assert {"tokens kept a second", "of them thrown away", "requests a turn", "time without a request"} <= rows.keys()
    assert [cell.strip() for cell in rows["prompt tokens from cache"] if cell.strip()] == ["not told", "not told"]
    assert "traces in flight" in done.out and "ms of CPU a turn" in done.out
    assert "finished traces failed: " in done.out and "What to change" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines()), "it reads well in a narrow terminal"
    assert set(tmp_path.iterdir()) == before, "what it wrote is gone"


def test_json_says_more_and_a_run_that_is_kept_goes_on(
    command: Command, slow_pair: Pair, problems: Path, tmp_path: Path
) -> None:
    done = command("bench", problems, *FLAGS, "--run", tmp_path / "run", "--json")
    told = done.json
    assert (done.code, told["exit_code"], told["planned"], told["concurrency"]) == (0, 0, 300, 4)
    assert {"student", "teacher"} == told["roles"].keys()
    student = told["roles"]["student"]
    assert student["waste"] == pytest.approx(student["thrown_away"] / (student["kept"] + student["thrown_away"]))
    assert told["elsewhere"] + sum(role["share"] for role in told["roles"].values()) == pytest.approx(1, abs=0.05)
    assert {"about", "says", "change"} == told["advice"][0].keys()
    slow_pair.delay = 0.0
    few = ("--run", tmp_path / "run", *MODELS, "--samples", 2)
    again = command("synth", problems, *few, "--json")
    assert again.json["before"] > 0 and sum(again.json["traces"].values()) == 300
    over = command("bench", problems, *few)
    assert over.code == 2 and "all traces of these problems are finished" in over.err


def test_a_server_of_both_roles_is_one_row() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(_servers(_by_address(WELL)))
    assert capture.get().splitlines()[1].split() == ["http://one", "60.0", "30.0", "0.0", "60%", "600.0"]


def test_wrong_use(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    assert command("bench").code == 2
    assert command("bench", problems, *MODELS, "--seconds", 0).code == 2
    assert command("bench", problems).code == 2, "which models?"
    short = command("bench", problems, *MODELS)
    assert short.code == 2 and "give more problems, or --samples N" in short.err
    torn = write_lines(tmp_path / "torn.jsonl", [asked(347, 6), {"id": "no question"}])
    refused = command("bench", torn, *MODELS)
    assert refused.code == 2 and "torn.jsonl:2" in refused.err


def test_interrupted_before_anything_was_measured(problems: Path, tmp_path: Path) -> None:
    with started("hang", "bench", problems, *MODELS, "--seconds", 600) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "stopping" in err and "Traceback" not in err
