"""What OJBench and LiveCodeBench-Pro read, and what becomes of what they write.

The tools themselves are not here: their parts below do with a file what their documentation says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import UsageError
from antiphon.evaluation.exchange import ReadBack, read_back, tool, write
from antiphon.evaluation.report import report
from antiphon.problem import Problem
from antiphon.store import Reader
from antiphon.trace import Key, Label
from antiphon.verify.result import Result
from tests.evaluation.evaluations import VARIANT, evaluated, problem, read

OJBENCH = [
    problem("1000", dataset="NOI", language="cpp", difficulty="hard", other=1),
    problem("nwerc2023_A", dataset="ICPC", language="cpp", difficulty="easy"),
    problem("007", dataset="ICPC", language="cpp", difficulty="easy"),
]
PRO = [
    problem("2000A", problem_title="Numbers", difficulty="easy", platform="codeforces"),
    problem("2001B", problem_title="Trees", difficulty="hard", platform="codeforces"),
]


@pytest.fixture
def ojbench(tmp_path: Path) -> Path:
    samples = {"1000": ["unjudged"] * 2, "nwerc2023_A": ["unjudged", "too_long"], "007": ["unjudged", "failed"]}
    return evaluated(tmp_path / "ojbench", samples, problems=OJBENCH)


@pytest.fixture
def pro(tmp_path: Path) -> Path:
    return evaluated(tmp_path / "pro", {"2000A": ["unjudged"] * 3, "2001B": ["unjudged"] * 3}, problems=PRO)


def handed_over(run: Path, name: str, path: Path) -> int:
    with Reader(run) as reader:
        return write(reader, VARIANT, tool(name), path)


def taken(run: Path, name: str, path: Path) -> ReadBack:
    return asyncio.run(read_back(run, VARIANT, tool(name), path))


def judge_jsonl(given: Path, judged: Path, verdict: Callable[[Mapping[str, Any]], str]) -> None:
    """Copies each line and adds to it."""
    rows = [json.loads(line) for line in given.read_text().splitlines()]
    for row in rows:
        row["verdict"] = verdict(row)
        row["is_passed"] = row["verdict"] == "AC"
        row |= {"1/2verdict": "AC", "1/2is_passed": True, "detailed_results": []}
    judged.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_ojbench_reads_a_line_for_each_whole_answer(ojbench: Path, tmp_path: Path) -> None:
    assert handed_over(ojbench, "ojbench", tmp_path / "answers.jsonl") == 4
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [(row["id"], row["content"]) for row in rows] == [
        (1000, "so it is 0"),
        (1000, "so it is 1"),
        ("nwerc2023_A", "so it is 0"),
        ("007", "so it is 0"),
    ]
    assert {name: rows[0][name] for name in ("prompt", "dataset", "language", "difficulty")} == {
        "prompt": "what of 1000?",
        "dataset": "NOI",
        "language": "cpp",
        "difficulty": "hard",
    }


def test_ojbench_verdicts_find_their_traces_in_any_order(ojbench: Path, tmp_path: Path) -> None:
    handed_over(ojbench, "ojbench", tmp_path / "answers.jsonl")
    codes = {"1000/0": "AC", "1000/1": "TLE", "nwerc2023_A/0": "WA", "007/0": "Skip"}
    judge_jsonl(
        tmp_path / "answers.jsonl",
        tmp_path / "judged.jsonl",
        lambda row: codes[f"{row['antiphon']['problem']}/{row['antiphon']['sample']}"],
    )
    lines = (tmp_path / "judged.jsonl").read_text().splitlines()
    (tmp_path / "judged.jsonl").write_text("\n".join(reversed(lines)) + "\n\n")
    for _ in range(2):
        done = taken(ojbench, "ojbench", tmp_path / "judged.jsonl")
        assert done.labels == {Label.RIGHT: 1, Label.TIMED_OUT: 1, Label.WRONG: 1, Label.CANNOT_JUDGE: 1}
        assert (done.unjudged, done.without) == (0, 0)
    with Reader(ojbench) as reader:
        (verdict,) = reader.trace(Key("1000", VARIANT, 1)).verdicts
        assert (verdict.verifier, verdict.label, verdict.detail) == ("ojbench", Label.TIMED_OUT, "TLE")
    results = report(read(ojbench)).whole.results
    assert results[Result.RIGHT] == 1 and results[Result.CUT_OFF] == 1 and results[Result.FAILED] == 1


def test_livecodebench_pro_reads_a_list(pro: Path, tmp_path: Path) -> None:
    assert handed_over(pro, "livecodebench-pro", tmp_path / "answers.json") == 6
    rows = json.loads((tmp_path / "answers.json").read_text())
    first = rows[0]
    meta = first.pop("response_meta")
    assert first == {
        "problem_id": "2000A",
        "problem_title": "Numbers",
        "difficulty": "easy",
        "platform": "codeforces",
        "text_response": "so it is 0",
        "code": None,
        "judge_result": "Judging",
    }
    assert meta == {"antiphon": {"problem": "2000A", "variant": VARIANT, "sample": 0}}


def test_livecodebench_pro_verdicts(pro: Path, tmp_path: Path) -> None:
    handed_over(pro, "livecodebench-pro", tmp_path / "answers.json")
    rows = json.loads((tmp_path / "answers.json").read_text())
    said = ["Accepted", "Wrong Answer", "Time Limit Exceeded", "Judge Failed", "Judge Failed", "Judging"]
    for number, (row, word) in enumerate(zip(rows, said, strict=True)):
        row |= {"judge_result": word, "code": None if number == 3 else "#include <x>"}
    (tmp_path / "judged.json").write_text(json.dumps(rows[:-1] + rows[-1:], indent=4))
    done = taken(pro, "livecodebench-pro", tmp_path / "judged.json")
    assert done.labels == {
        Label.RIGHT: 1,
        Label.WRONG: 1,
        Label.TIMED_OUT: 1,
        Label.NO_ANSWER: 1,
        Label.CANNOT_JUDGE: 1,
    }
    assert (done.unjudged, done.without) == (1, 1)
    assert report(read(pro)).whole.results[Result.NOT_JUDGED] == 1


STRANGE = '{"verdict": "AC", "is_passed": true, "antiphon": {"problem": "x", "variant": "y", "sample": 0}}'


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{}", "row 1 is none that ojbench writes for this run"),
        ('{"verdict": "AC", "is_passed": true}', "row 1 is none that"),
        ('{"verdict": "AC", "is_passed": false, "antiphon": {}}', "contradict each other"),
        (
            '{"verdict": "AC", "is_passed": true, "antiphon": {"problem": "x", "variant": "y", "sample": 0}}',
            "another run",
        ),
        ("[1, 2]", "row 1 is none that"),
        ("not JSON", "is not JSON"),
    ],
)
def test_another_file_is_refused_and_changes_nothing(ojbench: Path, tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "judged.jsonl").write_text(row)
    with pytest.raises(UsageError, match=said):
        taken(ojbench, "ojbench", tmp_path / "judged.jsonl")
    with Reader(ojbench) as reader:
        assert not any(trace.verdicts for trace in reader.traces())


def test_files_that_are_not_there(ojbench: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        taken(ojbench, "ojbench", tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="cannot be written"):
        handed_over(ojbench, "ojbench", tmp_path / "none" / "answers.jsonl")
    with pytest.raises(UsageError, match="no exchange with 'codeforces'; there are: ojbench, livecodebench-pro"):
        tool("codeforces")


def test_any_text_reaches_the_tool(tmp_path: Path) -> None:
    strange = Problem("\u2028\ud800", ({"role": "user", "content": "a\x00\ud83d\n\u2029"},), {"difficulty": None})
    run = evaluated(tmp_path / "run", {"\u2028\ud800": ["unjudged"]}, problems=[strange])
    for name, file in (("ojbench", "a.jsonl"), ("livecodebench-pro", "a.json")):
        assert handed_over(run, name, tmp_path / file) == 1
    (row,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(row)["prompt"] == strange.messages[0]["content"]
    judge_jsonl(tmp_path / "a.jsonl", tmp_path / "judged.jsonl", lambda row: "AC")
    assert taken(run, "ojbench", tmp_path / "judged.jsonl").labels == {Label.RIGHT: 1}
