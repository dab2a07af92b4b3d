"""GPUs that `plan` knows, from their makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU.

    Attributes:
        name: As on its data sheet.
        memory: Bytes.
        flops: Dense bfloat16 operations a second.
        bandwidth: Bytes of its memory a second.
    """

    name: str
    memory: float
    flops: float
    bandwidth: float


GPUS = {
    "h200": Gpu("H200 SXM", 141e9, 989e12, 4.8e12),
    "h100": Gpu("H100 SXM", 80e9, 989e12, 3.35e12),
    "b200": Gpu("B200", 180e9, 2250e12, 7.7e12),
    "a100": Gpu("A100 80 GB", 80e9, 312e12, 2.04e12),
    "a100_40gb": Gpu("A100 40 GB", 40e9, 312e12, 1.56e12),
    "l40s": Gpu("L40S", 48e9, 362e12, 0.864e12),
    "a10g": Gpu("A10G", 24e9, 70e12, 0.6e12),
    "4090": Gpu("RTX 4090", 24e9, 165e12, 1.01e12),
    "3090": Gpu("RTX 3090", 24e9, 71e12, 0.936e12),
}
DEFAULT = "h100"

USABLE = 0.92
"""Share of a GPU's memory that is planned with: the rest is the CUDA context and what the allocator cannot join."""
