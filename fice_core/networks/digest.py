"""What tells the weights of two networks apart, for files that are kept beside them."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def add_tensors(digest: hashlib._Hash, network: nn.Module) -> None:
    """Add all parameters and buffers of a network, in bits, to a digest."""
    for name, value in (*network.named_parameters(), *network.named_buffers()):
        digest.update(repr((name, value.dtype, tuple(value.shape), value.stride())).encode())
        # numpy has no bfloat16
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
