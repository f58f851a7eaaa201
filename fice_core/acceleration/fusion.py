"""Frozen networks made quicker without changing what they compute, but for rounding."""

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from ..networks.feature_pyramid import ReLUConv
from ..networks.resnet import ConvNorm
from ..networks.stylegan2 import Generator, StyledConv
from ..ops.autograd import without_grad
from .bfloat16 import multiplies_bfloat16
from .module_sharing import Network, map_modules
from .winograd import WinogradConv, is_plain

if TYPE_CHECKING:
    from open_clip.modified_resnet import AttentionPool2d

# With fewer channels than this the additions of a `WinogradConv` cost more than the multiplications saved.
_MANY_CHANNELS = 256


def fuse_for_inference(network: Network) -> Network:
    """A network for use alone, made of the given one, which is changed; a critic's keys are no longer
    those of its file.

    Batch normalisations are folded into the convolutions before them, and weights are laid out
    channels-last, as the convolutions of every backend read them fastest; pictures then follow. Left out
    are taps of dilated convolutions that lie outside of the picture, and what CLIP's attention pool finds
    out for tokens that nothing asks for. Where critics are not rounded to bfloat16 anyhow, they multiply
    less, see `with_winograd`, and the weights that this is not done with are not kept.

    A generator's weights are only laid out as its upsampling convolutions read them: channels-last it
    would be slower, and tuning must be able to change it.

    Args:
        network: frozen and in eval mode. A normalisation must stand right behind its convolution, in
            the order of definition as in that of computation, as in DensePose, the segmenter and CLIP.
    """
    with without_grad():
        for module in [*network.modules()]:
            if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
                _fold_own(module, module.norm)
            for (name, first), (after, second) in pairwise([*module.named_children()]):
                # Not a ConvNorm, which is a convolution too: it has its own.
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
                turned = module.weight.data.transpose(0, 1).contiguous()
                module.weight.data = turned.transpose(0, 1)
        for parameter in network.parameters():
            if parameter.ndim == 4 and not isinstance(network, Generator):
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        network.requires_grad_(False)
        if multiplies_bfloat16(next(network.parameters()).device):
            return network
        return with_winograd(network)


def with_winograd(network: Network) -> Network:
    """A network that shares all with a frozen one but its wide 3x3 convolutions: on a CPU these are
    `WinogradConv`s. Other devices' libraries choose such algorithms themselves."""
    if not isinstance(network, nn.Module):
        return network  # a function in a critic's place
    if any(parameter.device.type != "cpu" for parameter in network.parameters()):
        return network
    found: Network = map_modules(network, _fewer_products)
    return found


class DilatedConv(nn.Module):
    """A 3x3 convolution, padded by its dilation, that leaves out taps which see nothing but padding."""

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
    """CLIP's attention pool with its one query alone: the mean token's.

    The keys' matrix is applied to the query rather than to every token, and the values' to each head's
    mixture of tokens. The keys' bias adds the same to all of a head's logits, which softmax takes out.
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

        def by_head(each: Tensor) -> Tensor:  # (..., C) -> (..., heads, C / heads)
            split: Tensor = each.unflatten(-1, (pool.num_heads, -1))
            return split

        query = by_head(pool.q_proj(tokens[:, 0]))
        keys = pool.k_proj.weight.unflatten(0, (pool.num_heads, -1))
        values = pool.v_proj.weight.unflatten(0, (pool.num_heads, -1))
        asked = torch.einsum("nhd,hdc->nhc", query, keys) / query.shape[-1] ** 0.5
        attention = torch.einsum("nhc,nlc->nhl", asked, tokens).softmax(dim=-1)
        mixed = torch.einsum("nhl,nlc->nhc", attention, tokens)
        found = torch.einsum("nhc,hdc->nhd", mixed, values) + by_head(pool.v_proj.bias)
        pooled: Tensor = pool.c_proj(found.flatten(1))
        return pooled


def _fewer_products(module: nn.Module) -> nn.Module | None:
    """The convolution, and what the class does behind it."""
    if not (isinstance(module, nn.Conv2d) and is_plain(module)):
        return None
    if min(module.in_channels, module.out_channels) < _MANY_CHANNELS:
        return None
    quick = WinogradConv(module)
    if isinstance(module, ReLUConv):
        return nn.Sequential(quick, nn.ReLU(inplace=True))
    return nn.Sequential(quick, module.norm) if isinstance(module, ConvNorm) else quick


def _is_dilated(conv: nn.Conv2d) -> bool:
    return conv.kernel_size == (3, 3) and conv.dilation[0] > 1


def _is_attention_pool(module: nn.Module) -> bool:
    # By name: open_clip takes over a second to import, and networks of other kinds need it not.
    kind = type(module)
    return kind.__name__ == "AttentionPool2d" and kind.__module__.startswith("open_clip.")


def _fold_own(conv: ConvNorm, norm: nn.BatchNorm2d) -> None:
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
