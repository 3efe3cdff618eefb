"""What a model says of itself besides its weights: a Hugging Face folder, a GGUF file, or one of the embedded pair."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from antiphon.engine.gguf import read_metadata, tokenizer_specification
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.errors import MissingDependency, ModelError

EMBEDDED = ("lab:teacher", "lab:student")
_WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True)
class ModelFiles:
    """A model on this machine, unloaded. `path` is its folder or its GGUF file."""

    name: str
    """As the record names it: the folder's or file's own name, or `lab:...`."""

    path: Path
    vocabulary: TokenizerVocabulary
    chat_template: str | None
    special_tokens: Mapping[str, str]
    """The tokenizer's special tokens by the names that templates use (`bos_token` ...)."""

    architecture: str
    """A hash of the configuration (not of the weights)."""

    @property
    def is_gguf(self) -> bool:
        """Whether it is a GGUF file, not a folder."""
        return self.path.suffix == ".gguf"

    @property
    def identity(self) -> dict[str, str]:
        """What of it shapes text, for a fingerprint."""
        template = "" if self.chat_template is None else hashed(self.chat_template)
        return {
            "model": self.name,
            "architecture": self.architecture,
            "tokenizer": self.vocabulary.digest,
            "template": template,
        }

    @classmethod
    def read(cls, reference: str) -> ModelFiles:
        """Finds a model and reads all but its weights.

        Args:
            reference: a folder, a `.gguf` file, `lab:teacher` or `lab:student`.

        Raises:
            ModelError: nothing there, no configuration, no weights, or no usable tokenizer.
        """
        if reference in EMBEDDED:
            place = files("antiphon") / "lab" / "models" / reference.removeprefix("lab:")
            path, name = Path(str(place)), reference
        else:
            path = Path(reference).expanduser()
            name = path.resolve().name
        if path.is_dir():
            return _read_folder(path, name)
        if path.suffix == ".gguf" and path.is_file():
            metadata = read_metadata(path)
            vocabulary = TokenizerVocabulary(tokenizer_specification(metadata, str(path)), str(path))
            template = metadata.get("tokenizer.chat_template")
            about = {key: value for key, value in metadata.items() if not key.startswith("tokenizer.")}
            return cls(name, path, vocabulary, template, _special_in_gguf(metadata), hashed(about))
        if path.exists():
            raise ModelError(f"{reference}: not a model folder and not a .gguf file")
        if reference in EMBEDDED:
            raise ModelError(
                f"{reference}: this installation lacks the embedded models; install the package again ({path})"
            )
        raise ModelError(
            f"{reference}: there is no such model; give a Hugging Face folder, a .gguf file, or {' or '.join(EMBEDDED)}"
        )


@dataclass(frozen=True)
class Tokenizer:
    """What of a model is needed to speak to a server that runs it. `path` is where it was found."""

    path: Path
    vocabulary: TokenizerVocabulary
    chat_template: str | None
    special_tokens: Mapping[str, str]


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer and the chat template of a folder (without weights, too), a `tokenizer.json` or a GGUF file.

    Raises:
        ModelError: there is none, or one that cannot be used.
    """
    if path.is_dir():
        settings = _read_json(path / "tokenizer_config.json") or {}
        return Tokenizer(path, read_vocabulary(path), _chat_template(path, settings), _special_tokens(settings))
    if path.suffix == ".gguf":
        files = ModelFiles.read(str(path))
        return Tokenizer(path, files.vocabulary, files.chat_template, files.special_tokens)
    return Tokenizer(path, TokenizerVocabulary.from_file(path), None, {})


def _read_folder(folder: Path, name: str) -> ModelFiles:
    config = _read_json(folder / "config.json")
    if config is None:
        raise ModelError(f"{folder}: no model there (it holds no config.json)")
    if not any(next(folder.glob(pattern), None) for pattern in _WEIGHTS):
        raise ModelError(f"{folder}: it holds no weights (*.safetensors or *.bin); copy them there")
    settings = _read_json(folder / "tokenizer_config.json") or {}
    config.pop("transformers_version", None)
    template, special = _chat_template(folder, settings), _special_tokens(settings)
    return ModelFiles(name, folder, read_vocabulary(folder), template, special, hashed(config))


def read_vocabulary(folder: Path) -> TokenizerVocabulary:
    """The vocabulary of a folder, also of one without weights. One kept as `vocab.json` and `merges.txt` or as
    `tokenizer.model` is converted by transformers.

    Raises:
        ModelError: there is none, or one that cannot be used.
    """
    if (folder / "tokenizer.json").is_file():
        return TokenizerVocabulary.from_file(folder / "tokenizer.json")
    if not any((folder / other).is_file() for other in ("merges.txt", "tokenizer.model")):
        raise ModelError(f"{folder}: the model has no tokenizer (tokenizer.json); copy its files there")
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingDependency("transformers", "local", "converting a tokenizer") from None
    try:
        text = AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str()
    except Exception as error:  # whatever the conversion needs and lacks
        raise ModelError(f"{folder}: its tokenizer cannot be converted to a tokenizer.json ({error})") from None
    return TokenizerVocabulary.from_json(text, str(folder))


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """The template, from wherever the versions of transformers have put it."""
    if (file := folder / "chat_template.jinja").is_file():
        return file.read_text("utf-8")
    template = settings.get("chat_template")
    if template is None:
        template = (_read_json(folder / "chat_template.json") or {}).get("chat_template")
    if isinstance(template, list):
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("default")
    return template


def _special_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    """Those of a `tokenizer_config.json`, where each is a text or an object with its content."""
    found = {name: value for name, value in settings.items() if name.endswith("_token")}
    spelled = {name: value.get("content") if isinstance(value, dict) else value for name, value in found.items()}
    return {name: value for name, value in spelled.items() if isinstance(value, str)}


def _special_in_gguf(metadata: Mapping[str, Any]) -> dict[str, str]:
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    names = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "pad_token": "padding_token_id"}
    ids = {name: metadata.get(f"tokenizer.ggml.{key}") for name, key in names.items()}
    return {name: tokens[token] for name, token in ids.items() if token is not None and token < len(tokens)}


def _read_json(file: Path) -> dict[str, Any] | None:
    """The object in a file, None if there is no file."""
    try:
        value = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read ({error})") from None
    if not isinstance(value, dict):
        raise ModelError(f"{file}: not a JSON object")
    return value


def hashed(value: Any) -> str:
    """SHA-256 of a text, or of what JSON can hold, as identities have it."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
