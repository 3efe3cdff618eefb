"""Models with random weights and a vocabulary of a few hundred tokens, made in moments."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from antiphon.engine.tokenizer_json import TokenizerVocabulary

CONTROLS = ("<|start|>", "<|end|>", "<think>")
_WORDS = [
    "the sum of 12 and 7 is 19",
    "wait, let me check that",
    "naïve café 東京 🙂",
    "so we add the carry\n\n",
    "def f(x):",
]


@cache
def tokenizer_json(start: str | None = None) -> str:
    """A byte-level BPE trained on a few lines, with control tokens; `start` is written before every text."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r" ?\p{L}+|\p{N}|\s+|[^\s\p{L}\p{N}]+"), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_WORDS * 4, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=token != "<think>") for token in CONTROLS])
    if start is not None:
        token = (start, tokenizer.token_to_id(start))
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A", special_tokens=[token])
    return tokenizer.to_str()


def config(architecture: str, vocabulary: int) -> Any:
    """Four small layers of `qwen3`, `llama`, `gemma3` (sliding windows of 8), `gemma2` (bounded scores too) or
    `gpt-oss` (sinks)."""
    import transformers

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    }
    if architecture == "qwen3":
        return transformers.Qwen3Config(**shape)
    if architecture == "llama":
        return transformers.LlamaConfig(**shape)
    if architecture == "gemma3":
        kinds = ["sliding_attention", "full_attention"] * 2
        return transformers.Gemma3TextConfig(**shape, sliding_window=8, layer_types=kinds)
    if architecture == "gemma2":
        return transformers.Gemma2Config(**shape, sliding_window=8, attn_logit_softcapping=2.0)
    return transformers.GptOssConfig(
        **shape, sliding_window=8, num_local_experts=2, num_experts_per_tok=1, rope_scaling={"rope_type": "default"}
    )


def save(
    folder: Path,
    architecture: str = "qwen3",
    *,
    start: str | None = None,
    template: str | None = None,
    broken_text: bool = False,
) -> Path:
    """Writes a model folder as transformers would. It has more output rows than tokens, as real models have.

    Args:
        start: the token that its tokenizer writes before every text.
        broken_text: the model writes any bytes, mostly not UTF-8; else it writes ASCII and control tokens only.
    """
    import torch
    import transformers

    text = tokenizer_json(start)
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config(architecture, 340))
    vocabulary = TokenizerVocabulary.from_json(text)
    beyond = [
        token for token in range(340) if not (token in vocabulary.tokens and vocabulary.bytes_of(token).isascii())
    ]
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(4)  # so that what comes next depends on what came before
        if not broken_text:
            model.get_output_embeddings().weight[beyond] = 0
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(text, "utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder
