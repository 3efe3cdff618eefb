"""What a token classifier's folder says of itself besides its weights: which label is style, and where it stands.

A checkpoint made by `antiphon boundary train` says it in its config.json, under `antiphon`:

    kind       "tagger"
    version    of these keys: 1
    lookahead  whole words after a word, behind the last token of which the word's label stands; 0: behind the word
               itself; -1: the label of a word stands before it, behind the token that comes before its first character
    window     tokens that it is shown at a time
    start      the token before the first word of a window; null: none
    end        the token that takes the place of each word which is looked ahead to and does not come

What a checkpoint from elsewhere does not say is read as look-ahead 0, a window of 248 tokens, and a start token if its
tokenizer writes one. `label_offset` 1, under `antiphon` or as an option, says that the label at a token is the class of
the next one: look-ahead -1. The published predictors of TESSY (arXiv 2604.14164) are such, known by their names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from antiphon.boundary.spec import count, one_of
from antiphon.engine.model_files import hashed, read_vocabulary
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.errors import MissingDependency, ModelError

KEY, KIND, VERSION = "antiphon", "tagger", 1
TRAINING = "training.json"
"""In the folder of a predictor that was trained here: how that went, and on which problems."""
WINDOW = 248  # with a start token and end tokens it is 256, in which steps keys and values grow
LEAST_WINDOW = 128
"""A quarter of a window is read again in the next one, and has to hold the longest word."""
OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "label_offset": lambda value: int(one_of("0", "1")(value)),
    "style": str,
    "window": count,
}
"""Options of a predictor's name that `read_checkpoint` takes."""

_STYLE, _CAPABILITY = frozenset({"style", "sty"}), frozenset({"capability", "cap", "content"})
_NEXT_TOKEN = frozenset({"boundary_predictor_teacher_code", "boundary_predictor_student_code"})
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_READ = ["*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "*.bin"]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the labels of a checkpoint mean and where they stand, see above; `style` is the number of that label."""

    style: int = 1
    lookahead: int = 0
    window: int = WINDOW
    start: int | None = None
    end: int | None = None

    def as_config(self) -> dict[str, Any]:
        """What stands under `antiphon` in config.json."""
        return {
            "kind": KIND,
            "version": VERSION,
            "lookahead": self.lookahead,
            "window": self.window,
            "start": self.start,
            **({} if self.end is None else {"end": self.end}),
        }


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A token classifier on this machine, its weights not loaded. `name` is its folder's or hub's own name."""

    folder: Path
    name: str
    vocabulary: TokenizerVocabulary
    layout: Layout
    architecture: str
    """A hash of the rest of the configuration."""

    @property
    def trained_on(self) -> frozenset[str]:
        """See the function of this name."""
        return trained_on(self.folder)

    @property
    def digest(self) -> str:
        """A hash of all that shapes verdicts, the weights among it where there are any."""
        said = [self.vocabulary.digest, self.architecture, self.layout.style, self.layout.as_config()]
        digest = hashlib.sha256(hashed(said).encode())
        for file in sorted([*self.folder.glob("*.safetensors"), *self.folder.glob("*.bin")]):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def read_checkpoint(
    reference: str, *, label_offset: int | None = None, style: str | None = None, window: int | None = None
) -> Checkpoint:
    """Reads what a folder, or a model of the Hugging Face hub, says of itself.

    Args:
        label_offset: 1 where the label at a token is the class of the next one, else 0; None: as it says itself.
        style: the name or number of the label that is style; None: as it says itself.
        window: tokens that it is shown at a time; None: as it says itself.

    Raises:
        ModelError: there is no such model, it was made by a newer version, it does not have two labels of which one is
            style, its tokenizer is missing or cannot be used, or its context is too short.
        MissingDependency: transformers is needed, to read an old tokenizer or to ask the hub.
    """
    folder = find_folder(reference)
    config = read_config(folder)
    name = Path(reference).name if folder.name != Path(reference).name else folder.resolve().name
    vocabulary = read_tokens(folder)
    own = _own(folder, config)
    if label_offset is None:
        label_offset = own.get("label_offset", 1 if not own and name.lower() in _NEXT_TOKEN else 0)
    layout = Layout(
        style=style_label(folder, config, style),
        lookahead=-1 if label_offset == 1 else own.get("lookahead", 0),
        window=window or own.get("window") or _fitting(config),
        start=own.get("start", vocabulary.start_id),
        end=own.get("end"),
    )
    layout = checked_layout(folder, config, layout, vocabulary)
    return Checkpoint(folder, name, vocabulary, layout, architecture_of(config))


def architecture_of(config: Mapping[str, Any]) -> str:
    """A hash of what a configuration says of the model itself."""
    return hashed({key: value for key, value in config.items() if key not in (KEY, "transformers_version", "dtype")})


def read_config(folder: Path) -> dict[str, Any]:
    """The object in a folder's config.json.

    Raises:
        ModelError: there is none.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder}: no model there (it holds no config.json)") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}/config.json: cannot be read ({error})") from None
    if not isinstance(config, dict) or not isinstance(config.get(KEY) or {}, dict):
        raise ModelError(
            f"{folder}/config.json: not the configuration of a model; give the folder of a token classifier"
        )
    return config


def _own(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a configuration says under `antiphon`."""
    own: dict[str, Any] = config.get(KEY) or {}
    if own.get("kind", KIND) != KIND:
        raise ModelError(
            f"{folder}: a predictor of another kind ({own['kind']}), not a token classifier; "
            "antiphon boundary train --kind tagger makes one"
        )
    for name in ("version", "lookahead", "label_offset", "window", "start", "end"):
        if type(own.get(name, 0)) is not int and not (name == "start" and own[name] is None):
            raise ModelError(f"{folder}: {KEY}.{name} in its config.json is {own[name]!r}, not a whole number")
    if own.get("version", VERSION) > VERSION:
        raise ModelError(f"{folder}: made by a newer version of antiphon (form {own['version']}); update this one")
    if own.get("lookahead", 0) < -1 or own.get("label_offset", 0) not in (0, 1):
        raise ModelError(
            f"{folder}: in its config.json {KEY}.lookahead is below -1, or label_offset neither 0 nor 1; mend it there"
        )
    return own


def trained_on(folder: Path) -> frozenset[str]:
    """The problems that a predictor was trained on (`antiphon.boundary.making.split.problem_digests`), if its folder
    says."""
    try:
        return frozenset(json.loads((folder / TRAINING).read_text("utf-8"))["trained_on"])
    except (OSError, ValueError, LookupError, TypeError):
        return frozenset()


def kind_of(folder: Path) -> str:
    """Of which kind the predictor in a folder is, as its config.json says; any model from elsewhere counts as a tagger.

    Raises:
        ModelError: there is none.
    """
    return str((read_config(folder).get(KEY) or {}).get("kind", KIND))


def style_label(folder: Path, config: Mapping[str, Any], wanted: str | None) -> int:
    """Which of a checkpoint's two labels is style: the one wanted (a name or number), or the one so called, or the
    other than the one called capability; of LABEL_0 and LABEL_1 the second.

    Raises:
        ModelError: there are not two labels, or none of them can be told to be style.
    """
    named = config.get("id2label") or {number: f"LABEL_{number}" for number in range(config.get("num_labels", 2))}
    try:
        labels = [str(label) for _, label in sorted((int(number), label) for number, label in named.items())]
    except (ValueError, TypeError, AttributeError):
        raise ModelError(f"{folder}: id2label in its config.json does not map numbers to names") from None
    shown = ", ".join(labels)
    if len(labels) != 2:
        raise ModelError(
            f"{folder}: {len(labels)} labels ({shown}); there must be two, style and capability; train one with these"
        )
    lower = [label.lower() for label in labels]
    if wanted is not None:
        for number, label in enumerate(lower):
            if wanted.lower() in (label, str(number)):
                return number
        raise ModelError(f"{folder}: there is no label {wanted!r}; it has {shown}")
    if lower == ["label_0", "label_1"]:
        return 1
    for number, label in enumerate(lower):
        if label in _STYLE or lower[1 - number] in _CAPABILITY:
            return number
    raise ModelError(f"{folder}: its labels are {shown}; say which is style with ?style=NAME")


def checked_layout(folder: Path, config: Mapping[str, Any], layout: Layout, vocabulary: TokenizerVocabulary) -> Layout:
    """A layout that can be used with these, with a start token where one is needed.

    Raises:
        ModelError: it cannot.
    """
    if layout.lookahead < 0 and layout.start is None:
        start = first_id(config.get("bos_token_id"), config.get("eos_token_id"), config.get("pad_token_id"))
        if start is None:
            raise ModelError(f"{folder}: no token to begin a text with (bos_token_id)")
        layout = replace(layout, start=start)
    if layout.lookahead > 0 and layout.end is None:
        raise ModelError(
            f"{folder}: config.json says look-ahead {layout.lookahead} but no end token; name its eos_token_id there"
        )
    if layout.window < LEAST_WINDOW:
        raise ModelError(f"{folder}: a window of {layout.window} tokens is too short; give at least {LEAST_WINDOW}")
    context = _context(config)
    if context is not None and layout.window + 1 + max(0, layout.lookahead) > context:
        raise ModelError(
            f"{folder}: its context of {context} tokens is too short for a window of {layout.window}; "
            "give a smaller ?window=TOKENS"
        )
    for token in (layout.start, layout.end):
        if token is not None and token not in vocabulary.tokens:
            raise ModelError(
                f"{folder}: config.json names the token {token}, which its tokenizer has not; "
                "copy the tokenizer that it was trained with"
            )
    return layout


def _fitting(config: Mapping[str, Any]) -> int:
    """The usual window, or what a small context leaves of it."""
    context = _context(config)
    return WINDOW if context is None else min(WINDOW, context - 1)


def _context(config: Mapping[str, Any]) -> int | None:
    """The longest text in tokens."""
    return config.get("max_position_embeddings") or config.get("n_positions")


def first_id(*tokens: Any) -> int | None:
    """The first token that a configuration names, where it names one or a list of them."""
    for token in tokens:
        if isinstance(token, Iterable):
            token = next(iter(token), None)
        if isinstance(token, int):
            return token
    return None


def read_tokens(folder: Path) -> TokenizerVocabulary:
    """The vocabulary of a folder.

    Raises:
        ModelError: it has none, or one of a kind that cannot be used.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "merges.txt", "tokenizer.model")):
        raise ModelError(
            f"{folder}: no tokenizer.json there, so no word can be told its tokens; save it as a fast tokenizer"
        )
    return read_vocabulary(folder)


def find_folder(reference: str) -> Path:
    """The folder of a model on this machine or of the Hugging Face hub, which is asked for it.

    Raises:
        ModelError: there is none.
        MissingDependency: asking the hub needs the extra `local`.
    """
    path = Path(reference).expanduser()
    if path.is_dir():
        return path
    if path.exists() or not _HUB_NAME.fullmatch(reference):
        raise ModelError(f"{reference}: no such folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingDependency("transformers", "local", f"getting {reference} from the hub") from None
    try:
        return Path(snapshot_download(reference, allow_patterns=_READ))
    except Exception as error:  # of many kinds; the first line says what is wrong
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{reference}: no such folder, and none at the Hugging Face hub: {reason[0]}") from None
