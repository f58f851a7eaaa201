"""StyleCLIP's global directions (Patashnik et al. 2021, arXiv 2103.17249, section 6).

Once for a generator and a CLIP, every channel of StyleSpace is moved in some images, and what CLIP sees of it
is a row of a matrix. A text then moves the channels whose rows agree with the direction of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from ..files import make_folder, write_safetensors
from ..networks.clip import Clip
from ..networks.stylegan2 import Generator
from ..ops.autograd import without_grad
from . import cache, stylespace
from .contract import Edited, Task
from .text_directions import directions

NEUTRAL = "a person wearing a top"
STRENGTH = 3.0  # the default of the authors' interface
THRESHOLD = 0.15  # the middle of what the authors use
FEWEST = 20  # channels that move at least; the authors move 10 to 200
SAMPLES, TRUNCATION, TRUNCATED = 100_000, 0.7, 8
REACH = 5.0  # standard deviations by which a channel is moved
IMAGES = 100
_AT_ONCE = 16  # images
_BLOCK = 32  # channels of a file: what a kill loses


@dataclass(frozen=True)
class Matrix:
    """What moving each channel does for CLIP.

    Attributes:
        rows: unit directions in CLIP's space, (channels, D); 0 for a channel that does nothing.
        spread: standard deviation of each channel, (channels,).
        sizes: channels of each layer.
    """

    rows: Tensor
    spread: Tensor
    sizes: list[int]


def matrix(
    generator: Generator,
    clip: Clip,
    images: int = IMAGES,
    limit: int | None = None,
    folder: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Matrix:
    """The matrix of a generator and a CLIP, read from the cache or computed into it.

    Args:
        generator, clip: frozen.
        images: random images in which each channel is moved, down and up.
        limit: only the first channels, from the coarsest layer on; None for all. Others do not move.
        folder: of the cache, see `cache.default_folder`. A run that is killed continues there.
        progress: called with the number of channels that are done, and of all.
    """
    sizes = stylespace.channels(generator)
    total = min(sum(sizes), limit or sum(sizes))
    with without_grad():
        statistics = stylespace.statistics(generator, SAMPLES, TRUNCATION, TRUNCATED)
        means, spread = torch.cat(statistics, dim=1)
        name = cache.key(generator, clip, images, REACH)
        place = make_folder((folder or cache.default_folder()) / f"directions-{name}")
        rows = []
        for start in range(0, total, _BLOCK):
            path = place / f"{start:06d}.safetensors"
            if not path.exists():
                block = range(start, min(start + _BLOCK, sum(sizes)))
                found = [_row(generator, clip, k, means, spread, sizes, images) for k in block]
                write_safetensors(path, {"rows": torch.stack(found)}, {"images": str(images)})
            rows.append(safetensors.torch.load_file(path)["rows"])
            progress(min(start + _BLOCK, total), total)
        known = torch.cat(rows)[:total]
        rest = known.new_zeros(sum(sizes) - total, known.shape[1])
        return Matrix(torch.cat([known, rest]), spread, sizes)


def _row(
    generator: Generator,
    clip: Clip,
    channel: int,
    means: Tensor,
    spread: Tensor,
    sizes: list[int],
    images: int,
) -> Tensor:
    """The direction of one channel, (D,): features with it 5 sigma above its mean minus those 5 below."""
    device = generator.w_avg.device
    rng = torch.Generator().manual_seed(channel)
    layer, place = _place(channel, sizes)
    affine = stylespace.layers(generator)[layer].affine
    apart = []
    for start in range(0, images, _AT_ONCE):
        count = min(_AT_ONCE, images - start)
        z = torch.randn(count, generator.z_dim, generator=rng).to(device)
        w_plus = generator.map(z, TRUNCATION)
        now = affine(w_plus[:, layer])[:, place]
        seen = []
        for reach in (-REACH, REACH):
            offsets = [torch.zeros(count, size, device=device) for size in sizes]
            offsets[layer][:, place] = means[channel] + reach * spread[channel] - now
            with stylespace.moved(generator, offsets):
                seen.append(clip.encode_image(generator.synthesize(w_plus).clamp(0, 1)))
        apart.append(F.normalize(seen[1] - seen[0], dim=1))
    return F.normalize(torch.cat(apart).mean(dim=0), dim=0).cpu()


def _place(channel: int, sizes: list[int]) -> tuple[int, int]:
    """The layer of a channel, and its number there."""
    for layer, size in enumerate(sizes):
        if channel < size:
            return layer, channel
        channel -= size
    raise IndexError(channel)


def offsets_of(
    found: Matrix, direction: Tensor, strength: float = STRENGTH, threshold: float = THRESHOLD
) -> Tensor:
    """How far each channel moves for unit directions (N, D) of texts: (N, channels).

    Relevance is the product of a row and the direction. Channels below the threshold stay; if fewer than
    `FEWEST` reach it, the most relevant ones move. The rest are scaled so that the largest is 1, then by the
    spread of their channel and by the strength.
    """
    relevance = direction.cpu() @ found.rows.T
    size = relevance.abs()
    most = size.topk(min(FEWEST, size.shape[1]), dim=1).values[:, -1:]
    kept = torch.where(size >= most.clamp(max=threshold), relevance, 0.0)
    largest = kept.abs().amax(dim=1, keepdim=True).clamp_min(1e-8)
    return strength * kept / largest * found.spread


class GlobalDirections:
    """Moves the channels of StyleSpace along the direction from a neutral text to the prompt.

    Args:
        found: from `matrix`.
        clip: with which it was made; None for the one of the models.
        strength, threshold: alpha and beta of the authors.
    """

    steps = 0

    def __init__(
        self,
        found: Matrix,
        clip: Clip | None = None,
        strength: float = STRENGTH,
        threshold: float = THRESHOLD,
    ) -> None:
        self._found, self._clip = found, clip
        self._strength, self._threshold = strength, threshold

    def edit(self, task: Task, steps: int | None = None) -> Edited:
        """See `Rival`."""
        generator = task.models.generator
        w_plus = task.preparation.targets.w_plus
        direction = directions(self._clip or task.models.clip, task.prompts, NEUTRAL)
        offsets = offsets_of(self._found, direction, self._strength, self._threshold)
        with (
            without_grad(),
            stylespace.moved(generator, offsets.to(w_plus.device).split(self._found.sizes, dim=1)),
        ):
            return Edited(generator.synthesize(w_plus), w_plus)
