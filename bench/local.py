"""Models in this process: a run beside transformers' `generate` on the same batch, and what hand-overs read.

python -m bench.local --model DIR_OR_GGUF                              student_only beside generate
python -m bench.local --model DIR_OR_GGUF --teacher DIR_OR_GGUF        and the tokens that a tessy run's hand-overs read

Both ways write as many tokens behind the same prompts, sampled alike, with as many threads, in the same type of number
(float32 on a CPU, the model's own on a GPU), in turns. No model may end its turn, so that the batch stays whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from antiphon.dialect import Part
from antiphon.engine import base
from antiphon.engine.base import Chunk
from antiphon.engine.forward import Forward
from antiphon.engine.local import LocalEngine
from antiphon.engine.model_files import ModelFiles
from antiphon.problem import Problem
from antiphon.settings import Sampling, Settings, load
from antiphon.synth.cast import assemble
from antiphon.synth.run import Run
from antiphon.trace import Author, Status


def problems(count: int) -> list[Problem]:
    """As many questions, short and long ones."""
    return [
        Problem(
            f"p{n}",
            (
                {
                    "role": "user",
                    "content": f"A farmer plants {3 + n} rows of {5 + n % 7} trees. "
                    + "".join(f"In year {year} he fells {year + n % 3} of them. " for year in range(1, 1 + n % 4))
                    + "How many are left?",
                },
            ),
        )
        for n in range(count)
    ]


class HandOver(NamedTuple):
    """A request that is not its trace's first, in this model's tokens.

    `length` is the prefix, `heard` what the other author wrote since this model's last request, `own` what was put
    back of its own (a forced word, a word whose token was cut in two), `read` what the model read before it wrote: the
    prefix less what its row held.
    """

    length: int
    heard: int
    own: int
    read: int

    @property
    def beyond(self) -> int:
        """Read although no other author wrote it: more than the one last token that the next is drawn from where
        nothing is new."""
        return self.read - max(1, self.heard)


class Model:
    """A model that never ends its turn; the engines that it gives share its weights."""

    def __init__(self, reference: str, device: str):
        self.files = ModelFiles.read(reference)
        words = self.files.vocabulary.tokens.difference(self.files.vocabulary.controls.values())
        self._forward = Forward.load(self.files, device, words)
        self.device = self._forward.device
        self.hand_overs: list[HandOver] = []

    def engine(self) -> LocalEngine:
        """A new one, nothing cached."""
        return _Watched(self)


class _Watched(LocalEngine):
    def __init__(self, model: Model):
        super().__init__(model.files, model._forward, None)
        self._model = model

    async def open(self, parts: Iterable[Part]) -> Any:
        return _WatchedSequence(await super().open(parts), self._model.hand_overs)


class _WatchedSequence(base.Sequence):
    """Counts what is appended before each request and what the request reads."""

    def __init__(self, inner: base.Sequence, log: list[HandOver]):
        self.server = inner.server
        self._inner = inner
        self._log = log
        self._opened = False
        self._heard = self._own = 0

    @property
    def length(self) -> int:
        return self._inner.length

    async def append(self, parts: Iterable[Part]) -> array[int]:
        added = await self._inner.append(parts)
        self._heard += len(added)
        return added

    async def append_ids(self, ids: Iterable[int]) -> None:
        before = self.length
        await self._inner.append_ids(ids)
        self._own += self.length - before

    def truncate(self, length: int) -> None:
        # Only at a turn's end: what was appended since the request was the end of a word of its own.
        self._own, self._heard = self._own + self._heard, 0
        self._inner.truncate(length)

    async def stream(
        self, sampling: Sampling, max_tokens: int, stop_ids: Collection[int], seed: int | None = None, look: int = 1
    ) -> AsyncIterator[Chunk]:
        before = self.length
        async with aclosing(self._inner.stream(sampling, max_tokens, stop_ids, seed, look)) as chunks:
            async for chunk in chunks:
                if chunk.cached is not None:
                    if self._opened:
                        self._log.append(HandOver(before, self._heard, self._own, before - chunk.cached))
                    self._opened, self._heard, self._own = True, 0, 0
                yield chunk

    async def close(self) -> None:
        await self._inner.close()


def settings(method: str, traces: int, tokens: int) -> Settings:
    """Settings of a run whose thinking stops after so many tokens."""
    return load(
        flags={
            "method": method,
            "student.model": "student",
            "teacher.model": "teacher",
            "budget.thinking": tokens,
            "budget.answer": tokens,
            "guards.repetition": False,
            "concurrency": traces,
            "seed": 1,
        },
        environment={},
    )


class Time(NamedTuple):
    """What some work took, in seconds and in seconds of CPU, and what it gave."""

    wall: float
    cpu: float
    result: int

    @classmethod
    def of(cls, work: Callable[[], int]) -> Time:
        """Does it."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        return cls(time.perf_counter() - wall, time.process_time() - cpu, result)


def run(chosen: Settings, some: Sequence[Problem], models: dict[str, Model]) -> dict[Author, int]:
    """One run; the tokens that each role wrote."""
    with tempfile.TemporaryDirectory() as directory:
        work = Run(some, directory, chosen, open_engine=lambda name, **_: models[name].engine())
        asyncio.run(work.work())
    if Status.FAILED in work.tally.finished:
        raise RuntimeError(f"traces failed: {dict(work.tally.causes)}")
    return {role: usage.received for role, usage in work.tally.usage.items()}


def prompts(model: Model, chosen: Settings, some: Sequence[Problem]) -> list[list[int]]:
    """What the student reads before it writes."""

    async def encoded() -> list[list[int]]:
        cast = await assemble(chosen, open_engine=lambda *_, **__: model.engine())
        dialect = cast.score.voices[Author.STUDENT].dialect
        words = model.files.vocabulary
        start = [words.start_id] if words.start_id is not None else []
        found = []
        for problem in some:
            opening, thinking = words.encode_parts(dialect.render(problem.messages)), dialect.think_open
            found.append([*(start if list(opening[:1]) != start else []), *opening, *words.encode_parts(thinking)])
        return found

    return asyncio.run(encoded())


class Plain:
    """`generate` of transformers."""

    def __init__(self, files: ModelFiles, device: torch.device, sampling: Sampling):
        folder, gguf = (files.path.parent, files.path.name) if files.is_gguf else (files.path, None)
        dtype = torch.float32 if device.type == "cpu" else "auto"
        auto = transformers.AutoModelForCausalLM
        self._model = auto.from_pretrained(folder, gguf_file=gguf, dtype=dtype).to(device).eval()
        self._device = device
        self._model.generation_config = transformers.GenerationConfig(
            do_sample=True,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            pad_token_id=0,
        )

    @torch.inference_mode()
    def write(self, some: Sequence[Sequence[int]], tokens: int) -> int:
        """One batch behind these prompts, padded on the left; the tokens written."""
        longest = max(map(len, some))
        ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in some], device=self._device)
        real = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in some], device=self._device)
        written = self._model.generate(ids, attention_mask=real, max_new_tokens=tokens)
        return (written.shape[1] - longest) * len(some)


def beside_generate(model: Model, traces: int, tokens: int, rounds: int) -> dict[str, Any]:
    """`student_only` and `generate` in turns; medians.

    Raises:
        RuntimeError: one of them wrote less.
    """
    chosen, some = settings("student_only", traces, tokens), problems(traces)
    read = prompts(model, chosen, some)
    plain = Plain(model.files, model.device, chosen.student.sampling)
    ways: dict[str, Callable[[], int]] = {
        "student_only": lambda: run(chosen, some, {"student": model})[Author.STUDENT],
        "generate": lambda: plain.write(read, tokens),
    }
    plain.write(read[:1], 2)  # what only the first call does is not counted
    run(settings("student_only", 1, 2), some[:1], {"student": model})
    taken: dict[str, list[Time]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            taken[name].append(Time.of(work))
            if taken[name][-1].result != traces * tokens:
                raise RuntimeError(f"{name} wrote {taken[name][-1].result} tokens and not {traces * tokens}")
    row: dict[str, Any] = {"traces": traces, "tokens": tokens, "prompt_tokens": sum(map(len, read)), "rounds": rounds}
    for unit in ("wall", "cpu"):
        times = {name: [getattr(one, unit) for one in all_] for name, all_ in taken.items()}
        ratios = [ours / theirs for ours, theirs in zip(*times.values(), strict=True)]
        row[unit] = {
            **{name: round(traces * tokens / statistics.median(all_), 1) for name, all_ in times.items()},
            "ratio": round(statistics.median(ratios), 2),
            "ratios": [round(ratio, 2) for ratio in ratios],
        }
    return row


def hand_overs(student: Model, teacher: Model, traces: int, tokens: int) -> dict[str, dict[str, int]]:
    """By role, what a `tessy` run's requests after the first of each trace read, summed."""
    models = {"student": student, "teacher": teacher}
    for model in models.values():
        model.hand_overs.clear()
    run(settings("tessy", traces, tokens), problems(traces), models)
    return {
        role: {
            "hand_overs": len(model.hand_overs),
            **{name: sum(getattr(one, name) for one in model.hand_overs) for name in (*HandOver._fields, "beyond")},
        }
        for role, model in models.items()
    }


def show(row: dict[str, Any]) -> None:
    """The figures as tables."""
    if "wall" in row:
        print(f"{row['model']}, {row['traces']} traces of {row['tokens']} tokens, {row['prompt_tokens']} of prompts")
        print(f"{'tokens a second':<20}{'student_only':>14}{'generate':>10}   time, ours to theirs: median, all")
        for unit, name in (("wall", "of wall time"), ("cpu", "of CPU time")):
            told = row[unit]
            print(f"{name:<20}{told['student_only']:>14}{told['generate']:>10}   {told['ratio']}  {told['ratios']}")
    if "hand_overs" in row:
        columns = {
            "hand_overs": "hand-overs",
            "length": "prefixes",
            "heard": "the other's",
            "own": "put back",
            "read": "read",
            "beyond": "beyond",
        }
        print(f"{'tokens in all':<20}", *(f"{name:>12}" for name in columns.values()))
        for role, told in row["hand_overs"].items():
            print(f"{role:<20}", *(f"{told[name]:>12}" for name in columns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the student: a folder, a GGUF file, lab:student")
    parser.add_argument("--teacher", help="the same for the teacher; without one nothing is handed over")
    parser.add_argument("--traces", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64, help="written in each trace")
    parser.add_argument("--rounds", type=int, default=3, help="of both ways; 0: hand-overs only")
    parser.add_argument("--threads", type=int, default=1, help="torch's")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 ...")
    parser.add_argument("--to", type=Path, help="a file to which the figures are added as a line of JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.disable_progress_bar()
    student = Model(args.model, args.device)
    row: dict[str, Any] = {
        "bench": "local",
        "model": student.files.name,
        "device": args.device,
        "threads": args.threads,
    }
    if args.rounds:
        row |= beside_generate(student, args.traces, args.tokens, args.rounds)
    if args.teacher is not None:
        teacher = Model(args.teacher, args.device)
        row |= {"teacher": teacher.files.name, "hand_overs": hand_overs(student, teacher, args.traces, args.tokens)}
    show(row)
    if args.to is not None:
        with args.to.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
