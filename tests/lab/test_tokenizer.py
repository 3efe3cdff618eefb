"""The pair's tokenizer: a token a word, any text back, Qwen3's prompt."""

from __future__ import annotations

import json
import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from antiphon.engine.model_files import EMBEDDED, ModelFiles
from antiphon.lab import tokenizer as lab_tokenizer
from antiphon.lab.arithmetic import Arithmetic
from antiphon.lab.curriculum import lessons
from antiphon.lab.language import MANNERS, told, vocabulary
from antiphon.lab.tasks import FAMILIES, draw

FOLDERS = [ModelFiles.read(name).path for name in EMBEDDED]
SHIPPED = Tokenizer.from_file(str(FOLDERS[0] / "tokenizer.json"))


def ids(text: str) -> list[int]:
    return SHIPPED.encode(text, add_special_tokens=False).ids


def test_it_is_built_the_same_as_it_ships(tmp_path):
    lab_tokenizer.save(lab_tokenizer.build(), tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        for folder in FOLDERS:
            assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_every_word_and_sign_is_one_token():
    assert [word for word in vocabulary() if len(ids(word)) != 1] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_of_a_thinking_is_whole_tokens(family):
    rng = random.Random(0)
    for task in islice(draw(family, rng, held_out=True), 20):
        for manner in MANNERS.values():
            for span in told(*task.solve(Arithmetic()), manner, rng):
                if span.kind == "style":
                    letters = [piece for piece in SHIPPED.encode(span.text).tokens if piece.strip("Ġ").isalpha()]
                    assert len(letters) == len(span.text.split())


@given(st.text())
def test_any_text_comes_back(text):
    assert SHIPPED.decode(ids(text), skip_special_tokens=False) == text


def test_all_bytes_and_markers_come_back():
    text = "".join(map(chr, range(0x250))) + "<think>\n\n</think><|im_end|> 😀 e\u0301"
    assert SHIPPED.decode(ids(text), skip_special_tokens=False) == text


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_a_trace_encodes_as_its_stretches_do(role):
    for lesson in islice(lessons(role, 0), 300):
        apart = [token for stretch in lesson for token in ids(stretch.text)]
        assert apart == ids("".join(stretch.text for stretch in lesson))


CONVERSATIONS = [
    [{"role": "user", "content": "What is 346 times 7?"}],
    [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a\n\n"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nx\n</think>\n\ny"}],
    [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\nx\n</think>\n\ny"},
        {"role": "user", "content": "What is <think>?"},
    ],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "z", "reasoning_content": "\nr\n"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "no thinking"}],
]


def test_prompts_are_qwen3s(shared):
    ours, qwen3 = map(AutoTokenizer.from_pretrained, (FOLDERS[0], shared / "tokenizers" / "qwen3"))
    renderings = json.loads((shared / "tokenizers" / "renderings.json").read_text("utf-8"))
    for messages in [*CONVERSATIONS, *renderings["conversations"].values()]:
        for settings in (
            {},
            {"add_generation_prompt": True},
            {"add_generation_prompt": True, "enable_thinking": False},
        ):
            expected = qwen3.apply_chat_template(messages, tokenize=False, **settings)
            assert ours.apply_chat_template(messages, tokenize=False, **settings) == expected
