"""Frozen critics that multiply in bfloat16, where the hardware is made for it."""

import torch
from torch import nn

from ..networks.clip import Clip
from .module_sharing import Network, map_modules, shallow_copy
from .winograd import WinogradConv


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has products of bfloat16; emulated, they are slower than those of float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Torch tells nobody else yet. An older one, which does not know, is not asked to.
    has_it = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and has_it is not None and bool(has_it())


def in_bfloat16(network: Network) -> Network:
    """A critic for use in autocast, with weights that need not be rounded again at every call.

    Weights of convolutions and linear layers, and the convolutions' biases, are bfloat16; everything else
    is shared with `network`, which stays as it is, and autocast does the same to it as to the original.
    Of CLIP the vision tower alone is rounded. Winograd's convolutions, which would round what they add up,
    are plain ones again.
    """
    if not isinstance(network, nn.Module):
        return network  # a function in a critic's place: what it multiplies, autocast rounds
    found: Network = map_modules(network, _rounded)
    return found


def _rounded(module: nn.Module) -> nn.Module | None:
    if isinstance(module, Clip):
        clip = shallow_copy(module)
        clip.model = shallow_copy(clip.model)
        clip.model.visual = in_bfloat16(clip.model.visual)
        return clip
    if isinstance(module, WinogradConv):
        return _plain(module)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        found = shallow_copy(module)
        found.weight = _rounded_parameter(module.weight)
        if not isinstance(module, nn.Linear) and module.bias is not None:
            found.bias = _rounded_parameter(module.bias)
        return found
    return None


def _plain(quick: WinogradConv) -> nn.Conv2d:
    weight = quick.weight()
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
    weight = weight.bfloat16().contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = None if quick.bias is None else _rounded_parameter(quick.bias)
    return conv.eval()


def _rounded_parameter(parameter: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.bfloat16(), requires_grad=False)
