"""One of the embedded pair as a GGUF file, so that llama-server can serve it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType, get_tensor_name_map
from gguf.constants import MODEL_ARCH, MODEL_ARCH_NAMES
from safetensors.numpy import load_file


def write(folder: Path, file: Path) -> Path:
    """Writes a Qwen3 folder in float32. Its tokenizer must be Qwen2's in all but its words: byte-level BPE with the
    same way of splitting text, which a GGUF file can only name.

    The pair has no normaliser and Qwen2 has one (NFC), which llama.cpp leaves out too.
    """
    config = json.loads((folder / "config.json").read_text("utf-8"))
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    writer = GGUFWriter(file, MODEL_ARCH_NAMES[MODEL_ARCH.QWEN3])
    writer.add_name(folder.name)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])

    kinds = dict.fromkeys(tokenizer["model"]["vocab"], TokenType.NORMAL)
    ids = dict(tokenizer["model"]["vocab"])
    for added in tokenizer["added_tokens"]:
        ids[added["content"]] = added["id"]
        kinds[added["content"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    tokens = sorted(ids, key=ids.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds[token] for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_add_bos_token(False)
    writer.add_eos_token_id(ids[settings["eos_token"]])
    writer.add_pad_token_id(ids[settings["pad_token"]])
    writer.add_chat_template(settings["chat_template"])

    names = get_tensor_name_map(MODEL_ARCH.QWEN3, config["num_hidden_layers"])
    for name, weights in load_file(folder / "model.safetensors").items():
        called = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(called, weights.astype(np.float32), raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
