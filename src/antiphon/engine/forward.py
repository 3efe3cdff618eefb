"""The model itself: loaded, and called with packed steps. Everything here runs in the engine's one thread."""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, cast

import torch
import transformers

from antiphon.engine import attention
from antiphon.engine.attention import Packing, Segment
from antiphon.engine.device import FULL, full, placed, usable_device
from antiphon.engine.draw import draw
from antiphon.engine.model_files import ModelFiles
from antiphon.engine.rows import Row
from antiphon.errors import ModelError, RequestRefused
from antiphon.settings import Sampling

NO_NUMBER = -1
"""Drawn where the model's output is NaN: broken weights, or a numeric type too small for this text."""

_SCORED_AT_ONCE = 128  # tokens whose whole logits are held while scoring


class Drawing(NamedTuple):
    """How the next token of a sequence is drawn; see `antiphon.engine.draw`."""

    sampling: Sampling
    history: Collection[int]
    chance: float


class Work(NamedTuple):
    """New tokens of one sequence: they go to `row` from position `at` on. `drawing` None: the next token is not
    wanted."""

    row: Row
    at: int
    ids: Sequence[int]
    drawing: Drawing | None


class Forward:
    """A causal language model and its device.

    Args:
        model: has `attention.NAME` as its attention.
        tokens: the ids that there are (models have more output rows than tokens).

    Raises:
        ModelError: the architecture keeps more than keys and values, or its attention cannot be replaced.
    """

    def __init__(self, model: Any, tokens: Collection[int]):
        self.device: torch.device = model.device
        self.forwarded = 0
        """Tokens that went through the model since it was loaded."""
        self._model = model
        config = model.config.get_text_config()
        self.context: int | None = getattr(config, "max_position_embeddings", None)
        rows = model.get_output_embeddings().weight.shape[0]
        barred = sorted({*range(rows)}.difference(tokens))
        self._barred = torch.tensor(barred, dtype=torch.long, device=self.device)
        self.token_bytes = self._measure(config)
        """Memory of a row for each token."""

    @classmethod
    def load(cls, files: ModelFiles, device: str, tokens: Collection[int]) -> Forward:
        """Reads the weights: float32 on a CPU, the model's own type on a GPU.

        Args:
            device: auto (the first GPU, or the CPU), cpu, cuda, cuda:1 ...

        Raises:
            ModelError: no such device, or transformers cannot load the model.
        """
        place = usable_device(device)
        transformers.AttentionInterface.register(attention.NAME, attention.attend)
        folder, gguf = (files.path.parent, files.path.name) if files.is_gguf else (files.path, None)
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # progress bars
                model, report = transformers.AutoModelForCausalLM.from_pretrained(
                    folder,
                    gguf_file=gguf,
                    dtype="auto" if place.type != "cpu" else torch.float32,
                    attn_implementation=attention.NAME,
                    local_files_only=True,
                    output_loading_info=True,
                )
        except Exception as error:  # of many kinds; the first line says what is wrong
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"{files.path}: transformers cannot load it: {reason[0]}") from error
        if missing := sorted(report["missing_keys"]):
            raise ModelError(
                f"{files.path}: {len(missing)} of its weights are missing ({missing[0]} ...); get its files again"
            )
        try:
            return cls(placed(model, place).eval(), tokens)
        except ModelError as error:
            raise ModelError(f"{files.path}: {error}") from None

    @torch.inference_mode()
    def step(self, work: Sequence[Work]) -> list[int | None]:
        """Reads all new tokens and draws the next one where it is wanted.

        Args:
            work: single tokens first.

        Returns:
            For each the drawn id, None where none was wanted, or `NO_NUMBER`.

        Raises:
            RequestRefused: the device's memory is full.
        """
        segments, last = [], []
        ids: list[int] = []
        positions: list[int] = []
        for row, at, new, drawing in work:
            segments.append(Segment(row, at, len(ids), len(ids) + len(new)))
            ids += new
            positions += range(at, at + len(new))
            if drawing is not None:
                last.append(len(ids) - 1)
        logits = self._logits(segments, ids, positions, last)
        drawings = [one.drawing for one in work if one.drawing is not None]
        drawn = iter(self._draw(logits, drawings))
        return [None if one.drawing is None else next(drawn) for one in work]

    @torch.inference_mode()
    def score(self, ids: Sequence[int]) -> list[float]:
        """Log-probability (natural) of each id given those before it; the first is 0.0."""
        row = Row()
        row.reserve(len(ids))
        scores = [0.0]
        for begin in range(0, len(ids) - 1, _SCORED_AT_ONCE):
            chunk = list(ids[begin : begin + _SCORED_AT_ONCE])
            end = begin + len(chunk)
            places = range(len(chunk))
            logits = self._logits([Segment(row, begin, 0, len(chunk))], chunk, range(begin, end), places)
            following = torch.tensor(list(ids[begin + 1 : end + 1]), device=self.device)
            logits = torch.log_softmax(logits[: len(following)].float(), dim=-1)
            scores += logits.gather(1, following[:, None])[:, 0].tolist()
        return scores[: len(ids)]

    def _logits(
        self, segments: Sequence[Segment], ids: Sequence[int], positions: Sequence[int], places: Sequence[int]
    ) -> torch.Tensor:
        """What the model says after each of the places: `[places, vocabulary]`, minus infinity for no tokens."""
        self.forwarded += len(ids)
        try:
            output = self._model(
                input_ids=torch.tensor([ids], device=self.device),
                position_ids=torch.tensor([list(positions)], device=self.device),
                use_cache=False,
                packing=Packing(segments, self.device),
                logits_to_keep=torch.tensor(list(places), dtype=torch.long, device=self.device),
            )
        except FULL as error:
            raise RequestRefused(f"{full(error)}; lower the concurrency or the memory for rows") from None
        logits: torch.Tensor = output.logits[0]
        logits[:, self._barred] = -torch.inf
        return logits

    def _draw(self, logits: torch.Tensor, drawings: Sequence[Drawing]) -> list[int]:
        if not drawings:
            return []
        broken = logits.isnan().any(dim=-1)
        alike: dict[Sampling, list[int]] = defaultdict(list)
        for place, drawing in enumerate(drawings):
            alike[drawing.sampling].append(place)
        drawn = torch.empty(len(drawings), dtype=torch.long, device=self.device)
        for sampling, places in alike.items():
            histories = [drawings[place].history for place in places]
            chances = [drawings[place].chance for place in places]
            drawn[places] = draw(logits[places], sampling, histories, chances)
        return cast(list[int], drawn.masked_fill(broken, NO_NUMBER).tolist())

    @torch.inference_mode()
    def _measure(self, config: Any) -> int:
        """Reads one token, to see that every layer's state is a row, and how large."""
        kinds = {*(getattr(config, "layer_types", None) or ())} - {"full_attention", "sliding_attention"}
        row = Row()
        row.reserve(1)
        if not kinds:
            self._logits([Segment(row, 0, 0, 1)], [0], [0], [0])
        if kinds or row.layers != config.num_hidden_layers:
            named = ", ".join(sorted(kinds)) or "another attention"
            raise ModelError(f"{config.model_type} models ({named}) cannot be run in this process; use a server")
        self.forwarded = 0
        return row.token_bytes
