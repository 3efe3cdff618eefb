"""GGUF files: what is read of them without their weights, and a whole one in process."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.dialect import Part
from antiphon.engine.gguf import read_metadata, tokenizer_specification
from antiphon.engine.model_files import ModelFiles
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.errors import ModelError
from antiphon.settings import Sampling
from tests.engine.tiny import CONTROLS, tokenizer_json

TINY: Mapping[str, Any] = json.loads(tokenizer_json())


def tokens() -> dict[str, Any]:
    """The tiny vocabulary as a GGUF file says it."""
    strings = TINY["model"]["vocab"] | {entry["content"]: entry["id"] for entry in TINY["added_tokens"]}
    ordered = sorted(strings, key=lambda string: strings[string])
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": ordered,
        "tokenizer.ggml.token_type": [3 if string in CONTROLS else 1 for string in ordered],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in TINY["model"]["merges"]],
        "tokenizer.ggml.bos_token_id": strings["<|start|>"],
    }


def encoded(value: Any) -> bytes:
    """A value with its type, as GGUF writes it."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<IQ", 8, len(value.encode())) + value.encode()
    items = [encoded(item) for item in value]
    return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(item[4:] for item in items)


def file_of(metadata: Mapping[str, Any]) -> bytes:
    pairs = [encoded(key)[4:] + encoded(value) for key, value in metadata.items()]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs)


def test_metadata_is_read_as_written(tmp_path: Path) -> None:
    metadata = {"a": 1, "b": 2.5, "c": True, "d": "東京 \n", "e": ["x", "yz"], "f": [1, 2, 3], "g": [[1, 2], [3]]}
    (tmp_path / "m.gguf").write_bytes(file_of(metadata))
    assert read_metadata(tmp_path / "m.gguf") == metadata


@given(st.data())
def test_a_damaged_file_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = file_of({"general.architecture": "llama", "list": ["a", "b"], "number": 7})
    cut = data.draw(st.integers(1, len(whole) - 1))
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    path.write_bytes(whole[:cut])
    with pytest.raises(ModelError, match=r"m\.gguf: (not a GGUF file|the GGUF file is damaged)"):
        read_metadata(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with pytest.raises(ModelError, match="cannot be read"):
        read_metadata(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 1, 0, 0))
    with pytest.raises(ModelError, match="version 1"):
        read_metadata(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="damaged"):
        read_metadata(path)


def vocabulary(**changes: Any) -> TokenizerVocabulary:
    metadata = tokens() | {key.replace("__", "."): value for key, value in changes.items()}
    return TokenizerVocabulary(tokenizer_specification(metadata, "m.gguf"), "m.gguf")


def test_the_vocabulary_is_the_one_of_the_tokenizer_json() -> None:
    from_gguf, own = vocabulary(), TokenizerVocabulary.from_json(tokenizer_json())
    assert from_gguf.controls == own.controls
    for text in ("the sum of 12", "wait, naïve café 東京 🙂\n\n", "<|end|>"):
        ids = from_gguf.encode(text)
        assert from_gguf.decode(ids) == text == own.decode(ids)


def test_the_named_splitter_is_used() -> None:
    digits = vocabulary().encode("2025")
    assert len(digits) == 4
    merged = tokens() | {"tokenizer.ggml.pre": "gpt-2"}
    merged["tokenizer.ggml.tokens"] = [*merged["tokenizer.ggml.tokens"], "20"]
    merged["tokenizer.ggml.token_type"] = [*merged["tokenizer.ggml.token_type"], 1]
    merged["tokenizer.ggml.merges"] = ["2 0", *merged["tokenizer.ggml.merges"]]
    together = TokenizerVocabulary(tokenizer_specification(merged, "m.gguf"))
    assert len(together.encode("2025")) == 3
    merged["tokenizer.ggml.pre"] = "smollm"
    apart = TokenizerVocabulary(tokenizer_specification(merged, "m.gguf"))
    assert len(apart.encode("2025")) == 4


@pytest.mark.parametrize(("name", "folder"), [("qwen2", "qwen3"), ("gpt-4o", "gpt-oss")])
def test_splitters_are_those_of_the_real_tokenizers(shared: Path, name: str, folder: str) -> None:
    real = json.loads((shared / "tokenizers" / folder / "tokenizer.json").read_text("utf-8"))
    ours = tokenizer_specification(tokens() | {"tokenizer.ggml.pre": name}, "m.gguf")
    split, bytes_step = ours["pre_tokenizer"]["pretokenizers"]
    assert split == real["pre_tokenizer"]["pretokenizers"][0]
    assert not bytes_step["use_regex"]
    assert ours["normalizer"] == real["normalizer"]
    assert ours["model"]["ignore_merges"] == real["model"]["ignore_merges"]


def test_a_start_token_only_where_the_file_wants_one() -> None:
    assert vocabulary().start_id is None
    assert vocabulary(tokenizer__ggml__add_bos_token=True).start_id == tokens()["tokenizer.ggml.bos_token_id"]
    assert vocabulary(tokenizer__ggml__pre="llama-bpe").start_id is not None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tokenizer.ggml.pre": "novel"}, "novel"),
        ({"tokenizer.ggml.model": "rwkv"}, "rwkv"),
        ({"tokenizer.ggml.tokens": []}, "cannot be used"),
    ],
)
def test_vocabularies_that_are_not_known_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        tokenizer_specification(tokens() | change, "m.gguf")


def test_sentencepiece_merges_follow_the_scores() -> None:
    strings = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "c", "ab", "bc", "abc"]
    scores = [0.0] * 257 + [-9.0, -9.0, -9.0, -9.0, -5.0, -2.0, -7.0]
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": strings,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": [2] + [6] * 256 + [1] * 7,
        "tokenizer.ggml.bos_token_id": 0,
    }
    words = TokenizerVocabulary(tokenizer_specification(metadata, "m.gguf"))
    assert words.start_id == 0
    assert [words.bytes_of(token) for token in words.encode(" abc")] == [b" ", b"abc"]
    assert [words.bytes_of(token) for token in words.encode("abb")] == [b"ab", b"b"]
    assert words.decode(words.encode("é ab")) == "é ab"
    in_order = metadata | {"general.architecture": "gemma3", "tokenizer.ggml.scores": [0.0] * 264}
    words = TokenizerVocabulary(tokenizer_specification(in_order, "m.gguf"))
    assert [words.bytes_of(token) for token in words.encode("abc")] == [b"abc"]


def test_a_whole_file_is_read_without_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "tiny-Q4.gguf"
    path.write_bytes(file_of(tokens() | {"tokenizer.chat_template": "{{ messages }}", "llama.block_count": 2}))
    files = ModelFiles.read(str(path))
    assert files.name == "tiny-Q4.gguf"
    assert files.chat_template == "{{ messages }}"
    assert files.is_gguf
    other = file_of(tokens() | {"tokenizer.chat_template": "{{ messages }}", "llama.block_count": 3})
    path.write_bytes(other)
    assert ModelFiles.read(str(path)).identity != files.identity


def test_a_gguf_file_writes_as_transformers_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch, which is not installed")
    transformers = pytest.importorskip("transformers", reason="needs transformers, which is not installed")
    gguf = pytest.importorskip("gguf", reason="needs gguf, which is not installed")
    pytest.importorskip("accelerate", reason="needs accelerate, which is not installed")
    from antiphon.engine.local import LocalEngine

    path = tmp_path / "tiny.gguf"
    _write_llama(path, gguf, torch)
    engine = LocalEngine.load(str(path), device="cpu")

    async def script() -> list[int]:
        sequence = await engine.open([Part("the sum of 12")])
        ids: list[int] = []
        async for chunk in sequence.stream(Sampling(temperature=0), 6, ()):
            ids += [token for piece in chunk.pieces for token in piece.ids]
        return ids

    plain = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    )
    written = list(engine.vocabulary.encode("the sum of 12"))
    start = len(written)
    with torch.inference_mode():
        for _ in range(6):
            written.append(int(plain(torch.tensor([written]), use_cache=False).logits[0, -1].argmax()))
    ids = asyncio.run(script())
    assert ids
    assert ids == written[start : start + len(ids)]


def _write_llama(path: Path, gguf: Any, torch: Any) -> None:
    """Two random layers and the tiny vocabulary; it writes ASCII only."""
    words = vocabulary()
    size = words.size
    torch.manual_seed(3)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    for add, value in (
        (writer.add_context_length, 128),
        (writer.add_embedding_length, 32),
        (writer.add_block_count, 2),
        (writer.add_feed_forward_length, 48),
        (writer.add_head_count, 4),
        (writer.add_head_count_kv, 2),
        (writer.add_layer_norm_rms_eps, 1e-6),
        (writer.add_rope_freq_base, 10000.0),
        (writer.add_rope_dimension_count, 8),
        (writer.add_vocab_size, size),
        (writer.add_tokenizer_model, "gpt2"),
        (writer.add_tokenizer_pre, "smollm"),
        (writer.add_token_list, tokens()["tokenizer.ggml.tokens"]),
        (writer.add_token_types, tokens()["tokenizer.ggml.token_type"]),
        (writer.add_token_merges, tokens()["tokenizer.ggml.merges"]),
        (writer.add_bos_token_id, tokens()["tokenizer.ggml.bos_token_id"]),
        (writer.add_eos_token_id, tokens()["tokenizer.ggml.bos_token_id"]),
    ):
        add(value)
    head = torch.randn(size, 32)
    head[[token for token in range(size) if not words.bytes_of(token).isascii()]] = 0
    shapes = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32)}
    shapes |= {"ffn_gate": (48, 32), "ffn_up": (48, 32), "ffn_down": (32, 48)}
    tensors = {"token_embd.weight": torch.randn(size, 32), "output.weight": head, "output_norm.weight": torch.ones(32)}
    for layer in range(2):
        for name, shape in shapes.items():
            tensors[f"blk.{layer}.{name}.weight"] = torch.randn(shape) * 0.2
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}.weight"] = torch.ones(32)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
