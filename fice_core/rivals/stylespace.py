"""StyleSpace: the outputs of the generator's affine layers (Wu et al. 2021, arXiv 2011.12799)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from ..networks.stylegan2 import Generator
from ..networks.stylegan2_layers import StyledConv
from ..ops.autograd import without_grad

_AT_ONCE = 2000


def layers(generator: Generator) -> list[StyledConv]:
    """The 3x3 layers in the order of the synthesis: layer i takes w_i.

    Those that make RGB are left out, as StyleCLIP does.
    """
    return [module for module in generator.synthesis.modules() if isinstance(module, StyledConv)]


def channels(generator: Generator) -> list[int]:
    """The number of channels of each layer of `layers`."""
    return [layer.weight.shape[1] for layer in layers(generator)]


@contextmanager
def moved(generator: Generator, offsets: Sequence[Tensor]) -> Iterator[None]:
    """A block in which the generator adds `offsets`, (N, channels) for each layer, to its styles."""

    def adding(offset: Tensor) -> object:
        def hook(module: nn.Module, inputs: object, style: Tensor) -> Tensor:
            return style + offset

        return hook

    with ExitStack() as stack:
        for layer, offset in zip(layers(generator), offsets, strict=True):
            handle = layer.affine.register_forward_hook(adding(offset))  # type: ignore[arg-type]
            stack.callback(handle.remove)
        yield


def statistics(generator: Generator, samples: int, truncation: float, upto: int) -> list[Tensor]:
    """Mean and standard deviation of every channel, (2, channels) for each layer.

    Args:
        generator: frozen.
        samples: random codes, the same at every call.
        truncation: of w, in the first `upto` layers of W+; the others are not truncated.
    """
    rng = torch.Generator().manual_seed(0)
    sums = [torch.zeros(2, count, dtype=torch.float64) for count in channels(generator)]
    with without_grad():
        for start in range(0, samples, _AT_ONCE):
            count = min(_AT_ONCE, samples - start)
            z = torch.randn(count, generator.z_dim, generator=rng).to(generator.w_avg.device)
            w = generator.mapping(z)
            near = generator.w_avg.lerp(w, truncation)
            for place, (total, layer) in enumerate(zip(sums, layers(generator), strict=True)):
                style = layer.affine(near if place < upto else w).cpu().double()
                total += torch.stack([style.sum(dim=0), style.square().sum(dim=0)])
    found = []
    for total in sums:
        mean, square = total / samples
        found.append(torch.stack([mean, (square - mean.square()).clamp_min(0).sqrt()]).float())
    return found
