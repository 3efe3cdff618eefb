"""Where a model computes: devices by their names, and what one says that is full."""

from __future__ import annotations

from typing import Any

import torch

from antiphon.errors import ModelError

FULL = (torch.OutOfMemoryError, torch.AcceleratorError)
"""What PyTorch raises when a device's memory is full: of the second kind where not even its own context goes in. See
`full`."""


def usable_device(name: str) -> torch.device:
    """A device by its name; auto: the first GPU, or the CPU.

    Raises:
        ModelError: it cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"device {name!r} cannot be used: {reason}") from None
    return device


def placed(model: Any, device: torch.device) -> Any:
    """The model on a device.

    Raises:
        ModelError: it does not go into its memory.
    """
    try:
        return model.to(device)
    except FULL as error:
        raise ModelError(
            f"{full(error)}; name another device (cpu, cuda:1 ...) or free this one: nvidia-smi says what is in it"
        ) from None


def full(error: RuntimeError) -> str:
    """What a device whose memory is full says for itself, less its advice to programmers; what PyTorch holds there
    unused is given back.

    Raises:
        RuntimeError: the error, where it is another.
    """
    if "out of memory" not in str(error):
        raise error
    if isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
    return ". ".join(str(error).splitlines()[0].split(". ")[:3]).rstrip(".")
