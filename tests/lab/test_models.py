"""The weights that ship: small, ordinary, and able."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from antiphon.engine.model_files import EMBEDDED, ModelFiles
from antiphon.lab import is_right, problems

FOLDERS = {name: ModelFiles.read(name).path for name in EMBEDDED}


def test_they_are_under_12_megabytes_together():
    assert sum(file.stat().st_size for folder in FOLDERS.values() for file in folder.iterdir()) < 12e6


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_is_an_ordinary_qwen3_folder_with_a_card(name):
    folder = FOLDERS[name]
    assert json.loads((folder / "config.json").read_text("utf-8"))["architectures"] == ["Qwen3ForCausalLM"]
    assert f"# {name}" in (folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_solves_easy_problems_in_its_own_manner(name):
    tokenizer = AutoTokenizer.from_pretrained(FOLDERS[name])
    model = AutoModelForCausalLM.from_pretrained(FOLDERS[name]).eval()
    assert model.dtype == torch.float32
    for problem in problems(3, seed=0, family="sorting"):
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": problem["problem"]}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        written = model.generate(
            **prompt, max_new_tokens=100, do_sample=False, temperature=None, top_p=None, top_k=None
        )
        reply = tokenizer.decode(written[0, prompt["input_ids"].shape[1] :])
        thinking, _, answer = reply.removesuffix("<|im_end|>").partition("\n</think>\n\n")
        assert thinking.startswith("<think>\n")
        assert is_right(problem, answer), reply
