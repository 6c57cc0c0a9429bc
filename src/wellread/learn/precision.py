"""Whether a machine computes in bfloat16."""

from __future__ import annotations

import torch

from wellread.learn.settings import LoopConfig


def uses_bf16(config: LoopConfig, device: str) -> bool:
    """Return whether a run autocasts to bfloat16: as its settings say, or where the device multiplies in it.

    >>> uses_bf16(LoopConfig(bf16="true"), "cpu")
    True
    """
    if config.bf16 != "auto":
        return config.bf16 == "true"
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch says it of a CPU under these names alone; releases that lack one make do with float32
    known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in known)
