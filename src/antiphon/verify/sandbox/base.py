"""What runs in a sandbox, within which limits, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    Attributes:
        cpu: seconds of processor time of each of its processes, rounded up to whole ones.
        wall: seconds by the clock, of all of it. It bounds what sleeps, waits or has many processes; that it is longer
            than `cpu` keeps a busy machine from turning a right answer into a slow one.
        memory: bytes of all its processes and of the files it writes, where there is a cgroup; else of address space
            of each process.
        disk: bytes of files in `/tmp`, where it works, and as many again in `/dev/shm`.
        output: bytes that it may write to stdout and to stderr each; beyond that it is ended.
        processes: processes and threads at once.
    """

    cpu: float = 10.0
    wall: float = 30.0
    memory: int = 1024 * MIB
    disk: int = 256 * MIB
    output: int = 8 * MIB
    processes: int = 64


@dataclass(frozen=True, slots=True)
class Program:
    """A command, the files it finds in the folder where it starts, and its standard input."""

    command: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    stdin: bytes = b""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended.

    Attributes:
        status: its exit status, 128 + n where signal n ended it; None where it was ended from outside.
        stdout, stderr: what it wrote, at most `Limits.output` bytes each.
        seconds: how long it took by the clock.
        timed_out: a limit on time ended it.
        out_of_memory: the limit on memory ended a process of it (known where there is a cgroup).
        cut: it wrote more than it may, and was ended.
    """

    status: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    out_of_memory: bool = False
    cut: bool = False
