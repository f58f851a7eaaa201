"""Frozen networks made quicker without changing what they compute, but for rounding."""

from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from .resnet import ConvNorm

Network = TypeVar("Network", bound=nn.Module)


def quicken(network: Network) -> Network:
    """A network for use alone, changed in place: its keys are no longer those of its file.

    Batch normalisations are folded into the convolutions before them, and weights are laid out
    channels-last, as the convolutions of every backend read them fastest; pictures then follow.

    Args:
        network: frozen and in eval mode. A normalisation must stand right behind its convolution, in
            the order of definition as in that of computation, as in DensePose, the segmenter and CLIP.
    """
    # Not in inference mode, whose tensors could enter no graph.
    with torch.inference_mode(False), torch.no_grad():
        for module in [*network.modules()]:
            if isinstance(module, ConvNorm) and isinstance(module.norm, nn.BatchNorm2d):
                _fold_own(module, module.norm)
            for (name, first), (after, second) in pairwise([*module.named_children()]):
                # Not a ConvNorm, which is a convolution too: it has its own.
                if type(first) is nn.Conv2d and isinstance(second, nn.BatchNorm2d):
                    setattr(module, name, fuse_conv_bn_eval(first, second))
                    setattr(module, after, nn.Identity())
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network.requires_grad_(False)


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
