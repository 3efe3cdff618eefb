"""Which responses are read: by status, newest verdict and place among a problem's."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.store import Reader, Store
from antiphon.trace import Key, Label, Status, Verdict
from tests.store.records import finished, planned, writing

STATUSES = [Status.COMPLETE, Status.TOO_LONG, Status.FAILED, None]
LABELS = [Label.RIGHT, Label.WRONG, None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five problems, two variants, samples finished in any order, some judged, some judged again."""
    directory = tmp_path_factory.mktemp("run")
    order = random.Random(5)
    every = [Key(f"p{n}", variant, s) for n in range(5) for variant in ("b", "a") for s in range(4)]

    async def work(store: Store) -> None:
        planned(store, every)

    writing(directory, work)
    for status in STATUSES[:3]:
        finished(directory, *[key for key in order.sample(every, len(every)) if ended(key) is status], status=status)
    with Store.open(directory) as store:
        for key in order.sample(every, len(every)):
            label = labelled(key)
            if label is not None:
                other = Label.RIGHT if label is Label.WRONG else Label.WRONG
                store.add_verdicts(key, [Verdict("v", "2", other), Verdict("v", "1", label)])
    return directory


def number(key: Key) -> int:
    return hash((int(key.problem[1:]), key.variant == "a", key.sample))


def ended(key: Key) -> Status | None:
    return STATUSES[number(key) % 7 % 4]


def labelled(key: Key) -> Label | None:
    return LABELS[number(key) // 7 % 3]


@given(
    statuses=st.lists(st.sampled_from(STATUSES), unique=True),
    labels=st.none() | st.lists(st.sampled_from([Label.RIGHT, Label.WRONG]), unique=True),
    per_problem=st.none() | st.integers(0, 5),
    variant=st.none() | st.sampled_from("ab"),
    part=st.floats(0, 1),
)
def test_what_is_read_and_why_not(
    run: Path,
    statuses: Collection[Status | None],
    labels: Collection[Label] | None,
    per_problem: int | None,
    variant: str | None,
    part: float,
) -> None:
    with Reader(run) as reader:
        since = int(part * reader.change())
        changes = {trace.key: trace.change for trace in reader.traces()}
        outcomes = [
            outcome
            for _, outcome in reader.outcomes(
                statuses, variant=variant, since=since, labels=labels, per_problem=per_problem
            )
        ]

    def fit() -> Iterator[Key]:
        """Those that are wanted but for their place, in the order of places; variant b is the older."""
        for key in sorted(changes, key=lambda key: (key.sample, key.variant == "a")):
            is_asked = variant in (None, key.variant) and ended(key) in statuses
            if is_asked and (labels is None or labelled(key) in labels):
                yield key

    places: dict[str, list[Key]] = {}
    for key in fit():
        places.setdefault(key.problem, []).append(key)
    expected = {}
    for key, change in changes.items():
        if change <= since or variant not in (None, key.variant):
            continue
        if ended(key) not in statuses:
            why = str(ended(key) or "pending")
        elif labels is not None and labelled(key) not in labels:
            why = str(labelled(key) or "not judged")
        elif per_problem is not None and key not in places[key.problem][:per_problem]:
            why = "beyond --per-problem"
        else:
            why = ""
        expected[key] = why
    assert {outcome.key: outcome.left_out for outcome in outcomes} == expected
    assert [outcome.change for outcome in outcomes] == sorted(changes[key] for key in expected)
    for outcome in outcomes:
        assert outcome.response == (None if outcome.left_out else f"of {outcome.key}" if outcome.status else "")
