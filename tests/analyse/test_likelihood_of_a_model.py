"""Likelihood under a real model in this process is the loss that transformers computes on the same conversation."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.analyse.likelihood import measures_of
from antiphon.analyse.scores import Scored
from antiphon.analyse.scoring import Model, Scorer
from antiphon.analyse.text import Stretch, Text
from antiphon.engine.local import LocalEngine
from antiphon.engine.model_files import ModelFiles
from antiphon.settings import load
from antiphon.synth.cast import find_voice
from tests.analyse.runs import ANSWER, CAPABILITY, STUDENT, STYLE, TEACHER

pytestmark = pytest.mark.slow

ASKED = "What is 347 times 6?"
STRETCHES = (
    Stretch(STUDENT, STYLE, "okay, let me see"),
    Stretch(TEACHER, CAPABILITY, " units 7x6=42"),
    Stretch(STUDENT, STYLE, " so then\n"),
    Stretch(STUDENT, ANSWER, "I get 2082."),
)


async def scored() -> Scored:
    engine = LocalEngine.load("lab:student", device="cpu")
    voice = await find_voice(STUDENT, engine, load(None, {"student.model": "lab:student"}).student)
    (found,) = await Scorer(Model(voice)).score([Text("k", "p", ({"role": "user", "content": ASKED},), STRETCHES)])
    await engine.close()
    return found


def test_the_whole_is_the_loss_of_the_whole_and_the_parts_sum_to_it() -> None:
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder = ModelFiles.read("lab:student").path
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    prompt = f"<|im_start|>user\n{ASKED}<|im_end|>\n<|im_start|>assistant\n<think>\n"
    rest = "".join(stretch.text for stretch in STRETCHES[:-1]) + "</think>\n\nI get 2082.<|im_end|>"
    ids = [tokenizer(part, add_special_tokens=False).input_ids for part in (prompt, rest)]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    both = torch.tensor([[*ids[0], *ids[1]]])
    labels = both.clone()
    labels[:, : len(ids[0])] = -100
    with torch.inference_mode():
        loss = float(model(input_ids=both, labels=labels).loss)

    measures = measures_of(asyncio.run(scored()))
    nats, tokens = measures["whole response"]
    assert tokens == len(ids[1])
    assert nats / tokens == pytest.approx(loss, rel=1e-4)
    assert sum(over for name, (over, _) in measures.items() if "part of the whole" in name) == pytest.approx(nats)
