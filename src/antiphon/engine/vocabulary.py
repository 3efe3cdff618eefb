"""A model's vocabulary without the model: text to ids, ids to the exact bytes, ids to whole code points.

An *added* token is one that the tokenizer matches before it looks at the text. Those that stand for what anybody may
write are text all the same. All others are *control tokens* here, whether the tokenizer calls them special or not
(Qwen3's `<think>` is not), and ordinary text never becomes one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from codecs import utf_8_decode
from collections.abc import Iterable, Mapping

from antiphon.dialect.base import Part, joined
from antiphon.engine.base import Piece
from antiphon.errors import DialectError


class Vocabulary(ABC):
    """What one tokenizer's ids mean."""

    size: int
    """Ids are below this; not every one below it need be a token."""

    start_id: int | None
    """The token that the tokenizer itself puts before every text, if it does."""

    controls: Mapping[str, int]
    """The control tokens by their spelling."""

    digest: str
    """A hash of all that shapes ids and bytes."""

    def __init__(self) -> None:
        self._pieces: dict[int, Piece | None] = {}

    @abstractmethod
    def encode(self, text: str) -> array[int]:
        """Ordinary text to ids: control tokens that it spells become plain letters; no start token, no prefix
        blank.

        What the vocabulary cannot write is read as U+FFFD: a surrogate without its other half, and characters with
        a byte that is no token (SmolLM2 lacks a few control characters).
        """

    @abstractmethod
    def bytes_of(self, token: int) -> bytes:
        """The bytes that a token stands for; a control token's spelling in UTF-8.

        Raises:
            KeyError: the id is no token (models have more output rows than tokens).
        """

    def control_id(self, token: str) -> int | None:
        """The id of a control token by its spelling, None if there is none."""
        return self.controls.get(token)

    def encode_parts(self, parts: Iterable[Part]) -> array[int]:
        """Parts of a prompt to ids: adjacent texts as one, control tokens by their spelling.

        Raises:
            DialectError: a control part is no token of this model.
        """
        ids = array("I")
        for part in joined(parts):
            if not part.control:
                ids += self.encode(part.text)
            elif (token := self.control_id(part.text)) is not None:
                ids.append(token)
            else:
                raise DialectError(
                    f"the model has no control token {part.text!r}, which its dialect writes; "
                    "choose another dialect, or auto"
                )
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to text. Bytes that are not UTF-8 become U+FFFD.

        Raises:
            KeyError: an id is no token.
        """
        return b"".join(map(self.bytes_of, ids)).decode("utf-8", "replace")

    def piece(self, token: int) -> Piece | None:
        """The token as a piece of its own, None where it is not whole code points (or no token)."""
        try:
            return self._pieces[token]
        except KeyError:
            pass
        try:
            piece = Piece(self.bytes_of(token).decode("utf-8"), (token,))
        except (KeyError, UnicodeDecodeError):
            piece = None
        self._pieces[token] = piece
        return piece


class Assembler:
    """Ids as they arrive, to pieces. One per stream; it begins and, cut or not, ends between code points."""

    def __init__(self, vocabulary: Vocabulary):
        self.invalid = False
        """An id came whose bytes cannot be UTF-8 where they stand (or that is no token). It, the ids held before it
        and all that come after are in no piece: the engine cuts them away and ends with reason "invalid"."""
        self._vocabulary = vocabulary
        self._held: list[int] = []
        self._bytes = b""

    @property
    def pending(self) -> int:
        """Ids pushed that are in no piece: held until their code point is whole, or invalid."""
        return len(self._held)

    def push(self, ids: Iterable[int]) -> list[Piece]:
        """Takes the next ids, gives the pieces that are whole now."""
        pieces = []
        known, held = self._vocabulary.piece, self._held
        for token in ids:
            if not held and (piece := known(token)) is not None:
                pieces.append(piece)
                continue
            held.append(token)
            if not self.invalid and (text := self._text_with(token)) is not None:
                pieces.append(Piece(text, tuple(held)))
                held.clear()
        return pieces

    def _text_with(self, token: int) -> str | None:
        """The held text with one more token's bytes, if that makes its code points whole."""
        try:
            self._bytes += self._vocabulary.bytes_of(token)
            text, used = utf_8_decode(self._bytes, "strict", False)
        except (KeyError, UnicodeDecodeError):
            self.invalid = True
            return None
        if used < len(self._bytes):
            return None
        self._bytes = b""
        return text
