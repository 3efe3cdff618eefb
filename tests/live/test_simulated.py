"""Runs on the simulated pair, over HTTP, against its script: authors, spans and answers are known exactly.

`python -m bench.simulated` measures the same and takes ten times as many problems in the runs that are killed.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from bench.simulated import PIECEMEAL, Command, faults, killed, measured, traces, whole
from bench.simulator import SIMULATOR, Form, Labels, Pair, problems
from hypothesis import given
from hypothesis import strategies as st

from tests.boundary.contract import Part, check_contract
from tests.boundary.contract import traces as any_traces

pytestmark = pytest.mark.skipif(not SIMULATOR.is_dir(), reason="needs ../shared, which is not here")

FORMS: list[Form] = ["ids", "text"]
KILLS = 10


@given(trace=any_traces(), random=st.randoms(use_true_random=False))
def test_exact_labels_keep_the_contract(trace: list[Part], random: Random) -> None:
    check_contract(Labels(), trace, random)


@pytest.mark.parametrize("form", FORMS)
def test_a_short_run_is_as_the_script_has_it(pair: Pair, folder: Path, form: Form, tmp_path: Path) -> None:
    row = measured(pair, problems(folder, 8, spans=4, answer=70), form, tmp_path / "run")
    assert row["faults"] == []
    assert row["turns"] == 8 * (2 * 4 + 1)
    assert row["requests"] <= row["turns"] + 10  # a turn is one request; what the servers can do was tried before


@pytest.mark.parametrize(
    ("policy", "form"), [("streamed", "ids"), ("auto", "ids"), ("adaptive", "ids"), (12, "ids"), ("adaptive", "text")]
)
def test_what_is_kept_is_the_same_however_far_requests_run_ahead(
    pair: Pair, folder: Path, policy: str | int, form: Form, tmp_path: Path
) -> None:
    """Few traces, so that no process is late: what is thrown away is the policy's own, 2.4 to 2.9 tokens a turn where
    it may stop; a busy machine adds some."""
    row = measured(pair, problems(folder, 6, spans=30, answer=70), form, tmp_path / "run", run_ahead=policy)
    print(row)
    assert row["faults"] == []
    assert row["requests_per_turn"] <= {"streamed": 1.1, "auto": 1.1, "adaptive": 1.6, 12: 2.2}[policy]
    assert row["thrown_away_per_turn"] <= {"streamed": 6, "auto": 6, "adaptive": 6, 12: 9}[policy]


@pytest.mark.slow(minutes=4)
@pytest.mark.parametrize(("form", "count"), [("ids", 512), ("text", 128)])
def test_many_problems_are_as_the_script_has_them(
    pair: Pair, folder: Path, form: Form, count: int, tmp_path: Path
) -> None:
    """Streamed, where a turn is one request; in how many pieces `auto` asks depends on how busy the machine is."""
    row = measured(pair, problems(folder, count), form, tmp_path / "run", run_ahead="streamed")
    print(*(f"{name:22} {value}" for name, value in row.items()), sep="\n")
    assert row["faults"] == []
    assert row["requests"] <= 1.1 * row["turns"]


@pytest.mark.slow(minutes=3)
def test_killed_runs_lose_nothing_and_have_almost_nothing_decoded_again(
    pair: Pair, folder: Path, tmp_path: Path
) -> None:
    some = problems(folder, 32)
    needed, chance, again = whole(Command(tmp_path / "whole", pair, some, "ids", **PIECEMEAL), pair), Random(7), []
    for number in range(KILLS):
        command = Command(tmp_path / str(number), pair, some, "ids", **PIECEMEAL)
        again.append(killed(command, pair, chance.uniform(0.02, 0.9) * needed) / needed - 1)
        assert faults(traces(command.directory), some) == []
    print(f"decoded again: mean {sum(again) / KILLS:.2%}, most {max(again):.2%}")
    assert sum(again) / KILLS <= 0.02
