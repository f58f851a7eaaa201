"""Frozen critics that multiply in bfloat16, on hardware that supports it."""

import torch
from torch import nn

from ..networks.clip import Clip
from .module_sharing import Network, map_modules, shallow_copy
from .winograd import WinogradConv


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulation is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Torch has no public function for this yet, and older versions do not have this one.
    is_supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and is_supported is not None and bool(is_supported())


def in_bfloat16(network: Network) -> Network:
    """A critic for use in autocast whose weights are rounded to bfloat16 once, not at every call.

    The weights of convolutions and linear layers, and the biases of convolutions, are bfloat16. All
    else is shared with `network`, which does not change. Autocast treats it as in the original. Of
    CLIP, only the vision tower is rounded. Winograd convolutions become plain ones again, because
    their sums would be rounded too.
    """
    if not isinstance(network, nn.Module):
        return network  # a function in place of a critic; autocast rounds what it multiplies
    rounded: Network = map_modules(network, _rounded)
    return rounded


def _rounded(module: nn.Module) -> nn.Module | None:
    """The module with bfloat16 weights; None for one that stays as it is."""
    if isinstance(module, Clip):
        clip = shallow_copy(module)
        clip.model = shallow_copy(clip.model)
        clip.model.visual = in_bfloat16(clip.model.visual)
        return clip
    if isinstance(module, WinogradConv):
        return _plain(module)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        copy = shallow_copy(module)
        copy.weight = _rounded_parameter(module.weight)
        if not isinstance(module, nn.Linear) and module.bias is not None:
            copy.bias = _rounded_parameter(module.bias)
        return copy
    return None


def _plain(winograd: WinogradConv) -> nn.Conv2d:
    """The plain convolution that a `WinogradConv` was made from, in bfloat16."""
    weight = winograd.weight()
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
    weight = weight.bfloat16().contiguous(memory_format=torch.channels_last)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = None if winograd.bias is None else _rounded_parameter(winograd.bias)
    return conv.eval()


def _rounded_parameter(parameter: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.bfloat16(), requires_grad=False)
