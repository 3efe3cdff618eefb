"""What a GGUF file says besides its weights: its metadata, and its vocabulary as a `tokenizer.json` would say it.

The format is that of ggml's `docs/gguf.md`: magic, version, counts, then typed key-value pairs, little-endian. A file
names the way its text is split before merging (`tokenizer.ggml.pre`) without describing it; the ways known here are
those of `_SPLITS`. An unknown one is refused: text split in another way gives ids the model was not trained on.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.errors import ModelError

_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING, _ARRAY = 8, 9

_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # of `tokenizer.ggml.token_type`

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CASED_WORDS = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
_GPT2 = {**_BYTES, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}


def _split(pattern: str) -> tuple[Mapping[str, Any], ...]:
    return ({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, _BYTES)


_SPLITS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "gpt-2": (_GPT2,),
    "smollm": (_DIGITS, _GPT2),
    "starcoder": (_DIGITS, _GPT2),
    "refact": (_DIGITS, _GPT2),
    "qwen2": _split(_WORDS % ""),
    "deepseek-r1-qwen": _split(_WORDS % ""),
    "llama-bpe": _split(_WORDS % "{1,3}"),
    "llama3": _split(_WORDS % "{1,3}"),
    "gpt-4o": _split(_CASED_WORDS),
}
_NFC = frozenset({"qwen2", "deepseek-r1-qwen"})
_WHOLE_WORDS_FIRST = frozenset({"llama-bpe", "llama3", "gpt-4o"})  # a word that is a token is not merged from its parts
_STARTED = frozenset({"llama-bpe", "llama3"})  # a start token where the file does not say


def read_metadata(path: Path) -> dict[str, Any]:
    """The key-value pairs of a GGUF file; arrays as lists. Weights are not read.

    Raises:
        ModelError: not a GGUF file; give one, or the folder of a model of version 2 or 3, or one that breaks off.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise ModelError(f"{path}: not a GGUF file; give one, or the folder of a model")
            version, _, count = struct.unpack_from("<IQQ", data, 4)
            if version not in (2, 3):
                raise ModelError(f"{path}: GGUF version {version}; 2 and 3 can be read; convert it anew")
            at = 24
            metadata = {}
            for _ in range(count):
                key, at = _value(data, at, _STRING)
                (kind,) = struct.unpack_from("<I", data, at)
                metadata[key], at = _value(data, at + 4, kind)
            return metadata
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except (struct.error, KeyError, IndexError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: the GGUF file is damaged or incomplete; get it again") from None


def _value(data: mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    """One value of a type of the format, and where the next begins."""
    if kind == _STRING:
        (length,) = struct.unpack_from("<Q", data, at)
        end = at + 8 + length
        if end > len(data):
            raise IndexError
        return data[at + 8 : end].decode("utf-8"), end
    if kind != _ARRAY:
        scalar = _SCALARS[kind]
        return scalar.unpack_from(data, at)[0], at + scalar.size
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if inner in _SCALARS:
        code = _SCALARS[inner].format.lstrip("<")
        return list(struct.unpack_from(f"<{count}{code}", data, at)), at + count * _SCALARS[inner].size
    values = []
    for _ in range(count):
        value, at = _value(data, at, inner)
        values.append(value)
    return values, at


def tokenizer_specification(metadata: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The vocabulary of a GGUF file in the form of a `tokenizer.json` (see `antiphon.engine.tokenizer_json`).

    Args:
        metadata: from `read_metadata`.
        source: names the file in errors.

    Raises:
        ModelError: no vocabulary, or one of a kind or with a splitter that is not known here.
    """
    tokens = metadata.get("tokenizer.ggml.tokens")
    kind = metadata.get("tokenizer.ggml.model")
    if not tokens or kind not in ("gpt2", "llama"):
        raise ModelError(f"{source}: its vocabulary ({kind or 'none'}) cannot be used; use the model's folder instead")
    gemma = str(metadata.get("general.architecture", "")).startswith("gemma")
    if gemma:  # spells its runs of blanks as blanks, unlike all its other tokens
        tokens = [string if string.strip(" ") else "▁" * len(string) for string in tokens]
    types = metadata.get("tokenizer.ggml.token_type") or [1] * len(tokens)
    added = [
        {"id": token, "content": string, "special": sort == _CONTROL, **_WHOLE}
        for token, (string, sort) in enumerate(zip(tokens, types, strict=True))
        if sort in (_CONTROL, _USER_DEFINED, _UNKNOWN)
    ]
    splitter = metadata.get("tokenizer.ggml.pre", "default")
    add_start = metadata.get("tokenizer.ggml.add_bos_token", kind == "llama" or splitter in _STARTED)
    start = metadata.get("tokenizer.ggml.bos_token_id") if add_start else None
    specification: dict[str, Any] = {"added_tokens": added, "post_processor": _starting(start)}
    if kind == "llama":
        return specification | _sentencepiece(tokens, metadata.get("tokenizer.ggml.scores"), gemma)
    if splitter not in _SPLITS:
        raise ModelError(
            f"{source}: how its vocabulary splits text ({splitter!r}) is not known here; use the model's folder instead"
        )
    return specification | {
        "normalizer": {"type": "NFC"} if splitter in _NFC else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(_SPLITS[splitter])},
        "decoder": _BYTES,
        "model": {
            "type": "BPE",
            "vocab": {string: token for token, string in enumerate(tokens)},
            "merges": metadata.get("tokenizer.ggml.merges", []),
            "ignore_merges": splitter in _WHOLE_WORDS_FIRST,
        },
    }


_WHOLE = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


def _starting(start: int | None) -> dict[str, Any] | None:
    if start is None:
        return None
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "start", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {"start": {"id": "start", "ids": [start], "tokens": ["start"]}},
    }


def _sentencepiece(tokens: list[str], scores: list[float] | None, in_order: bool) -> dict[str, Any]:
    """SentencePiece says no merges: any two pieces that make a third may merge, the best-scored third first.

    Args:
        in_order: earlier tokens are better whatever their scores (Gemma).
    """
    vocabulary = {string: token for token, string in enumerate(tokens)}
    ranked = range(len(tokens))
    if not in_order and scores:
        ranked = sorted(ranked, key=lambda token: -scores[token])  # type: ignore[assignment]
    merges = []
    for token in ranked:
        string = tokens[token]
        pairs = [(string[:cut], string[cut:]) for cut in range(1, len(string))]
        found = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
        merges += sorted(found, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    return {
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "vocab": vocabulary,
            "merges": merges,
            "byte_fallback": True,
            "fuse_unk": True,
            "unk_token": None,
        },
    }
