"""Boundaries by a token classifier in this process: any causal model of Hugging Face with a head of two labels.

    --boundary DIR                                    a folder, made by `antiphon boundary train` or elsewhere
    --boundary CoopReason/Boundary_Predictor_Teacher_Code    a model of the hub
    --boundary 'DIR?threshold=0.6&device=cuda'        with options

A turn costs only its new words: keys and values of each trace's window are kept, and cut back where words were rolled
back. What concurrent traces ask is answered in one call.

In float32, the default everywhere, verdicts and confidences depend on the text alone: not on how it was cut, on what
was rolled back or on which other traces were read at the same time. (The only exception is a device whose arithmetic
does not repeat itself; torch on a CPU with the same number of threads does.) In bfloat16 and float16 a verdict close to
the threshold may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any

from antiphon.boundary.checkpoint import OPTIONS, Checkpoint, read_checkpoint
from antiphon.boundary.spec import one_of, options, probability
from antiphon.boundary.tagging import Query, TaggerPredictor
from antiphon.errors import MissingDependency

if TYPE_CHECKING:
    from antiphon.boundary.classifier import Classifier

MEMORY = 2 << 30
"""Bytes that keys and values of all traces may take."""

_OPTIONS: dict[str, Callable[[str], Any]] = {
    "threshold": probability,
    **OPTIONS,
    "device": str,
    "dtype": one_of("float32", "bfloat16", "float16"),
}


class Tagger(TaggerPredictor):
    """A classifier in this process. See `load`."""

    def __init__(self, checkpoint: Checkpoint, classifier: Classifier, *, threshold: float, dtype: str):
        shaping = [f"{name}={value:g}" for name, value, usual in (("threshold", threshold, 0.5),) if value != usual]
        shaping += [f"dtype={dtype}"] if dtype != "float32" else []
        id = ":".join(("tagger", checkpoint.name, checkpoint.digest[:12], *shaping))
        super().__init__(checkpoint, threshold=threshold, id=id)
        self.classifier = classifier
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"tagger {checkpoint.name}")
        self._lock = Lock()
        self._waiting: list[tuple[Sequence[Query], Future[list[list[float]]]]] = []

    @classmethod
    def load(
        cls,
        reference: str,
        *,
        threshold: float = 0.5,
        label_offset: int | None = None,
        style: str | None = None,
        window: int | None = None,
        device: str = "auto",
        dtype: str = "float32",
        memory: int = MEMORY,
    ) -> Tagger:
        """Loads a checkpoint.

        Args:
            reference: a folder, or the name of a model of the Hugging Face hub.
            threshold: the probability above which a word is style.
            label_offset, style, window: see `antiphon.boundary.checkpoint.read_checkpoint`.
            device: auto (the first GPU, or the CPU), cpu, cuda, cuda:1 ...
            dtype: float32, bfloat16 or float16.
            memory: bytes for keys and values; beyond it traces that rest are forgotten and read again.

        Raises:
            ModelError: there is none, or it is none that can be used: its labels, head, tokenizer or kind.
            MissingDependency: torch or transformers is not installed.
        """
        for library in ("torch", "transformers"):
            try:
                __import__(library)
            except ImportError:
                raise MissingDependency(library, "local", f"the boundary predictor {reference}") from None
        from antiphon.boundary.classifier import Classifier

        checkpoint = read_checkpoint(reference, label_offset=label_offset, style=style, window=window)
        classifier = Classifier.load(
            checkpoint.folder, style=checkpoint.layout.style, device=device, dtype=dtype, memory=memory
        )
        return cls(checkpoint, classifier, threshold=threshold, dtype=dtype)

    @classmethod
    def from_spec(cls, spec: str) -> Tagger:
        """From `DIR?option=value&...`; the options are those of `load`, apart from the memory.

        Raises:
            SettingsError: an option is unknown or wrong.
            ModelError, MissingDependency: see `load`.
        """
        reference, given = options(spec, _OPTIONS)
        return cls.load(reference, **given)

    @property
    def forwarded(self) -> int:
        """Tokens that went through the model since it was loaded: what it cost."""
        return self.classifier.forwarded

    def answers(self, queries: Sequence[Query]) -> Future[list[list[float]]]:
        future: Future[list[list[float]]] = Future()
        with self._lock:
            self._waiting.append((queries, future))
        self._worker.submit(self._answer_all)
        return future

    async def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _answer_all(self) -> None:
        """In the worker: everything that is waiting now, in one batch."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        running = [(queries, future) for queries, future in waiting if future.set_running_or_notify_cancel()]
        try:
            answers = iter(self.classifier.answer([query for queries, _ in running for query in queries]))
            for queries, future in running:
                future.set_result([next(answers) for _ in queries])
        except BaseException as error:
            for _, future in running:
                if not future.done():
                    future.set_exception(error)
