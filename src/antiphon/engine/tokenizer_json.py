"""The vocabulary in a `tokenizer.json` of the tokenizers library.

Two kinds are read: byte-level BPE (Qwen, gpt-oss, Llama 3, SmolLM2), whose token strings spell bytes in GPT-2's
alphabet, and SentencePiece with byte fallback (Gemma, Llama 2), whose strings spell a blank as "▁" and a single byte as
"<0xE2>". In both any text can be written, and every token stands for the same bytes wherever it stands.

Of added tokens those made of white space are text (Gemma, GPT-NeoX keep runs of blanks so), and so are HTML tags
(Gemma's `<table>`).
"""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from antiphon.engine.vocabulary import Vocabulary
from antiphon.errors import ModelError

_BLANK = "▁"
_SHORT, _REMEMBERED = 40, 8192  # characters; texts: phrases of style are read again and again

_HTML_TAG = re.compile(
    "</?(?:a|b|blockquote|body|caption|code|div|em|footer|h[1-6]|html|i|iframe|img|li|ol|p|pre|s|span|strong|sub|sup"
    "|table|tbody|td|tfoot|th|thead|tr|u|ul)>"
)


class TokenizerVocabulary(Vocabulary):
    """A vocabulary out of a `tokenizer.json`."""

    def __init__(self, specification: Mapping[str, Any], source: str = "tokenizer.json"):
        """Takes the parsed JSON; `source` names it in errors.

        Raises:
            ModelError: it is not one of the two kinds, cannot write common text, or the library cannot read it.
        """
        super().__init__()
        from tokenizers import Tokenizer

        try:
            model = specification["model"]
            self._byte_level = _mentions(specification, "ByteLevel")
            if model["type"] != "BPE" or not (self._byte_level or model.get("byte_fallback")):
                raise ModelError(
                    f"{source}: a {model['type']} vocabulary that cannot write every byte; "
                    "byte-level BPE and SentencePiece BPE with byte fallback can be used"
                )
            added = specification["added_tokens"]
            self._strings: dict[int, str] = {token: string for string, token in model["vocab"].items()}
            self._added: dict[int, str] = {entry["id"]: entry["content"] for entry in added}
            self.controls = {entry["content"]: entry["id"] for entry in added if not _is_text(entry)}
            self.size = max((*self._strings, *self._added)) + 1
            self.start_id = _start_id(specification.get("post_processor"), source)
            self.digest = _digest(specification, self.start_id)
            self._unwritable = self._missing_bytes(model["vocab"], source)
            self._tokenizer = Tokenizer.from_str(json.dumps(_plain(specification, self.controls)))
            self._encode_short = lru_cache(_REMEMBERED)(self._encode)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(f"{source}: not a tokenizer of the tokenizers library ({error!r})") from None
        except Exception as error:  # the library raises bare Exceptions
            raise ModelError(f"{source}: the tokenizers library cannot read it ({error})") from None

    @classmethod
    def from_file(cls, path: Path) -> TokenizerVocabulary:
        """Reads a `tokenizer.json`.

        Raises:
            ModelError: it is missing or unfit; see above.
        """
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: the tokenizer cannot be read ({error})") from None
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: str, source: str = "tokenizer.json") -> TokenizerVocabulary:
        """Reads the text of a `tokenizer.json`.

        Raises:
            ModelError: see above.
        """
        try:
            specification = json.loads(text)
        except ValueError as error:
            raise ModelError(f"{source}: not JSON ({error})") from None
        if not isinstance(specification, dict):
            raise ModelError(f"{source}: not a tokenizer of the tokenizers library")
        return cls(specification, source)

    @property
    def tokens(self) -> Collection[int]:
        """All ids that are tokens."""
        return self._strings.keys() | self._added.keys()

    def encode(self, text: str) -> array[int]:
        return self._encode_short(text)[:] if len(text) <= _SHORT else self._encode(text)

    def _encode(self, text: str) -> array[int]:
        try:
            encoded = text.encode("utf-8")
        except UnicodeEncodeError:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            encoded = text.encode("utf-8")
        if self._unwritable and len(encoded.translate(None, self._unwritable)) < len(encoded):
            text = "".join("\ufffd" if self._lacks(character) else character for character in text)
        return array("I", self._tokenizer.encode(text, add_special_tokens=False).ids)

    def bytes_of(self, token: int) -> bytes:
        if (content := self._added.get(token)) is not None:
            return (content.replace(_BLANK, " ") if not self._byte_level and _is_blank(content) else content).encode()
        string = self._strings[token]
        if self._byte_level:
            alphabet = _byte_alphabet()
            return bytes([alphabet[character] for character in string])
        if len(string) == 6 and string.startswith("<0x") and string.endswith(">"):
            return bytes([int(string[3:5], 16)])
        return string.replace(_BLANK, " ").encode("utf-8")

    def _lacks(self, character: str) -> bool:
        """Whether a byte of it is no token. (SentencePiece has tokens for whole characters, but then all bytes.)"""
        return any(byte in self._unwritable for byte in character.encode("utf-8"))

    def _missing_bytes(self, vocabulary: Mapping[str, int], source: str) -> bytes:
        """The bytes of UTF-8 that are no token: text that holds them would silently lose letters."""
        if self._byte_level:
            missing = {byte for character, byte in _byte_alphabet().items() if character not in vocabulary}
        else:
            missing = {byte for byte in range(256) if f"<0x{byte:02X}>" not in vocabulary}
        missing -= {0xC0, 0xC1, *range(0xF5, 0x100)}
        needed = {*b"\t\n", *range(0x20, 0x7F), *"\ufffd".encode()}
        if missing & needed or (missing and not self._byte_level):
            named = ", ".join(f"0x{byte:02X}" for byte in sorted(missing)[:8])
            raise ModelError(f"{source}: bytes that text needs are no tokens ({named})")
        return bytes(sorted(missing))


@cache
def _byte_alphabet() -> Mapping[str, int]:
    """GPT-2's spelling of bytes: printable Latin-1 as itself, the others from U+0100 on, in order."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


def _is_text(added: Mapping[str, Any]) -> bool:
    """Whether an added token stands for what anybody may write."""
    content = added["content"]
    return _is_blank(content) or (not added.get("special") and _HTML_TAG.fullmatch(content) is not None)


def _is_blank(content: str) -> bool:
    return not content.replace(_BLANK, " ").strip()


def _mentions(specification: Mapping[str, Any], kind: str) -> bool:
    """Whether the pre-tokenizer or the decoder is, or holds, one of this type."""
    stages = [specification.get("pre_tokenizer"), specification.get("decoder")]
    return any(kind == stage["type"] for outer in stages for stage in _flat(outer))


def _flat(stage: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """A stage of the tokenizer as the list of its steps."""
    if stage is None:
        return []
    if stage["type"] != "Sequence":
        return [stage]
    inner = next(stage[key] for key in ("pretokenizers", "normalizers", "decoders", "processors") if key in stage)
    return [step for one in inner for step in _flat(one)]


def _start_id(post_processor: Mapping[str, Any] | None, source: str) -> int | None:
    """The id that the post-processor writes before a single text."""
    before: list[int] = []
    for step in _flat(post_processor):
        if step["type"] == "TemplateProcessing":
            for entry in step["single"]:
                if "Sequence" in entry:
                    break
                before += step["special_tokens"][entry["SpecialToken"]["id"]]["ids"]
        elif step["type"] in ("BertProcessing", "RobertaProcessing"):
            before.append(step["cls"][1])
    if len(before) > 1:
        raise ModelError(f"{source}: it begins every text with {len(before)} tokens; at most one can be used")
    return before[0] if before else None


def _plain(specification: Mapping[str, Any], controls: Mapping[str, int]) -> dict[str, Any]:
    """The tokenizer of ordinary text in mid-sequence: no control tokens, no start token, no prefix blank."""
    model = dict(specification["model"])
    if any(token in model["vocab"] for token in controls):
        merges = [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [
            [left, right]
            for left, right in merges
            if not (left in controls or right in controls or left + right in controls)
        ]
        model["vocab"] = {string: token for string, token in model["vocab"].items() if string not in controls}
    normalizers = [step for step in _flat(specification.get("normalizer")) if step["type"] != "Prepend"]
    pre_tokenizers = [_without_prefix(step) for step in _flat(specification.get("pre_tokenizer"))]
    return {
        **specification,
        "added_tokens": [entry for entry in specification["added_tokens"] if entry["content"] not in controls],
        "normalizer": {"type": "Sequence", "normalizers": normalizers} if normalizers else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre_tokenizers} if pre_tokenizers else None,
        "model": model,
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }


def _without_prefix(step: Mapping[str, Any]) -> Mapping[str, Any]:
    if step["type"] == "ByteLevel":
        return {**step, "add_prefix_space": False}
    if step["type"] == "Metaspace":
        kept = {key: value for key, value in step.items() if key != "add_prefix_space"}
        return {**kept, "prepend_scheme": "never"}
    return step


def _digest(specification: Mapping[str, Any], start_id: int | None) -> str:
    model = specification["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    shaping = {
        "added": sorted((entry["id"], entry["content"]) for entry in specification["added_tokens"]),
        "vocabulary": sorted((token, string) for string, token in model["vocab"].items()),
        "merges": merges,
        "rules": [specification.get("normalizer"), specification.get("pre_tokenizer")],
        "options": [bool(model.get("ignore_merges")), start_id],
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()
