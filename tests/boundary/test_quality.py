"""The shipped pages on marked slices, by the measuring command."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

COMMAND = Path(__file__).parents[2] / "bench" / "boundary.py"
DATA = COMMAND.parents[2] / "shared" / "data" / "style_spans.jsonl"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the marked slices (../shared/data/style_spans.jsonl) are not here")
def test_the_shipped_pages_are_as_good_as_the_documentation_says(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("bench_boundary", COMMAND)
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench_boundary", bench)
    spec.loader.exec_module(bench)
    monkeypatch.setattr(sys, "argv", ["boundary.py"])
    bench.main()
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("| test | all | online |")).split("|")
    style, boundary = float(row[7]), float(row[9])
    assert style >= 0.83
    assert boundary >= 0.86
