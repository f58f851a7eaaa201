"""Faster frozen networks by fusion and memory layout; results change by rounding only."""

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from ..networks.feature_pyramid import ReLUConv
from ..networks.resnet import ConvNorm
from ..networks.stylegan2 import Generator
from ..networks.stylegan2_layers import StyledConv
from ..ops.autograd import without_grad
from .bfloat16 import multiplies_bfloat16
from .module_sharing import Network, map_modules
from .winograd import WinogradConv, is_plain

if TYPE_CHECKING:
    from open_clip.modified_resnet import AttentionPool2d

# With fewer channels, the additions of a `WinogradConv` cost more than the multiplications it saves.
_MIN_WINOGRAD_CHANNELS = 256


def fuse_for_inference(network: Network) -> Network:
    """A faster network for inference, made from the given one, which is modified.

    For a critic:

    - Batch normalisations are folded into the convolutions before them.
    - Weights are channels-last, the fastest layout for convolutions on every backend. Activations
      then are channels-last too.
    - Taps of dilated convolutions outside of the image are skipped.
    - CLIP's attention pool computes only the token that is used.
    - Unless the device multiplies bfloat16, wide convolutions become Winograd convolutions (see
      `with_winograd`), which replace the original weights.

    The keys of its state dict are then no longer those of its file. For a generator, only the weights
    of the upsampling convolutions get another memory layout: channels-last would be slower, and tuning
    has to change the weights.

    Args:
        network: frozen and in eval mode. A normalisation must follow its convolution directly, both in
            the order of definition and in that of computation, as in DensePose, the segmenter and CLIP.
    """
    with without_grad():
        for module in [*network.modules()]:
            if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
                _fold_norm(module, module.norm)
            for (name, first), (after, second) in pairwise([*module.named_children()]):
                # Not a ConvNorm: it is a convolution too, but has its normalisation inside.
                if type(first) is nn.Conv2d and isinstance(second, nn.BatchNorm2d):
                    setattr(module, name, fuse_conv_bn_eval(first, second))
                    setattr(module, after, nn.Identity())
        for module in [*network.modules()]:
            for name, child in [*module.named_children()]:
                if _is_attention_pool(child):
                    setattr(module, name, OneQueryPool(child))
                elif type(child) is nn.Conv2d and _is_dilated(child):
                    setattr(module, name, DilatedConv(child))
            if isinstance(module, StyledConv) and module.up:
                transposed = module.weight.data.transpose(0, 1).contiguous()
                module.weight.data = transposed.transpose(0, 1)
        for parameter in network.parameters():
            if parameter.ndim == 4 and not isinstance(network, Generator):
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        network.requires_grad_(False)
        if multiplies_bfloat16(next(network.parameters()).device):
            return network
        return with_winograd(network)


def with_winograd(network: Network) -> Network:
    """The frozen network with `WinogradConv`s in place of wide 3x3 convolutions, on a CPU only.

    All else is shared with `network`. The libraries of other devices choose such algorithms themselves.
    """
    if not isinstance(network, nn.Module):
        return network  # a function in place of a critic
    if any(parameter.device.type != "cpu" for parameter in network.parameters()):
        return network
    faster: Network = map_modules(network, _winograd)
    return faster


class DilatedConv(nn.Module):
    """A 3x3 convolution, padded by its dilation, that skips taps which only read padding.

    Raises:
        ValueError: the padding is not the dilation.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        if conv.padding != conv.dilation:
            raise ValueError(f"not padded by its dilation: {conv}")
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, H, W)."""
        if self.conv.stride == (1, 1) and min(self.conv.dilation) >= max(x.shape[-2:]):
            return F.conv2d(x, self.conv.weight[:, :, 1:2, 1:2], self.conv.bias)
        whole: Tensor = self.conv(x)
        return whole


class OneQueryPool(nn.Module):
    """CLIP's attention pool, computed only for the query that is used, the mean token.

    The matrix of the keys is applied to the query instead of every token, and that of the values to the
    weighted mean of the tokens of each head. The bias of the keys adds the same number to all logits of
    a head, so softmax cancels it.
    """

    def __init__(self, pool: "AttentionPool2d") -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D)."""
        pool = self.pool
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        tokens = tokens + pool.positional_embedding

        def by_head(features: Tensor) -> Tensor:  # (..., C) -> (..., heads, C / heads)
            split: Tensor = features.unflatten(-1, (pool.num_heads, -1))
            return split

        query = by_head(pool.q_proj(tokens[:, 0]))
        keys = pool.k_proj.weight.unflatten(0, (pool.num_heads, -1))
        values = pool.v_proj.weight.unflatten(0, (pool.num_heads, -1))
        projected = torch.einsum("nhd,hdc->nhc", query, keys) / query.shape[-1] ** 0.5
        attention = torch.einsum("nhc,nlc->nhl", projected, tokens).softmax(dim=-1)
        mean = torch.einsum("nhl,nlc->nhc", attention, tokens)
        heads = torch.einsum("nhc,hdc->nhd", mean, values) + by_head(pool.v_proj.bias)
        pooled: Tensor = pool.c_proj(heads.flatten(1))
        return pooled


def _winograd(module: nn.Module) -> nn.Module | None:
    """A `WinogradConv` for a wide plain convolution, with the ReLU or normalisation of its class.

    None for any other module.
    """
    if not (isinstance(module, nn.Conv2d) and is_plain(module)):
        return None
    if min(module.in_channels, module.out_channels) < _MIN_WINOGRAD_CHANNELS:
        return None
    conv = WinogradConv(module)
    if isinstance(module, ReLUConv):
        return nn.Sequential(conv, nn.ReLU(inplace=True))
    return nn.Sequential(conv, module.norm) if isinstance(module, ConvNorm) else conv


def _is_dilated(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (3, 3) and conv.dilation[0] > 1


def _is_attention_pool(module: nn.Module) -> bool:
    # By name: open_clip takes over a second to import, and only CLIP needs it.
    kind = type(module)
    return kind.__name__ == "AttentionPool2d" and kind.__module__.startswith("open_clip.")


def _fold_norm(conv: ConvNorm, norm: nn.BatchNorm2d) -> None:
    """Fold the normalisation of `conv` into its weight and bias."""
    assert norm.running_mean is not None and norm.running_var is not None
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    conv.norm = nn.Identity()
