"""The small predictor: its verdicts, its folder, what it costs."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.boundary import load
from antiphon.boundary.default.folder import SHIPPED, read_folder
from antiphon.boundary.default.network import TOP
from antiphon.boundary.words import words
from antiphon.errors import ModelError, SettingsError
from antiphon.trace import Author
from tests.boundary import small
from tests.boundary.contract import check_contract, traces

PREDICTORS = {lookahead: small.predictor(lookahead, seed) for lookahead, seed in ((0, 4), (1, 0), (2, 0), (4, 4))}
MEGABYTE = 1 << 20


@pytest.mark.parametrize("lookahead", PREDICTORS)
@given(trace=traces(), random=st.randoms(use_true_random=False))
def test_contract(lookahead, trace, random):
    assert PREDICTORS[lookahead].lookahead == lookahead
    check_contract(PREDICTORS[lookahead], trace, random)


@given(trace=traces(), random=st.randoms(use_true_random=False))
def test_the_shipped_one_keeps_the_contract(trace, random):
    check_contract(load("default"), trace, random)


def prose(count: int, seed: int = 0) -> str:
    chance = Random(seed)
    some = ["Okay,", "so", "let", "me", "check", "3", "+", "4", "`x", "y`", "Wait,", "the", "sum", "is", "196."]
    return "".join(chance.choice(some) + chance.choice([" ", " ", " ", "\n", "\n\n"]) for _ in range(count))


@pytest.mark.parametrize("seed", range(6))
def test_long_texts_in_any_cutting_with_rollbacks_of_any_depth(seed):
    predictor, text, chance = PREDICTORS[2], prose(3_000), Random(seed)
    session = predictor.session(Author.TEACHER)
    expected = session.feed(text) + session.finish()
    assert {verdict.style for verdict in expected} == {True, False}
    session, found, position = predictor.session(Author.TEACHER), [], 0
    while position < len(text):
        piece = text[position : position + chance.choice([1, 6, 40, 300, 5_000])]
        found += session.feed(piece)
        position += len(piece)
        if chance.random() < 0.2:
            position = chance.choice([chance.randint(0, position), max(0, position - chance.randint(0, 40))])
            session.rollback(position)
            found = [verdict for verdict in found if verdict.end <= position]
    assert found + session.finish() == expected


def test_a_higher_threshold_finds_less_style():
    text = prose(400)

    def style(threshold: float) -> int:
        session = small.predictor(2, threshold=threshold).session(Author.STUDENT)
        return sum(verdict.style for verdict in session.feed(text) + session.finish())

    assert style(0.9) < style(0.5) < style(0.1)


def test_equal_ids_mean_equal_verdicts():
    assert load("default").id == load("default?threshold=0.5").id == load(str(SHIPPED)).id
    assert load("default?threshold=0.6").id != load("default").id


def test_sums_stay_where_floats_are_exact():
    arrays = read_folder("default").arrays
    for name in ("window", "look", "out"):
        assert abs(arrays[name].astype(int)).sum(axis=0).max() * TOP < 1 << 24
    most = 9 * max(abs(arrays["embedding"].astype(int)).max(), abs(arrays["places"].astype(int)).max())
    assert most <= len(arrays["squash"]) // 2


def test_it_is_small_and_needs_no_torch():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 5_000_000
    code = (
        "import sys, antiphon.boundary as b; s = b.load('default').session('student'); s.feed('Okay, so 3. '); "
        "s.finish(); print(sorted({'torch', 'transformers', 'tokenizers', 'pyarrow'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_its_memory_does_not_grow_by_much():
    text, session = prose(20_000), PREDICTORS[2].session(Author.STUDENT)
    session.feed(text)
    tracemalloc.start()
    for _ in range(3):
        for begin in range(0, len(text), 8_000):
            session.feed(text[begin : begin + 8_000])
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held / (3 * len(words(text))) < 100  # bytes a word: a million take less than 100 MB


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ({"version": 2}, "made by a newer version of antiphon (form 2); update this one"),
        ({"version": None}, "made by a newer version"),
        ({"kind": "oracle"}, "a predictor of the kind 'oracle', which this version does not know"),
    ],
)
def test_folders_of_other_versions_and_kinds(tmp_path, says, complaint):
    with pytest.raises(ModelError) as caught:
        load(str(small.write(tmp_path, says=says)))
    assert complaint in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "torn", "not numpy", "an array is missing", "another shape"])
def test_damaged_weights(tmp_path, damage):
    weights = small.arrays(2)
    if damage == "an array is missing":
        del weights["look_bias"]
    elif damage == "another shape":
        weights["window"] = weights["window"][:-3]
    folder = small.write(tmp_path, weights=weights)
    file = folder / "weights.npz"
    if damage == "missing":
        file.unlink()
    elif damage == "torn":
        file.write_bytes(file.read_bytes()[:-2_000])
    elif damage == "not numpy":
        file.write_text("hello")
    with pytest.raises(ModelError) as caught:
        load(str(folder))
    assert "weights.npz" in str(caught.value)


@pytest.mark.parametrize("spec", ["default?threshold=2", "default?threshold", "default?treshold=0.4"])
def test_options_that_are_not_understood(spec):
    with pytest.raises(SettingsError):
        load(spec)
