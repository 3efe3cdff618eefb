"""A local path is a server: started for a model, watched, and ended with the run, however the run ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from antiphon.engine.launch.device import Device, cores, gpus, memory
from antiphon.engine.launch.process import Process, free_port
from antiphon.engine.launch.program import PROGRAMS, Load, Place, Program
from antiphon.engine.launch.share import Share, Size, shares
from antiphon.engine.launch.size import Model
from antiphon.engine.model_files import EMBEDDED
from antiphon.errors import EngineUnavailable, ModelError

__all__ = ["Launch", "Share", "Size", "arrange", "shares", "start_all"]

PATIENCE = 1200.0
"""Seconds until a server must be ready: large weights from a slow disk, and graphs to compile."""

_KEYS = ("LLAMA_API_KEY", "VLLM_API_KEY")  # they would lock us out of a server that only this machine reaches


class Launch:
    """One server to be started for one model. See `for_model`."""

    def __init__(
        self, program: Program, model: Model, device: str, context: int | None, slots: int | None, memory: int | None
    ):
        self._program, self._model, self._device = program, model, device
        self._context, self._slots, self._memory = context, slots, memory
        self._place: Place | None = None
        self._process: Process | None = None
        self._port: int | None = None
        self._was_ready = False
        self.command: list[str] = []
        """The argument vector of the server, once it is started."""

    @classmethod
    def for_model(
        cls,
        reference: str,
        *,
        kind: Literal["auto", "llama-server", "vllm"] = "auto",
        device: str = "auto",
        context: int | None = None,
        slots: int | None = None,
        memory: int | None = None,
    ) -> Self | None:
        """The server for a model on this machine; nothing is started yet.

        Args:
            reference: a `.gguf` file or a Hugging Face folder.
            kind: auto: llama-server for a file and vLLM for a folder, where installed.
            device: auto (a GPU, or the CPU), cpu, cuda, cuda:1 ...
            context: tokens of one sequence; None: what the model was made for, or as much of it as memory has room for.
            slots: sequences at once; None: what the server does well.
            memory: bytes that it may take of its device; None: see `shares`.

        Returns:
            None where `kind` is auto and no server is installed for such a model: it is then run in this process.

        Raises:
            ModelError: the server that is asked for is not installed or cannot serve this; the files cannot be read;
                the context is longer than the model was made for.
        """
        path = _path(reference)
        if kind == "auto":
            fitting = None if reference in EMBEDDED else next((each for each in PROGRAMS if each.serves(path)), None)
            program = fitting.find() if fitting else None
            if program is None:
                return None
        else:
            program = _asked_for(kind, reference, path)
        model = program.read(path.resolve())
        if context is not None and model.context is not None and context > model.context:
            raise ModelError(
                f"{model.name} was made for {model.context:,} tokens, too few for a context of {context:,}"
            )
        return cls(program, model, device, context, slots, memory)

    @property
    def name(self) -> str:
        """The model as the server calls it: its folder's or file's own name."""
        return self._model.name

    @property
    def warning(self) -> str | None:
        """What a user should know before the start, in one sentence; None mostly."""
        if self._model.template:
            return None
        return f"{self.name} brings no chat template: its dialect is found by its control tokens, else it is 'plain'"

    @property
    def log(self) -> Path | None:
        """The file with all that the server writes, while it is started. It stays where the server did not end well."""
        return self._process.log if self._process else None

    @property
    def ended(self) -> str | None:
        """How the server ended by itself, with the end of its log; None while it runs or where it was not started."""
        return self._process.ended if self._process else None

    async def start(self, patience: float = PATIENCE) -> str:
        """Starts the server and waits until it serves. Gives its URL, `http://127.0.0.1:PORT`.

        Called again it gives the same URL, and starts the server anew if it has ended meanwhile. Without `arrange`
        it takes its device for itself. One task at a time.

        Raises:
            ModelError: it does not fit into memory, or ended before it was ready.
            EngineUnavailable: not ready within `patience` seconds, or ended in a later start.
            Both show the end of its log; nothing is left running.
        """
        if self._process is not None and self.ended is None:
            return self._url
        await self.stop()
        if self._place is None:
            arrange([self])
        self._process = self._begin()
        try:
            await self._process.ready(patience)
        except ModelError as error:
            await self.stop()
            raise (EngineUnavailable(str(error)) if self._was_ready else error) from None
        except BaseException:
            await self.stop()
            raise
        self._was_ready = True
        return self._url

    async def stop(self) -> None:
        """Ends the server with all its children: it is asked, after 10 s it is killed. Safe to call twice."""
        if self._process is not None:
            await asyncio.shield(self._process.stop())
            self._process = None

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _begin(self) -> Process:
        assert self._place is not None
        if self._port is None:
            self._port = free_port()
        slots = self._slots or self._program.default_slots[self._place.device.is_gpu]
        context = self._context or self._program.context(self._model, slots, self._place)
        load = Load(self._model, context, slots)
        self.command = self._program.command(load, self._port, self._place)
        environment = {name: value for name, value in os.environ.items() if name not in _KEYS}
        environment |= self._program.environment(load, self._place)
        return Process(f"{self._program.name} for {self.name}", self.command, environment, self._port)

    def _size(self, devices: Sequence[Device]) -> Size:
        """What it takes, and on which devices (the GPUs, then the CPU) it may be put."""
        graphics = len(devices) - 1
        kind, _, number = self._device.partition(":")
        if kind == "cuda" and not ((number or "0").isdecimal() and int(number or 0) < graphics):
            raise ModelError(f"{self.name}: there is no {self._device}; nvidia-smi shows {graphics} visible GPU(s)")
        if kind == "cuda" and not self._program.offloads:
            raise ModelError(f"{self.name}: this {self._program.name} was built without a GPU; say device = cpu")
        on_gpu = kind == "cuda" or (kind == "auto" and graphics > 0 and self._program.offloads)
        where = [graphics] if not on_gpu else [int(number)] if number else range(graphics)
        slots = self._slots or self._program.default_slots[on_gpu]
        return replace(self._program.size(self._model, self._context, slots, on_gpu, self._memory), where=where)


def arrange(launches: Sequence[Launch], devices: Sequence[Device] | None = None) -> list[Launch]:
    """Gives each its device, its memory and, where several run on the CPU, its cores. To be called for all servers of
    a run together before any is started.

    Args:
        devices: the GPUs, and the CPU as the last; None: those of this machine.

    Returns:
        The launches in the order in which they are to be started, one after the other (see `shares`).

    Raises:
        ModelError: they do not fit together, or a device is not there.
    """
    devices = [*gpus(), memory()] if devices is None else devices
    given = shares([launch._size(devices) for launch in launches], [device.usable for device in devices])
    on_cpu = [launch for launch, share in zip(launches, given, strict=True) if not devices[share.device].is_gpu]
    own = cores()
    each = max(1, len(own) // max(1, len(on_cpu)))
    for launch, share in zip(launches, given, strict=True):
        mine: list[int] = []
        if launch in on_cpu and each < (os.cpu_count() or 1):
            first = on_cpu.index(launch) * each % len(own)
            mine = own[first : first + each]
        launch._place = Place(devices[share.device], share.memory, mine, launch._device == "cpu")
    memories = {id(launch): share.memory for launch, share in zip(launches, given, strict=True)}
    return sorted(launches, key=lambda launch: -memories[id(launch)])


async def start_all(launches: Sequence[Launch]) -> list[str]:
    """Arranges and starts several servers, one after the other. Gives their URLs in the order of `launches`.

    Raises:
        ModelError, EngineUnavailable: see `arrange` and `Launch.start`; none is left running.
    """
    try:
        urls = {id(launch): await launch.start() for launch in arrange(launches)}
    except BaseException:
        await asyncio.gather(*(launch.stop() for launch in launches))
        raise
    return [urls[id(launch)] for launch in launches]


def _path(reference: str) -> Path:
    if reference in EMBEDDED:
        return Path(__file__).parents[2] / "lab" / "models" / reference.removeprefix("lab:")
    return Path(reference).expanduser()


def _asked_for(kind: str, reference: str, path: Path) -> Program:
    """The program by its name, able to serve the path."""
    wanted = next(program for program in PROGRAMS if program.name.lower() == kind)
    if not path.exists():
        raise ModelError(f"{reference}: there is no such model")
    if not wanted.serves(path):
        raise ModelError(f"{reference}: {wanted.name} is started for {wanted.files}, which this is not")
    program = wanted.find()
    if program is None:
        raise ModelError(f"{reference}: {wanted.name} is not installed; {wanted.install}")
    return program
