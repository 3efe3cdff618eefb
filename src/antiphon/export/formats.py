"""The table of export formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from antiphon.export.axolotl import Axolotl
from antiphon.export.base import Exporter
from antiphon.export.everything import Everything
from antiphon.export.messages import Messages
from antiphon.export.prompt_completion import PromptCompletion
from antiphon.export.sharegpt import ShareGPT
from antiphon.export.tessy import Tessy
from antiphon.export.tokens import Tokens
from antiphon.export.verl import Verl

if TYPE_CHECKING:
    from antiphon.store import Reader


class Format(NamedTuple):
    """How an exporter is made, and of what.

    Attributes:
        make: takes the run, and the student or None.
        looks: whether it looks at the student's tokenizer or template where they are to be had.
        needs: whether it cannot do without.
        parquet_only: whether only Parquet can hold its rows.
    """

    make: Callable[[Reader, Any], Exporter]
    looks: bool = True
    needs: bool = False
    parquet_only: bool = False


FORMATS: dict[str, Format] = {
    "messages": Format(lambda reader, student: Messages(student)),
    "prompt_completion": Format(lambda reader, student: PromptCompletion(student), needs=True),
    "tokens": Format(lambda reader, student: Tokens(student, reader), needs=True),
    "tessy": Format(lambda reader, student: Tessy(), looks=False),
    "sharegpt": Format(lambda reader, student: ShareGPT(student)),
    "axolotl": Format(lambda reader, student: Axolotl(student)),
    "verl": Format(lambda reader, student: Verl(student), parquet_only=True),
    "parquet": Format(lambda reader, student: Everything(reader), looks=False, parquet_only=True),
}
"""The export formats by name."""
