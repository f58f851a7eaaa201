"""Random networks of the published sizes: the cost of a step does not depend on the weights."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from ..acceleration.fusion import fuse_for_inference
from ..acceleration.module_sharing import Network
from ..errors import FiceError
from ..models import Models, kept_on_gpus
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..networks.e4e import BodyBlock, Encoder
from ..networks.segmenter import Segmenter
from ..networks.stylegan2 import Generator
from ..networks.stylegan2_layers import StyledConv, ToRGB
from ..ops.autograd import without_grad

SMALLEST, LARGEST = 32, 1024
# Scale of the last convolution of a residual block. Without it, the sum of random blocks grows, the
# softmax after them saturates, and all gradients are 0.
_RESIDUAL_SCALE = 0.4
# Standard deviation of the input of DensePose's first convolution: images in 0..255 minus their mean.
_DENSEPOSE_DEVIATION = 60.0
_TORGB_SCALE = 0.25  # the sum of the images of all blocks then has a standard deviation of about 1


def configurations(size: int = 256) -> dict[str, dict[str, Any]]:
    """Constructor arguments of the five networks that the authors of FICE published.

    Args:
        size: side of the generator's images; the authors' generator has 256. Other sizes have the
            channels of StyleGAN2-ADA's `auto` configuration, as the authors' has, and the number of w
            for their size.

    Raises:
        FiceError: the size is not a power of two from 32 to 1024.
    """
    if not SMALLEST <= size <= LARGEST or size & (size - 1):
        raise FiceError(f"the size is {size}, but must be a power of two from 32 to 1024")
    num_ws = 2 * int(math.log2(size)) - 2
    return {
        "generator": {
            "resolution": [size, size],
            "z_dim": 512,
            "w_dim": 512,
            "channel_base": 32768 if size >= 512 else 16384,
            "channel_max": 512,
            "mapping_layers": 2,
            "conv_clamp": 256.0,
        },
        "encoder": {
            "input_size": 256,
            "stages": [[64, 3], [128, 4], [256, 14], [512, 3]],
            "num_styles": num_ws,
            "style_dim": 512,
            "head_channels": 512,
        },
        "densepose": {
            "stem_channels": 64,
            "width": 64,
            "blocks": [3, 4, 6, 3],
            "fpn_channels": 256,
            "decoder_channels": 256,
            "head": "s1x",
            "head_convs": 8,
            "head_channels": 512,
            "coarse_channels": 2,
            "pooler_size": 28,
        },
        "segmenter": {
            "stem_channels": 64,
            "width": 64,
            "blocks": [3, 4, 6, 3],
            "aspp_channels": 256,
        },
        "clip": {
            "embed_dim": 640,
            "vision_cfg": {
                "layers": [4, 6, 10, 6],
                "width": 80,
                "patch_size": None,
                "image_size": 288,
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 49408,
                "width": 640,
                "heads": 10,
                "layers": 12,
            },
            "quick_gelu": True,
        },
    }


def random_models(
    arguments: Mapping[str, Mapping[str, Any]],
    device: str = "cpu",
    quick: bool = True,
    seed: int = 0,
) -> Models:
    """The five networks with these constructor arguments and random weights, frozen.

    Args:
        arguments: by kind, see `configurations`.
        device: a torch device.
        quick: as in `load_models`.
        seed: the same seed gives the same networks; torch's random state does not change.
    """

    def random(kind: type[Network], name: str) -> Network:
        with without_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = kind(**arguments[name])
            _fill(network)
        return network.to(device).eval().requires_grad_(False)

    def ready(kind: type[Network], name: str) -> Network:
        network = random(kind, name)
        return fuse_for_inference(network) if quick else network

    return Models(
        generator=ready(Generator, "generator"),
        load_encoder=kept_on_gpus(partial(random, Encoder, "encoder"), device),
        densepose=ready(DensePose, "densepose"),
        segmenter=ready(Segmenter, "segmenter"),
        clip=ready(Clip, "clip"),
    )


def _fill(network: nn.Module) -> None:
    """Set parameters to magnitudes of trained networks, where those of the constructor differ."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.weight.normal_(1.0, 0.1)
            module.bias.normal_(0.0, 0.1)
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.log_normal_(0.0, 0.1)
        elif isinstance(module, StyledConv):
            module.noise_strength.normal_(0.0, 0.1)
        elif isinstance(module, ToRGB):
            module.weight.mul_(_TORGB_SCALE)
        elif isinstance(module, DensePose):
            module.backbone.bottom_up.stem.conv1.weight /= _DENSEPOSE_DEVIATION
        elif isinstance(module, BodyBlock):
            inner = module.res_layer[3]
            assert isinstance(inner, nn.Conv2d)
            inner.weight.mul_(_RESIDUAL_SCALE)
        last = getattr(module, "conv3", None)
        if isinstance(last, nn.Conv2d):  # a bottleneck of either layout
            last.weight.mul_(_RESIDUAL_SCALE)
