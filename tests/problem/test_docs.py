"""The examples in the documentation run."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from tests.problem.conftest import lines

PAGE = Path(__file__).parents[2] / "docs" / "problems.md"


def test_the_example_on_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "problems").mkdir()
    records = [{"id": 1, "problem": "1+1?"}, {"id": 2, "problem": "1+1?"}]
    (tmp_path / "problems" / "a.jsonl.gz").write_bytes(gzip.compress(lines(records)))
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(example, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "problems/a.jsonl.gz:2: '2' asks the same as '1' at problems/a.jsonl.gz:1; both are kept",
        "1 problems/a.jsonl.gz:1 1+1?",
        "2 problems/a.jsonl.gz:2 1+1?",
    ]
