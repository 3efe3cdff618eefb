"""How much memory a model takes, known from its files without loading it."""

from __future__ import annotations

import glob
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.engine.gguf import read_metadata
from antiphon.errors import ModelError

_CACHED = 2  # bytes a server keeps per number of keys and values
_BITS = {0: 32.0, 1: 16.0, 32: 16.0, 7: 8.5, 18: 6.6}  # of `general.file_type`, llama.cpp's numbers; others have fewer
_FEW = 4.8  # bits per weight of a 4-bit version: its scales, and layers kept wider


@dataclass(frozen=True, slots=True)
class Model:
    """A model's files as a server would hold them."""

    name: str
    """The folder's or file's own name."""

    path: Path
    weights: int
    """Bytes."""

    token: int
    """Bytes of keys and values per token. Layers with a sliding window count in full: a rollback needs them whole."""

    context: int | None
    """The longest sequence it was made for, in tokens."""

    bits: float
    """Per weight."""

    sliding: bool
    """Some layers see a sliding window only."""

    template: bool
    """It brings a chat template."""

    @property
    def few_bits(self) -> int | None:
        """Bytes of the weights of a 4-bit version; None where it is hardly smaller."""
        return int(self.weights * _FEW / self.bits) if self.bits > 6 else None


def of_gguf(path: Path) -> Model:
    """Reads a GGUF file, or all parts of one by the name of its first (`-00001-of-00003.gguf`).

    Raises:
        ModelError: not a GGUF file, or one without the shape of a transformer.
    """
    about = read_metadata(path)
    kind = about.get("general.architecture", "")

    def number(key: str, default: int | None = None) -> int:
        value = about.get(f"{kind}.{key}", default)
        if not isinstance(value, int):
            raise ModelError(f"{path}: its {kind or 'unnamed'} architecture says no {key}")
        return value

    layers, heads = number("block_count"), about.get(f"{kind}.attention.head_count")
    shared = about.get(f"{kind}.attention.head_count_kv", heads)
    each = [shared] * layers if isinstance(shared, int) else list(shared or ())
    width = number("embedding_length") // max(1, heads if isinstance(heads, int) else max(heads or [1]))
    both = number("attention.key_length", width) + number("attention.value_length", width)
    return Model(
        name=path.resolve().name,
        path=path,
        weights=sum(part.stat().st_size for part in _parts(path)),
        token=sum(each) * both * _CACHED,
        context=about.get(f"{kind}.context_length"),
        bits=_BITS.get(about.get("general.file_type", 1), 4.0),
        sliding=bool(about.get(f"{kind}.attention.sliding_window")),
        template="tokenizer.chat_template" in about,
    )


def _parts(path: Path) -> list[Path]:
    split = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.gguf", path.name)
    return sorted(path.parent.glob(f"{glob.escape(split[1])}-?????-of-{split[2]}.gguf")) if split else [path]


def of_folder(folder: Path) -> Model:
    """Reads a Hugging Face folder: `config.json` and the headers of its `*.safetensors` (or the sizes of its `*.bin`).

    Weights wider than 16 bits count as 16, which is how servers load them.

    Raises:
        ModelError: no configuration or weights, or ones that cannot be read.
    """
    outer = _json(folder / "config.json")
    config = {**outer, **outer["text_config"]} if isinstance(outer.get("text_config"), dict) else outer
    try:
        layers = config.get("layer_types") or ["full_attention"] * config["num_hidden_layers"]
        heads = config["num_attention_heads"]
        if config.get("kv_lora_rank"):  # latent attention (DeepSeek): one compressed row for all heads
            row = config["kv_lora_rank"] + config.get("qk_rope_head_dim", 0)
        else:
            width = config.get("head_dim") or config["hidden_size"] // heads
            row = 2 * (config.get("num_key_value_heads") or heads) * width
    except (KeyError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'}: says no {error.args[0]}; its memory cannot be foreseen") from None
    return Model(
        name=folder.resolve().name,
        path=folder,
        weights=_weights(folder),
        token=sum("linear" not in layer for layer in layers) * row * _CACHED,
        context=config.get("max_position_embeddings"),
        bits=_folder_bits(outer.get("quantization_config")),
        sliding=any("sliding" in layer for layer in layers),
        template=True,
    )


def _weights(folder: Path) -> int:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = [folder / name for name in sorted(set(_json(index).get("weight_map", {}).values()))]
    else:
        files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))
    if files:
        return sum(_tensors(file) for file in files)
    plain = sum(file.stat().st_size for file in folder.glob("*.bin"))
    if not plain:
        raise ModelError(f"{folder}: it holds no weights (*.safetensors or *.bin)")
    return plain


def _tensors(file: Path) -> int:
    """Bytes of the tensors of a safetensors file: 8 bytes of length, then a JSON header."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > file.stat().st_size:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
        total = last = 0
        for name, tensor in header.items():
            if name != "__metadata__":
                begin, end = tensor["data_offsets"]
                total += (end - begin) // {"F32": 2, "F64": 4}.get(tensor["dtype"], 1)
                last = max(last, end)
        if 8 + length + last > file.stat().st_size:
            raise ValueError("some of its tensors are missing")
        return total
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, struct.error, AttributeError) as error:
        raise ModelError(f"{file}: not a whole safetensors file ({error})") from None


def _folder_bits(quantisation: Any) -> float:
    if not isinstance(quantisation, Mapping):
        return 16.0
    return float(quantisation.get("bits") or (8 if "8" in str(quantisation.get("quant_method")) else 4))


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{file.parent}: no model there (it holds no {file.name})") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise ModelError(f"{file}: not a JSON object")
    return value
