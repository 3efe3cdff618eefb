"""Pre-training, a few steps of it: what is learned and what is not, and a folder that loads."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from antiphon.lab import FAMILIES
from antiphon.lab import tokenizer as lab_tokenizer
from antiphon.lab.curriculum import lessons
from antiphon.lab.pretrain import IGNORED, Recipe, batches, make, train

TINY = Recipe(hidden=32, layers=1, inner=32, steps=3, batch=4)


@pytest.fixture(scope="module")
def vocabulary():
    return lab_tokenizer.build()


def test_a_batch_learns_what_its_lessons_say(vocabulary):
    size = 8
    pad = vocabulary.token_to_id(lab_tokenizer.PAD)
    rows = {}
    for ids, labels in islice(batches("student", 5, size, vocabulary), 16):
        for row, learned in zip(ids.tolist(), labels.tolist(), strict=True):
            rows[tuple(token for token in row if token != pad)] = learned
    stream = lessons("student", 5)
    for _ in range(16 * size):
        lesson = next(stream)
        known, expected = [], []
        for stretch in lesson:
            ids = vocabulary.encode(stretch.text, add_special_tokens=False).ids
            known += ids
            expected += ids if stretch.learned else [IGNORED] * len(ids)
        found = rows[tuple(known)]
        assert found[: len(known)] == expected
        assert set(found[len(known) :]) <= {IGNORED}


def test_the_same_seed_gives_the_same_weights(vocabulary):
    one, two = (train("teacher", TINY, 7, vocabulary, lambda _: None).state_dict() for _ in range(2))
    other = train("teacher", TINY, 8, vocabulary, lambda _: None).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_model_is_made_and_loads(tmp_path):
    said: list[str] = []
    make("student", tmp_path, 0, TINY, checked=2, say=said.append)
    assert "step 3/3" in said[0]
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.dtype == torch.float32
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.vocab_size == len(tokenizer)
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "license: apache-2.0" in card
    assert all(f"| {family} |" in card for family in FAMILIES)
