"""Exports as the trainers that are installed here take them (the others: bench/consumers.py)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from antiphon.export import write
from antiphon.store import Reader
from tests.export.test_formats import LAB, answered, of_lab


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # theirs
def test_trl_trains_on_what_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl", reason="needs trl: pip install trl")
    from bench.consumers import trl

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    traces = [answered("So ", f"{number}+1", letters=True, sample=number) for number in range(4)]
    with Reader(of_lab(tmp_path, *traces)) as reader:
        for format in ("messages", "prompt_completion", "tokens"):
            write(reader, format, tmp_path / format)
    student = str(files("antiphon") / "lab" / "models" / "student")
    for format, rows, first in trl(tmp_path, student, str(tmp_path / "work")):
        assert len(rows) == len(traces)
        for row, trace in zip([first, *rows], [traces[0], *traces], strict=True):
            trained = [id for id, on in zip(row.ids, row.trained, strict=True) if on]
            said = LAB.vocabulary.decode(trained).removesuffix("\n")
            wanted = trace.response + LAB.end
            assert said.endswith(wanted) if format == "messages" else said == wanted
