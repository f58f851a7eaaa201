"""Frozen critics that multiply in bfloat16, where the hardware is made for it."""

import copy
from typing import TypeVar

import torch
from torch import nn

from .clip import Clip
from .winograd import WinogradConv

Network = TypeVar("Network", bound=nn.Module)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has products of bfloat16; emulated, they are slower than those of float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Torch tells nobody else yet. An older one, which does not know, is not asked to.
    has_it = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and has_it is not None and bool(has_it())


def in_bfloat16(network: Network) -> Network:
    """A critic for use in autocast, with weights that need not be rounded again at every call.

    Weights of convolutions and linear layers are bfloat16; everything else is shared with `network`,
    which stays as it is, and autocast does the same to it as to the original. Of CLIP the vision tower
    alone is rounded. Winograd's convolutions, which would round what they add up, are plain ones again.
    """
    if not isinstance(network, nn.Module):
        return network  # a function in a critic's place: what it multiplies, autocast rounds
    twin = _shared(network)
    if isinstance(twin, Clip):
        twin.model = _shared(twin.model)
        twin.model.visual = in_bfloat16(twin.model.visual)
        return twin
    if isinstance(network, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        twin.weight = nn.Parameter(network.weight.bfloat16(), requires_grad=False)
    for name, child in network.named_children():
        setattr(
            twin, name, _plain(child) if isinstance(child, WinogradConv) else in_bfloat16(child)
        )
    return twin


def _plain(quick: WinogradConv) -> nn.Conv2d:
    weight = quick.weight()
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
    weight = weight.bfloat16().contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = quick.bias
    return conv.eval()


def _shared(module: Network) -> Network:
    """Another module with the same tensors and children, whose own can be exchanged."""
    twin = copy.copy(module)
    for table in ("_parameters", "_buffers", "_modules"):
        twin.__dict__[table] = dict(module.__dict__[table])
    return twin
