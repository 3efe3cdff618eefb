"""A token classifier's model: loaded, checked, and asked about many windows at once. All in its predictor's one thread.

The model is called as `antiphon.engine.forward` calls one: new tokens of many windows one after another, each window
with a row of keys and values of its own, which is cut back for nothing. Here a row is known by the ids that it holds:
what a window shares with the last one of the same trace is not read again.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import transformers

from antiphon.boundary.tagging import GRID, Query
from antiphon.engine import attention
from antiphon.engine.attention import Packing, Segment
from antiphon.engine.device import FULL, full, placed, usable_device
from antiphon.engine.rows import Row, Rows
from antiphon.errors import ModelError, RequestRefused

_SHOWN = 200  # characters of what transformers says is wrong
_AT_ONCE = 2048  # new tokens in one call
_NOISE = 2**-12  # more than the same window's answers differ by, in float32, when it is read in other company


class _Held(NamedTuple):
    row: Row
    ids: array[int]


class _Work(NamedTuple):
    number: int  # of the query
    row: Row
    at: int
    query: Query


class Classifier:
    """A model with two labels and its device.

    Args:
        model: has `attention.NAME` as its attention.
        style: which label is style.
        memory: bytes for keys and values; beyond it traces that rest are forgotten and read again.

    Raises:
        ModelError: it reads both ways, or keeps more than keys and values.
    """

    def __init__(self, model: Any, style: int, memory: int):
        self.forwarded = 0
        """Tokens that went through the model since it was loaded."""
        self._model = model
        self._style = style
        self._exact = model.dtype == torch.float32
        self._held: WeakKeyDictionary[Any, _Held] = WeakKeyDictionary()
        self._rows = Rows(memory // self._measured())

    @classmethod
    def load(cls, folder: Path, *, style: int, device: str, dtype: str, memory: int) -> Classifier:
        """Reads the weights.

        Args:
            device: auto (the first GPU, or the CPU), cpu, cuda, cuda:1 ...
            dtype: float32, bfloat16 or float16.

        Raises:
            ModelError: no such device, no classifier of this kind, or its head is missing.
        """
        place = usable_device(device)
        transformers.AttentionInterface.register(attention.NAME, attention.attend)
        model = load_classifier(folder, dtype=getattr(torch, dtype), attn_implementation=attention.NAME)
        try:
            return cls(placed(model, place).eval(), style, memory)
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from None

    def answer(self, queries: Sequence[Query]) -> list[list[float]]:
        """What the model says at the places of each query: the logit of style less that of capability.

        In float32 the answer is the same up to noise however windows are batched and whatever is read again. Where
        noise could tip the rounding (`GRID`), the window up to that place is read once more, whole and alone, which
        always gives the same. So what is rounded depends on the window's tokens only.

        Raises:
            RequestRefused: the device's memory is full.
        """
        answers: list[list[float]] = [[] for _ in queries]
        waiting = deque(enumerate(queries))
        while waiting:
            plan: list[_Work] = []
            room = _AT_ONCE
            while waiting and room > 0:
                work = self._planned(*waiting[0], busy=[planned.row for planned in plan])
                if work is None:
                    break
                waiting.popleft()
                plan.append(work)
                room -= len(work.query.ids) - work.at
            for work, said in zip(plan, self._said(plan), strict=True):
                pairs = zip(work.query.places, said, strict=True)
                answers[work.number] = [self._certain(work.query, place, value) for place, value in pairs]
        return answers

    def _planned(self, number: int, query: Query, busy: Collection[Row]) -> _Work | None:
        """How much of a window has to be read, and to which row; None: there is no room beside the busy ones."""
        held = self._held.get(query.owner)
        shared = 0 if held is None or held.row in busy else _shared(held.ids, query.ids)
        row = held.row if held is not None and shared else Row()
        if not self._rows.hold(row, len(query.ids), busy):
            return None
        self._held[query.owner] = _Held(row, query.ids)
        return _Work(number, row, min(row.length, shared, query.places[0]), query)

    def _said(self, plan: Sequence[_Work]) -> Iterator[list[float]]:
        ordered = sorted(plan, key=lambda work: len(work.query.ids) - work.at > 1)  # single tokens first
        segments, ids, positions = [], array("I"), array("I")
        begins: dict[int, int] = {}
        for work in ordered:
            new = work.query.ids[work.at :]
            begins[work.number] = len(ids) - work.at
            segments.append(Segment(work.row, work.at, len(ids), len(ids) + len(new)))
            ids += new
            positions.extend(range(work.at, work.at + len(new)))
            work.row.length = 0  # until it is read
        said = self._forward(segments, ids, positions)
        for work in plan:
            work.row.length = len(work.query.ids)
            yield [said[begins[work.number] + place] for place in work.query.places]

    def _certain(self, query: Query, place: int, value: float) -> float:
        if not self._exact or abs((value * GRID) % 1 - 0.5) > _NOISE * GRID:
            return value
        ids = query.ids[: place + 1]
        row = Row()
        row.reserve(len(ids))
        return self._forward([Segment(row, 0, 0, len(ids))], ids, range(len(ids)))[-1]

    @torch.inference_mode()
    def _forward(self, segments: Sequence[Segment], ids: Sequence[int], positions: Sequence[int]) -> list[float]:
        """The model's answer behind every token."""
        self.forwarded += len(ids)
        device = self._model.device
        try:
            logits = self._model(
                input_ids=torch.tensor([list(ids)], device=device),
                position_ids=torch.tensor([list(positions)], device=device),
                use_cache=False,
                packing=Packing(segments, device),
            ).logits[0]
        except FULL as error:
            raise RequestRefused(f"boundary predictor: {full(error)}; lower the concurrency") from None
        said: list[float] = (logits[:, self._style].float() - logits[:, 1 - self._style].float()).tolist()
        return said

    def _measured(self) -> int:
        """Reads one token, to see that the model works this way; gives the bytes of a row for each token."""
        config = self._model.config.get_text_config()
        row = Row()
        row.reserve(1)
        unfit = f"{config.model_type} classifiers cannot be run a word at a time"
        if any(getattr(module, "is_causal", True) is False for module in self._model.modules()):
            raise ModelError(
                f"{unfit}: they read both ways, so later words would change earlier verdicts; take a causal model"
            )
        if {*(getattr(config, "layer_types", None) or ())} - {"full_attention", "sliding_attention"}:
            raise ModelError(f"{unfit}: they have layers of another kind than attention; take another model")
        try:
            self._forward([Segment(row, 0, 0, 1)], [0], [0])
        except Exception as error:  # of many kinds, where the model does not know how to be called so
            raise ModelError(f"{unfit} ({type(error).__name__}: {error})") from None
        if row.layers != config.num_hidden_layers:
            raise ModelError(f"{unfit}: their attention cannot be replaced; take another model")
        self.forwarded = 0
        return row.token_bytes


def load_classifier(source: Path, *, headless: bool = False, **how: Any) -> Any:
    """A token classifier of transformers, from a folder.

    Args:
        headless: whether it may lack its head, which is made new then.
        how: further arguments of `from_pretrained`.

    Raises:
        ModelError: transformers cannot load it, or weights are missing.
    """
    try:
        with quiet():
            model, report = transformers.AutoModelForTokenClassification.from_pretrained(
                source, local_files_only=True, output_loading_info=True, **how
            )
    except Exception as error:  # of many kinds
        reason = " ".join(str(error).split())[:_SHOWN] or type(error).__name__
        raise ModelError(f"{source}: transformers cannot load it as a token classifier: {reason}") from None
    body = f"{model.base_model_prefix}."
    missing = sorted(report["missing_keys"])
    head = [name for name in missing if not name.startswith(body)]
    if len(missing) > len(head):
        others = [name for name in missing if name not in head]
        raise ModelError(
            f"{source}: {len(others)} of its weights are missing ({others[0]} ...); copy or train it again"
        )
    if head and not headless:
        raise ModelError(
            f"{source}: no classifier's head there ({', '.join(head)}); make one of this model with antiphon boundary"
            " train --kind tagger"
        )
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers shows no bars and says nothing; what matters of it is in our errors."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _shared(one: array[int], other: array[int]) -> int:
    """How many ids two windows have in common at their beginning."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    return next(place for place in range(length) if one[place] != other[place])
