"""The student that a training file is for: its tokenizer, its dialect and its chat template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon import dialect
from antiphon.dialect import Dialect, Message, Part, text_of
from antiphon.dialect.template import ChatTemplate
from antiphon.engine.model_files import EMBEDDED, ModelFiles, Tokenizer, read_tokenizer
from antiphon.engine.models import is_served
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.errors import DialectError, ModelError
from antiphon.export.base import Unfit

if TYPE_CHECKING:
    from antiphon.store import Reader, Variant


@dataclass(frozen=True)
class Student:
    """A student, without its weights. `template` is None for a model that has no chat template; `model` and `family`
    are what `read_student` was given."""

    name: str
    vocabulary: TokenizerVocabulary
    dialect: Dialect
    template: ChatTemplate | None
    model: str
    family: str

    @property
    def end(self) -> str:
        """The control token that ends its turn, "" if it has none."""
        return next((end for end in self.dialect.ends if self.vocabulary.control_id(end) is not None), "")

    def prompt(self, messages: Sequence[Message], response: str) -> tuple[tuple[Part, ...], str]:
        """What stands before the reply, and what of the response is to be written: where the prompt opens the thinking,
        the opening is not.

        Raises:
            Unfit: the dialect cannot express the conversation.
        """
        try:
            parts = self.dialect.render(messages)
        except DialectError as error:
            raise Unfit(str(error)) from None
        opening = text_of(self.dialect.think_open)
        if self.dialect.prompt_opens_thinking and response.startswith(opening):
            return (*parts, *self.dialect.think_open), response[len(opening) :]
        return parts, response

    def count(self, text: str) -> int:
        """How many tokens a text has for a trainer, which takes control tokens that it spells for real."""
        pieces = self._controls.split(text)
        return len(self.vocabulary.encode_parts(Part(piece, at % 2 == 1) for at, piece in enumerate(pieces)))

    def require_ordinary(self, response: str) -> None:
        """Returns where the only control tokens that a response spells are the markers of its own dialect.

        Raises:
            Unfit: a trainer that reads it as text would take others for real.
        """
        found = self._controls.findall(response)
        if found != self._markers[: len(found)]:
            raise Unfit("spells control tokens")

    def spells_controls(self, messages: Sequence[Message]) -> bool:
        """Whether a system's or a user's text spells control tokens."""
        return any(self._controls.search(one["content"]) for one in messages if one["role"] != "assistant")

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        spelled = sorted(self.vocabulary.controls, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, spelled)) or '(?!)'})")

    @cached_property
    def _markers(self) -> list[str]:
        parts = (*self.dialect.think_open, *self.dialect.think_close, *self.dialect.answer_open)
        return [part.text for part in parts if part.control]


def read_student(model: str, family: str = "auto") -> Student:
    """The student of that name.

    Args:
        model: a folder with a tokenizer (and a chat template, if the model has one), a GGUF file, or an embedded model.
        family: the name of its dialect.

    Raises:
        ModelError: there is none.
        DialectError: no dialect fits it.
    """
    found: ModelFiles | Tokenizer
    if model in EMBEDDED:
        found = ModelFiles.read(model)
    elif is_served(model):
        raise ModelError(f"{model}: an export needs the student's tokenizer: give a folder of this machine")
    elif not Path(model).expanduser().exists():
        raise ModelError(f"{model}: there is no such folder or file")
    else:
        found = read_tokenizer(Path(model).expanduser())
    name = model if model in EMBEDDED else found.path.resolve().name
    chosen = dialect.load(
        family,
        template=found.chat_template,
        has_control=lambda token: found.vocabulary.control_id(token) is not None,
        controls=list(found.vocabulary.controls),
        special_tokens=found.special_tokens,
        model_name=name,
    )
    template = None
    if found.chat_template is not None:
        template = ChatTemplate(found.chat_template, found.special_tokens, chosen.settings)
    return Student(name, found.vocabulary, chosen, template, model, family)


def recorded_student(reader: Reader, variant: str | None) -> Student:
    """The student of a run (or of one of its variants), where it is on this machine.

    Raises:
        ModelError: it cannot be had; says why.
        DialectError: no dialect fits it.
    """
    known = [one for one in reader.variants() if variant in (None, one.name) and "student" in one.about]
    if not known:
        raise ModelError("the run tells of no student")
    models = {one.about["student"].get("model") for one in known}
    digests = {digest for one in known if (digest := recorded_tokenizer(one))}
    if len(models) > 1 or len(digests) > 1:
        raise ModelError("the run's variants have different students")
    latest = known[-1]
    about, shaping = latest.about["student"], latest.shaping.get("student", {})
    names = [about.get("model"), about.get("tokenizer")]
    model = next((name for name in names if name in EMBEDDED or (name and Path(name).exists())), None)
    if model is None:
        raise ModelError(f"the run's student {names[0]} is not on this machine")
    family = shaping.get("dialect", {}).get("name", "auto")
    student = read_student(model, family if family in dialect.shipped_families() else "auto")
    if digests - {student.vocabulary.digest}:
        raise ModelError(f"{model} has another tokenizer than the run's student had")
    return student


def recorded_tokenizer(variant: Variant) -> str | None:
    """The digest of the tokenizer of a variant's student; None or "" where it is not known."""
    digest: str | None = variant.shaping.get("student", {}).get("engine", {}).get("tokenizer")
    return digest
