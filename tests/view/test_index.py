"""The index of a run: lists as a look at every trace would give them, and changes followed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.store import Reader, Store
from antiphon.trace import Key, Label, Status, Trace, Verdict
from antiphon.view.chosen import Chosen
from antiphon.view.facts import Facts, facts_of
from antiphon.view.index import IN_MEMORY, Index, Listing, place_of
from tests.view.hostile import TEXTS
from tests.view.runs import problem, span, trace, write

WORDS = ["carry", "the", "wait", "check", "modulo", "prime", "remainder", "Zürich", "素数を調べる"]


def some_traces(number: int) -> list[Trace]:
    draw = random.Random(number)
    found = []
    for variant in ("tessy", "teacher_only"):
        for sample in range(draw.randrange(3)):
            spans = [
                span(
                    draw.choice(("student", "teacher")),
                    "style",
                    " ".join(draw.choices(WORDS, k=draw.randrange(1, 30))) + " ",
                )
                for _ in range(draw.randrange(4))
            ]
            label = draw.choice([None, Label.RIGHT, Label.WRONG])
            verdicts = () if label is None else (Verdict("exact", "1", label),)
            status = draw.choice([Status.COMPLETE, Status.COMPLETE, Status.FAILED, None])
            found.append(trace(f"p{number}", *spans, variant=variant, sample=sample, status=status, verdicts=verdicts))
    return found


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return [each for number in range(40) for each in some_traces(number)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, traces: list[Trace]) -> Path:
    problems = [problem(f"p{number}", f"Question {number}, the {WORDS[number % 7]}") for number in range(40)]
    return write(tmp_path_factory.mktemp("index") / "run", problems, traces)


@pytest.fixture(scope="module")
def index(run: Path) -> Iterator[Index]:
    with Index(IN_MEMORY) as found:
        update(found, run)
        yield found


def update(index: Index, run: Path) -> None:
    with Reader(run) as reader:
        while index.update(reader):
            pass


def ids(listing: Listing) -> list[str]:
    return [entry.id for entry in listing.entries]


def keys(listing: Listing) -> set[Key]:
    return {Key(f.problem, f.variant, f.sample) for entry in listing.entries for f in entry.traces}


def passes(facts: Facts, chosen: Chosen) -> bool:
    """What a choice means, all but its words."""
    share = round(100 * getattr(facts, chosen.author))
    return (
        (not chosen.variant or facts.variant in chosen.variant)
        and (not chosen.status or (facts.status or "pending") in chosen.status)
        and (not chosen.verdict or facts.result in chosen.verdict)
        and (chosen.share_from is None or share >= chosen.share_from)
        and (chosen.share_to is None or share <= chosen.share_to)
        and (chosen.tokens_from is None or facts.tokens >= chosen.tokens_from)
        and (chosen.tokens_to is None or facts.tokens <= chosen.tokens_to)
    )


@pytest.mark.parametrize(
    "chosen",
    [
        Chosen(),
        Chosen(variant=("tessy",)),
        Chosen(status=("failed", "pending")),
        Chosen(verdict=("right",)),
        Chosen(verdict=("pending", "not_judged")),
        Chosen(share_from=30, share_to=70),
        Chosen(author="student", share_from=100),
        Chosen(tokens_from=20),
        Chosen(tokens_to=20, variant=("teacher_only",), status=("complete",)),
        Chosen(variant=("nobody",)),
    ],
    ids=str,
)
def test_lists_what_a_look_at_every_trace_would(index: Index, traces: list[Trace], chosen: Chosen) -> None:
    expected = {each.key for each in traces if passes(facts_of(each), chosen)}
    listing = index.listing(chosen, 1000)
    assert keys(listing) == expected
    assert (listing.traces, listing.problems) == (len(expected), len({key.problem for key in expected}))
    assert ids(listing) == sorted(ids(listing), key=lambda id: int(id[1:]))


@pytest.mark.parametrize(
    ("sort", "value"),
    [
        ("longest", lambda entry: -max(facts.tokens for facts in entry.traces)),
        ("shortest", lambda entry: min(facts.tokens for facts in entry.traces)),
        ("most", lambda entry: -max(facts.teacher for facts in entry.traces)),
        ("least", lambda entry: min(facts.teacher for facts in entry.traces)),
    ],
)
def test_orders(index: Index, sort: str, value: object) -> None:
    entries = index.listing(Chosen(sort=sort), 1000).entries
    assert list(entries) == sorted(entries, key=lambda entry: (value(entry), int(entry.id[1:])))  # type: ignore[operator]


def test_pages_join_to_the_whole_list(index: Index) -> None:
    whole = ids(index.listing(Chosen(), 1000))
    pages = [ids(index.listing(Chosen(page=number), 7)) for number in range(1, 8)]
    assert [id for page in pages for id in page] == whole


@pytest.mark.parametrize(
    "words", ["modulo", "MODULO carry", "zurich", "prim", "remainder wait", "数", "素数", "nothing"]
)
def test_finds_words(index: Index, traces: list[Trace], words: str) -> None:
    def holds(text: str) -> bool:
        plain = text.lower().replace("ü", "u")
        return all(word in plain for word in words.lower().split())

    expected = {each.key for each in traces if each.status is not None and holds(each.response)}
    expected |= {each.key for each in traces if holds(f"question, the {WORDS[int(each.key.problem[1:]) % 7]}")}
    assert keys(index.listing(Chosen(search=words), 1000)) == expected


def test_finds_phrases_in_their_order(index: Index, traces: list[Trace]) -> None:
    found = keys(index.listing(Chosen(search='"wait carry"'), 1000))
    assert found == {each.key for each in traces if each.status is not None and "wait carry" in each.response}
    assert found


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_can_be_looked_for(index: Index, text: str) -> None:
    index.listing(Chosen(search=text), 10)


def test_any_text_can_be_a_name(tmp_path: Path) -> None:
    texts = list(TEXTS.values())
    traces = [trace(text, span("student", "style", text), variant=text) for text in texts]
    run = write(tmp_path / "run", [problem(text, text) for text in texts], traces)
    with Index(IN_MEMORY) as index:
        update(index, run)
        assert sorted(index.variants()) == sorted(texts)
        for text in texts:
            (facts,) = index.of_problem(text)
            assert (facts.problem, facts.variant) == (text, text)
            assert ids(index.listing(Chosen(variant=(text,)), 10)) == [text]


def test_follows_a_run(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [problem("a")], [trace("a", span("student", "style", "first words"), status=None)])
    with Index(tmp_path / "index") as index:
        update(index, run)
        assert not keys(index.listing(Chosen(search="words"), 10))
        write(run, [problem("b", "another one")], [trace("b", span("teacher", "thinking", "more words"))])
        update(index, run)
        assert keys(index.listing(Chosen(search="words"), 10)) == {Key("b", "tessy", 0)}
        with Store.open(run) as store:
            store.add_verdicts(Key("b", "tessy", 0), [Verdict("exact", "1", Label.WRONG)])
        update(index, run)
        assert keys(index.listing(Chosen(verdict=("wrong",)), 10)) == {Key("b", "tessy", 0)}


def test_totals_are_those_of_the_run_and_of_no_other_moment(run: Path, index: Index, traces: list[Trace]) -> None:
    totals = index.totals()
    assert totals is not None
    assert totals.traces == len(traces) and totals.problems == len({each.key.problem for each in traces})
    with Reader(run) as reader:
        assert totals.change == reader.change()
        assert {Status(name) if name else None: count for name, count in totals.counts.items()} == reader.counts()


def test_totals_are_unknown_until_the_index_is_whole(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [problem("a"), problem("b")], [trace("a")])
    with Index(tmp_path / "index") as index:
        update(index, run)
        assert index.totals() is not None
        write(run, [], [trace("b"), trace("b", sample=1, status=None)])
        with Reader(run) as reader:
            assert index.update(reader)
            assert index.totals() is None
            assert (index.listing(Chosen(), 10).problems, index.listing(Chosen(), 10).traces) == (2, 3)
            assert not index.update(reader)
        totals = index.totals()
        assert totals is not None and totals.counts == {"complete": 2, "": 1} and totals.problems == 2


def test_words_of_a_trace_that_was_written_anew_are_its_new_ones(tmp_path: Path) -> None:
    run = write(tmp_path / "run", [problem("a")], [trace("a", span("student", "style", "old"), status=Status.FAILED)])
    with Index(IN_MEMORY) as index:
        update(index, run)
        with Store.open(run) as store:
            assert store.pending("tessy", retry=[Status.FAILED])
        write(run, [], [trace("a", span("student", "style", "new"))])
        update(index, run)
        assert not index.listing(Chosen(search="old"), 10).traces
        assert index.listing(Chosen(search="new"), 10).traces


def test_another_run_in_the_same_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Index(tmp_path / "index") as index:
        update(index, write(run, [problem("a"), problem("b")], [trace("a"), trace("b")]))
        shutil.rmtree(run)
        update(index, write(run, [problem("c")], [trace("c")]))
        assert ids(index.listing(Chosen(), 10)) == ["c"]


def test_it_is_kept_beside_other_caches_and_never_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = write(tmp_path / "run", [problem("a")], [trace("a")])
    before = {path.name: path.read_bytes() for path in run.iterdir() if not path.name.endswith("-shm")}
    place = place_of(run)
    with Index(place) as index:
        update(index, run)
    assert place.is_relative_to(tmp_path / "cache")
    after = {path.name: path.read_bytes() for path in run.iterdir() if not path.name.endswith("-shm")}
    assert {name: data for name, data in after.items() if data} == {name: data for name, data in before.items() if data}


def test_neighbours(index: Index, traces: list[Trace]) -> None:
    numbers = sorted({int(each.key.problem[1:]) for each in traces})
    first, second, *_, last = numbers
    assert index.beside(f"p{first}") == (None, f"p{second}")
    assert index.beside(f"p{last}")[1] is None
