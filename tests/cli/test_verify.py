"""`antiphon verify`: verdicts on a run's answers, in the terminal and for programs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.store import Reader, Store
from antiphon.trace import Label, Status
from antiphon.verify.choose import VERIFIERS
from antiphon.verify.text import ExactVerifier
from tests.cli.conftest import Command
from tests.verify.scripted import answered, asked, label_counts

ROOT = Path(__file__).parents[2]
SCRIPTED = ("--verifier", "tests.verify.scripted:ScriptedVerifier")
TELLING = ("--verifier", "tests.verify.scripted:Telling")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two variants; six traces of the first are whole, one is cut off, one without an answer, one pending."""
    directory = tmp_path / "run"
    problems = [asked("a", answer="1"), asked("b", answer="2")]
    ends = {("b", 3): Status.TOO_LONG, ("b", 4): Status.NO_ANSWER, ("b", 5): None, ("b", 6): Status.FAILED}
    answers = {"a": ["1", "2", "timed_out"], "b": ["2", "crashed", "no_answer", "2", "", "2", "2"]}
    answered(directory, problems, answers, status=lambda key: ends.get((key.problem, key.sample), Status.COMPLETE))
    answered(directory, problems, {"a": ["1"]}, variant="student_only")
    return directory


def cells(text: str, name: str) -> list[str]:
    """A row of the table, after its name."""
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return line.strip().removeprefix(name).split()


def test_judges_and_shows_what_traces_came_to(command: Command, run: Path) -> None:
    done = command("verify", run, *SCRIPTED)
    assert (done.code, done.err) == (0, "")
    assert "7 answers judged" in done.out
    assert cells(done.out, "right ") == ["2", "(25%)", "1", "(100%)"]
    assert cells(done.out, "wrong") == ["1", "(12%)", "0", "(0%)"]
    assert cells(done.out, "no answer") == ["2", "(25%)", "0", "(0%)"]
    assert cells(done.out, "cut off") == ["1", "(12%)", "0", "(0%)"]
    assert cells(done.out, "failed") == ["1", "0"]
    assert cells(done.out, "pending") == ["1", "0"]
    assert cells(done.out, "right of those that count") == ["25.0%", "100.0%"]
    again = command("verify", run, *SCRIPTED)
    assert "0 answers judged, 7 were before" in again.out


def test_json_has_all_of_it(command: Command, run: Path) -> None:
    facts = command("verify", run, *SCRIPTED, "--variant", "tessy", "--limit", 2, "--json").json
    assert facts["judged"] == {"tessy": {"right": 1, "wrong": 1}}
    facts = command("verify", run, *SCRIPTED, "--variant", "tessy", "--json").json
    assert facts["before"] == 2 and facts["exit_code"] == 0
    (variant,) = facts["variants"]
    assert variant == {
        "name": "tessy",
        "results": {
            "right": 2,
            "wrong": 1,
            "no_answer": 2,
            "cut_off": 1,
            "timed_out": 1,
            "crashed": 1,
            "failed": 1,
            "pending": 1,
        },
        "pass_rate": 2 / 8,
    }


def test_what_cannot_be_judged_is_named_and_ends_with_1(command: Command, tmp_path: Path) -> None:
    problems = [asked("a", answer="1"), asked("b", poem="?"), asked("c", answer="1")]
    answered(tmp_path / "run", problems, {"a": ["1"], "b": ["2"], "c": ["cannot_judge"]})
    done = command("verify", tmp_path / "run", *SCRIPTED)
    assert done.code == 1
    assert "2 answers could not be judged:" in done.err
    assert "problems.jsonl:7: no verifier suits it; its fields are: poem" in done.err
    assert "it said cannot_judge" in done.err
    assert cells(done.out, "cannot judge") == ["1"] and cells(done.out, "not judged") == ["1"]
    assert cells(done.out, "right of those that count") == ["100.0%"]
    assert command("verify", tmp_path / "run", *SCRIPTED, "--json").json["exit_code"] == 1


def test_a_broken_verifier_is_told_of_once(command: Command, tmp_path: Path) -> None:
    answered(tmp_path / "run", [asked("a", answer="1")], {"a": ["1", "2", "3"]})
    done = command("verify", tmp_path / "run", "--verifier", "tests.verify.scripted:Broken")
    assert done.code == 1
    assert done.err.count("Traceback") == 1
    assert "unexpected KeyError: '2'" in done.err and "unexpected KeyError: '3'" in done.err
    assert cells(done.out, "cannot judge") == ["2"]


def test_the_shipped_verifiers_are_found_by_the_fields(command: Command, tmp_path: Path) -> None:
    answered(tmp_path / "run", [asked("a", verifier="exact", answer="red")], {"a": ["red", "blue"]})
    facts = command("verify", tmp_path / "run", "--json").json
    assert facts["judged"] == {"tessy": {"right": 1, "wrong": 1}}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--verifier", "nobody"], "there is no verifier 'nobody'"),
        (["--verifier", "nowhere:Name"], "the verifier 'nowhere:Name' cannot be imported"),
        (["--variant", "x"], "there is no variant 'x'"),
    ],
)
def test_what_is_asked_wrongly_is_refused(command: Command, run: Path, arguments: list[str], says: str) -> None:
    done = command("verify", run, *arguments)
    assert done.code == 2 and says in done.err and done.out == ""


def test_a_run_that_is_being_written_is_refused(command: Command, run: Path, tmp_path: Path) -> None:
    with Store.open(run):
        done = command("verify", run, *SCRIPTED)
    assert done.code == 2 and "is being written by process" in done.err
    assert command("verify", tmp_path / "none").code == 2


def test_a_run_with_nothing_to_judge(command: Command, tmp_path: Path) -> None:
    with Store.open(tmp_path / "run"):
        pass
    done = command("verify", tmp_path / "run", *SCRIPTED)
    assert (done.code, done.err) == (0, "") and "0 answers judged" in done.out


def test_verdicts_are_seen_by_the_other_commands(command: Command, run: Path, tmp_path: Path) -> None:
    assert "right of those that count" not in command("status", run).out
    refused = command("export", run, "--format", "messages", "--to", tmp_path / "t.jsonl", "--only", "right")
    assert refused.code == 2 and f"first: antiphon verify {run}" in refused.err.replace("\n", "")
    command("verify", run, *SCRIPTED, "--variant", "tessy")
    assert "2 right, 1 wrong, 2 no answer, 1 cut off, 1 timed out, 1 crashed, 1 failed, 1 pending; 25.0% right" in (
        " ".join(command("status", run).out.split())
    )
    assert command("status", run, "--json").json["variants"][0]["pass_rate"] == 2 / 8
    assert "scripted 1: timed out (it said timed_out)" in command("trace", run, "a/tessy/2").out
    export = ("export", run, "--format", "messages", "--to", tmp_path / "t.jsonl", "--overwrite", "--only", "right")
    done = command(*export, "--variant", "tessy")
    assert "2 rows" in done.out
    assert "1 wrong, 1 timed_out, 1 crashed" in done.out
    done = command(*export, "--only", "wrong", "--per-problem", 1, "--json").json
    assert done["rows"] == 2
    assert done["left_out"]["beyond --per-problem"] == 1 and done["left_out"]["not judged"] == 1
    assert command(*export, "--only", "good").code == 2


SAMPLES = 600


@pytest.fixture
def long_run(tmp_path: Path) -> Path:
    answered(tmp_path / "run", [asked(answer="1")], {"p": ["1", "2"] * (SAMPLES // 2)})
    return tmp_path / "run"


def verifying(directory: Path, *, checks: int | None = None) -> subprocess.Popen[str]:
    """The command, held up behind so many checks: in the middle of the next."""
    words = [sys.executable, "-m", "antiphon", "verify", str(directory), *TELLING, "--jobs", "4", "--json"]
    process = subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    if checks is not None:
        process.stdin.write("\n" * checks)
        process.stdin.flush()
        for _ in range(checks + 1):
            process.stdout.readline()
    return process


def test_killed_at_any_moment_it_goes_on_where_it_stood(long_run: Path) -> None:
    """Killed with -9 again and again: no verdict is lost, none is given twice."""
    there = 0
    for checks in (0, 120, 250, 7):
        process = verifying(long_run, checks=checks)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        with Reader(long_run) as reader:
            before, there = there, label_counts(reader).total()
        assert before <= there <= before + checks
    process = verifying(long_run)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert sum(line.startswith("p: ") for line in out.splitlines()) == SAMPLES - there
    with Reader(long_run) as reader:
        (standings,) = reader.standings()
    for standing, label in zip(standings, [Label.RIGHT, Label.WRONG] * (SAMPLES // 2), strict=True):
        assert [verdict.label for verdict in standing.verdicts] == [label]


def test_interrupted_it_keeps_its_verdicts(long_run: Path) -> None:
    process = verifying(long_run, checks=50)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "stopping; everything is kept" in process.stderr.readline()
    process.communicate()
    assert process.returncode == 130
    with Reader(long_run) as reader:
        assert 50 - 4 <= label_counts(reader).total() <= 51


def test_its_help_names_all_verifiers(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "mine", lambda given: ExactVerifier())
    assert f"Verifiers: {', '.join(VERIFIERS)} (docs" in " ".join(command("verify", "--help").out.split())


OWN = """
from antiphon import Label, Verdict

class Check:
    name, version = "mine", "1"
    def suits(self, problem): return True
    async def check(self, problem, answer): return Verdict(self.name, self.version, Label.RIGHT, "")
"""


def test_a_verifier_in_the_working_folder_is_found(finished: Path, tmp_path: Path) -> None:
    """The script `antiphon` has its own folder on its path, not the one where it is called; with -P it is so here."""
    (tmp_path / "mine.py").write_text(OWN)
    verify = [sys.executable, "-P", "-m", "antiphon", "verify", finished, "--verifier", "mine:Check"]
    done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 answers judged" in done.stdout
