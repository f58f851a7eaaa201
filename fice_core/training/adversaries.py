"""What StyleGAN2 minimises, and the forward pass of its generator in training.

Source: Karras et al. (CVPR 2020), sections 3 and 4, and "Training Generative Adversarial Networks with
Limited Data" (NeurIPS 2020), section 3. Images are in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ..networks.stylegan2 import Generator
from ..networks.stylegan2_layers import StyledConv, upsample
from .distributed import generator_of

PATH_DECAY, PATH_WEIGHT = 0.01, 2.0
ADA_TARGET, ADA_EVERY = 0.6, 4
_HALF_BLOCKS = 4  # blocks of the highest resolutions, which may compute with 16 bits


def random_noise(
    network: Generator, seed: int, step: int, phase: int, samples: Sequence[int]
) -> Tensor:
    """Noise of all layers for some samples of a step, (n, numbers), on the generator's device."""
    count = sum(layer.noise_const.numel() for layer in _styled(network))
    device = network.w_avg.device
    rows = [
        torch.randn(
            count, generator=generator_of(seed, step, k, phase, device=device), device=device
        )
        for k in samples
    ]
    return torch.stack(rows).to(network.w_avg)


def synthesize(
    network: Generator, w_plus: Tensor, noise: Tensor | None = None, half: bool = False
) -> Tensor:
    """Codes (n, num_ws, w_dim) -> images (n, 3, H, W) about [-1, 1], as `Generator.synthesis`.

    Args:
        network: the generator.
        w_plus: codes.
        noise: of all layers, see `random_noise`; None for the generator's own, which is constant.
        half: whether the convolutions of the highest resolutions multiply in bfloat16. The images of
            all blocks are added up in full precision.
    """
    heights = network.synthesis.heights
    used = 0

    def convolved(layer: StyledConv, x: Tensor, w: Tensor) -> Tensor:
        nonlocal used
        if noise is None:
            y: Tensor = layer(x, w)
            return y
        size = layer.noise_const.shape
        own = noise[:, used : used + size.numel()].view(-1, 1, *size)
        used += size.numel()
        y = functional_call(layer, {"noise_const": own}, (x, w))
        return y

    rgb: Tensor | None = None
    x = getattr(network.synthesis, "b4").const.expand(len(w_plus), -1, -1, -1)  # noqa: B009
    for k, height in enumerate(heights):
        block = getattr(network.synthesis, f"b{height}")
        ws = w_plus[:, max(2 * k - 1, 0) : 2 * k + 2].unbind(1)
        in_half = half and k >= len(heights) - _HALF_BLOCKS
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=in_half):
            if k:
                x = convolved(block.conv0, x, ws[0])
            x = convolved(block.conv1, x, ws[-2])
        x = x.to(w_plus.dtype)
        added = block.torgb(x, ws[-1])
        rgb = added if rgb is None else upsample(rgb) + added
    assert rgb is not None
    return rgb


def generator_loss(fake_logits: Tensor) -> Tensor:
    """The non-saturating loss of the generator."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The logistic loss of the discriminator."""
    return F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1: mean squared norm of the gradient of logits (n,) by images that they come from."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_lengths(images: Tensor, w_plus: Tensor, noise: Tensor) -> Tensor:
    """How far random changes of images are in W+, (n,).

    Args:
        images: (n, 3, H, W), computed from `w_plus`.
        w_plus: (n, num_ws, w_dim), with a gradient.
        noise: normal numbers, of the images' shape.
    """
    direction = noise / math.sqrt(images.shape[-2] * images.shape[-1])
    (gradient,) = torch.autograd.grad((images * direction).sum(), w_plus, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def default_gamma(resolution: tuple[int, int], batch: int) -> float:
    """Weight of R1 for images of (H, W) pixels and a batch: 0.0002 H W / batch."""
    return 0.0002 * resolution[0] * resolution[1] / batch


def average_decay(step: int, batch: int) -> float:
    """Share of the old average of the weights: its half-life grows to 10,000 images for each 32 of a batch.

    At first the half-life is a twentieth of the images that were seen.
    """
    half_life = min(batch * 10_000 / 32, 0.05 * step * batch)
    return float(0.5 ** (batch / max(half_life, 1e-8)))


class Controls(nn.Module):
    """Running numbers of the training, a part of the checkpoint.

    `probability` of augmentations, `signs` of the discriminator since the last change of it, and `path`,
    the running mean of the path lengths.
    """

    probability: Tensor
    signs: Tensor
    path: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("probability", "signs", "path"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    def judge(self, sign: float, step: int, batch: int, images: float) -> None:
        """Take in the mean sign of the discriminator on real images; adapt the probability.

        Every `ADA_EVERY` steps it moves by a fixed amount towards the target.

        Args:
            sign: mean sign at this step.
            step: its number.
            batch: images of a step.
            images: for which the probability changes by 1 at most; 0 keeps it.
        """
        self.signs += sign
        if (step + 1) % ADA_EVERY or not images:
            return
        above = float(self.signs) / ADA_EVERY - ADA_TARGET
        change = math.copysign(batch * ADA_EVERY / images, above) if above else 0.0
        self.probability.copy_((self.probability + change).clamp_min(0))
        self.signs.zero_()

    def lengthen(self, length: float) -> float:
        """Take in the mean path length of a step; returns the running mean."""
        self.path += PATH_DECAY * (length - self.path)
        return float(self.path)


def _styled(network: Generator) -> list[StyledConv]:
    """The layers with noise, in the order in which they are used."""
    found = []
    for height in network.synthesis.heights:
        block = getattr(network.synthesis, f"b{height}")
        found += [block.conv1] if height == 4 else [block.conv0, block.conv1]
    return found
