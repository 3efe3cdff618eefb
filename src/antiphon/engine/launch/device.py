"""Where servers find memory: the GPUs of this machine by `nvidia-smi`, and its own memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

_QUERY = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
_CGROUP = Path("/sys/fs/cgroup")


class Device(NamedTuple):
    """A GPU, or the CPU with the machine's memory. Sizes in bytes; `free` is what is free now."""

    name: str
    total: int
    free: int
    uuid: str | None = None
    """As `CUDA_VISIBLE_DEVICES` may call a GPU; None for the CPU."""

    @property
    def is_gpu(self) -> bool:
        """Whether it is one, and not the CPU."""
        return self.uuid is not None

    @property
    def usable(self) -> int:
        """What may be given away of what is free: of a GPU nearly all, of the machine's memory what leaves others
        alive and page cache for the weights."""
        return int(self.free * (0.92 if self.is_gpu else 0.6))


def nvidia_smi() -> str:
    """What the program says of all GPUs; nothing where there is none."""
    try:
        return subprocess.run(_QUERY, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def gpus(query: Callable[[], str] = nvidia_smi, environment: Mapping[str, str] | None = None) -> list[Device]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves visible, in its order.

    Args:
        query: gives lines of index, UUID, name, and total and free MiB.
        environment: defaults to the process's.
    """
    found: dict[str, Device] = {}
    for line in query().splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 5:
            continue  # a message
        index, uuid, name, total, free = fields
        if total.isdigit() and free.isdigit():
            found[index] = Device(f"GPU {index} ({name})", int(total) << 20, int(free) << 20, uuid)
        else:  # it shares the machine's memory
            own = memory()
            found[index] = Device(f"GPU {index} ({name})", own.total, own.free, uuid)
    visible = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return list(found.values())
    wanted = [entry.strip() for entry in visible.split(",")]
    named = {device.uuid: device for device in found.values()} | found
    return [named[entry] for entry in wanted if entry in named]


def memory() -> Device:
    """The CPU's memory, as far as this process may use it (its control group may have less than the machine)."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = free = os.sysconf("SC_PHYS_PAGES") * page
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) << 10
    limit, used = _text(_CGROUP / "memory.max").strip(), _text(_CGROUP / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        total, free = min(total, int(limit)), min(free, int(limit) - int(used))
    return Device("this machine", total, max(0, free))


def cores() -> list[int]:
    """The CPU cores that this process may use, no more of them than its control group pays for."""
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    quota, _, period = _text(_CGROUP / "cpu.max").partition(" ")
    if quota.isdigit():
        own = own[: max(1, int(quota) // int(period))]
    return own


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except OSError:
        return ""
