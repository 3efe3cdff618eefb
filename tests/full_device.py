"""What PyTorch raises where a device's memory is full, and where something else is wrong with it."""

from __future__ import annotations

import torch

ROOM = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which 1.00 GiB is free"
)
"""What of it is told."""

FULL = torch.OutOfMemoryError(f"{ROOM}. Including non-PyTorch memory, this process has 7.00 GiB in use. Of the ...")
CROWDED = torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported.")
BROKEN = torch.AcceleratorError("CUDA error: device-side assert triggered\nCompile with TORCH_USE_CUDA_DSA.")
