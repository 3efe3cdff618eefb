"""`antiphon synth` with limits on what it may cost, and `antiphon status` on what it did cost."""

from __future__ import annotations

import re
import time
from itertools import count
from pathlib import Path

import pytest

from antiphon.engine.scripted import Fault, Request
from antiphon.store import Reader
from tests.cli.conftest import MODELS, Command
from tests.cli.pair import Pair
from tests.cli.test_status import cells

PRICES = ("--set", "teacher.price_in=1", "--set", "teacher.price_out=10")


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (("--max-tokens-total", 80), "max.tokens_total is reached (%s of 80 tokens written); raise it to go on"),
        (("--max-cost", "0.001", *PRICES), "max.cost is reached (cost %s of 0.001); raise it to go on"),
        (("--max-hours", 1), "max.hours is reached (%s of 1 hours); run it again to go on"),
    ],
)
def test_stops_at_a_limit_and_goes_on_later(
    command: Command,
    pair: Pair,
    problems: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: tuple[object, ...],
    says: str,
) -> None:
    looks = count(1)
    monkeypatch.setattr("antiphon.synth.spend.monotonic", lambda: time.monotonic() + 600 * next(looks))
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--concurrency", 1)
    stopped = command(*run, *limit)
    assert stopped.code == 0
    before, after = says.split("%s")
    last = stopped.err.splitlines()[-1]
    assert last.startswith(f"Stopped: {before}") and last.endswith(f"{after}. Everything is kept.")
    with Reader(tmp_path / "run") as reader:
        assert reader.counts()[None] > 0
        assert any(trace.spans for trace in reader.traces(status=[None]))
    later = command(*run)
    assert (later.code, later.err) == (0, "")
    assert "3 complete" in later.out and "pending" not in later.out


def test_a_limit_reached_before_spends_nothing_and_says_so(command: Command, finished: Path, problems: Path) -> None:
    spent = command("synth", problems, "--run", finished, *MODELS, "--json").json["spent"]["tokens"]
    pair_again = ("synth", problems, "--run", finished, *MODELS, "--samples", 2, "--max-tokens-total", 10)
    again = command(*pair_again)
    assert again.code == 0
    assert f"Stopped: max.tokens_total is reached ({spent:,} of 10 tokens written)" in again.err
    with Reader(finished) as reader:
        assert sum(total.received for total in reader.totals().values()) == spent
        assert reader.counts()[None] == 3


def test_json_has_what_was_spent_and_what_stopped_it(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--json", *PRICES)
    stopped = command(*run, "--max-tokens-total", 80)
    assert stopped.err == ""
    assert (stopped.json["exit_code"], stopped.json["reached"]) == (0, "max.tokens_total")
    whole = command(*run).json
    assert (whole["reached"], whole["traces"]) == (None, {"complete": 3})
    with Reader(tmp_path / "run") as reader:
        totals = reader.totals()
    assert whole["spent"]["tokens"] == sum(total.received for total in totals.values()) > 80
    teacher = totals["teacher"]  # type: ignore[index]
    assert whole["spent"]["cost"] == {"teacher": pytest.approx((teacher.prompt + 10 * teacher.received) / 1e6)}
    assert whole["spent"]["hours"] > 0
    for role, total in totals.items():
        assert sum(session["tokens"][role]["prompt"] for session in (stopped.json, whole)) == total.prompt


def test_failed_traces_still_end_with_1(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    def refuse(request: Request) -> Fault | None:
        return Fault("refuse") if "347" in request.situation.text else None

    pair.faults = refuse
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS, "--concurrency", 1)
    stopped = command(*run, "--max-tokens-total", 150)
    assert stopped.code == 1
    assert "--retry failed" in stopped.err and "Stopped: max.tokens_total" in stopped.err


@pytest.mark.parametrize(
    ("flag", "value", "named"),
    [
        ("--max-tokens-total", 0, "--max-tokens-total"),
        ("--max-hours", 0, "max.hours: "),
        ("--max-cost", -1, "max.cost: "),
        ("--set", "teacher.price_out=-1", "teacher.price_out: "),
    ],
)
def test_limits_and_prices_below_nothing_are_refused(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, flag: str, value: object, named: str
) -> None:
    refused = command("synth", problems, "--run", tmp_path / "run", *MODELS, flag, value)
    assert refused.code == 2
    assert named in refused.err
    assert not pair.engines


def test_a_limit_on_the_cost_without_prices_is_refused(
    command: Command, pair: Pair, problems: Path, tmp_path: Path
) -> None:
    refused = command("synth", problems, "--run", tmp_path / "run", *MODELS, "--max-cost", 5)
    assert refused.code == 2
    assert "max.cost: nothing has a price; set teacher.price_in" in refused.err
    assert not pair.engines and not (tmp_path / "run").exists()


def test_progress_shows_what_is_spent_of_how_much(
    command: Command, pair: Pair, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.cli.progress._EVERY", 0.001)
    pair.delay = 0.0001
    limits = ("--max-tokens-total", "1000000", "--max-hours", 8, *PRICES)
    done = command("synth", problems, "--run", tmp_path / "run", *MODELS, *limits)
    said = re.compile(r", \d+ of 1,000,000 tokens written, \d\.\d\d of 8 hours, cost \d\.\d+, ")
    assert any(map(said.search, done.err.splitlines()))
    assert "spent: " in done.out and "of 1,000,000 tokens written" in done.out


def test_status_shows_the_cost_by_role(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = ("synth", problems, "--run", tmp_path / "run", *MODELS)
    command(*run, "--limit", 1)
    (variant,) = command("status", tmp_path / "run", "--json").json["variants"]
    assert variant["cost"] is None, "nothing has a price"
    spent = command(*run, *PRICES, "--json").json["spent"]
    shown = command("status", tmp_path / "run")
    assert cells(shown.out, "cost") == ["no", "price", f"{spent['cost']['teacher']:.2g}"]
    (variant,) = command("status", tmp_path / "run", "--json").json["variants"]
    assert variant["roles"]["teacher"]["cost"] == variant["cost"] == spent["cost"]["teacher"]
    assert variant["roles"]["student"]["cost"] is None
