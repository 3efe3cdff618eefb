"""The table of export formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    from antiphon.store import Variant


class Format(NamedTuple):
    """How an exporter is made, and of what.

    Attributes:
        make: takes the run's variants, and the student or None.
        looks: whether it looks at the student's tokenizer or template where they are to be had.
        needs: whether it cannot do without.
        parquet_only: whether only Parquet can hold its rows.
        whole: whether its rows are made of traces with their spans.
    """

    make: Callable[[Sequence[Variant], Any], Exporter]
    looks: bool = True
    needs: bool = False
    parquet_only: bool = False
    whole: bool = False


FORMATS: dict[str, Format] = {
    "messages": Format(lambda variants, student: Messages(student)),
    "prompt_completion": Format(lambda variants, student: PromptCompletion(student), needs=True),
    "tokens": Format(lambda variants, student: Tokens(student, variants), needs=True, whole=True),
    "tessy": Format(lambda variants, student: Tessy(), looks=False),
    "sharegpt": Format(lambda variants, student: ShareGPT(student)),
    "axolotl": Format(lambda variants, student: Axolotl(student)),
    "verl": Format(lambda variants, student: Verl(student), parquet_only=True),
    "parquet": Format(lambda variants, student: Everything(), looks=False, parquet_only=True, whole=True),
}
"""The export formats by name."""
