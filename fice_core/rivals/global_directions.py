"""StyleCLIP's global directions (Patashnik et al. 2021, arXiv 2103.17249, section 6).

Once for a generator and a CLIP, every channel of StyleSpace is moved in some images, and what CLIP sees of it
is a row of a matrix. A text then moves the channels whose rows agree with the direction of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
_AT_ONCE = 16  # images, each of them twice
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
        explorer = _Explorer(generator, clip, means, spread, images)
        rows = []
        for start in range(0, total, _BLOCK):
            path = place / f"{start:06d}.safetensors"
            if not path.exists():
                found = explorer.rows(range(start, min(start + _BLOCK, sum(sizes))))
                write_safetensors(path, {"rows": found}, {"images": str(images)})
            rows.append(safetensors.torch.load_file(path)["rows"])
            progress(min(start + _BLOCK, total), total)
        known = torch.cat(rows)[:total]
        rest = known.new_zeros(sum(sizes) - total, known.shape[1])
        return Matrix(torch.cat([known, rest]), spread, sizes)


class _Explorer:
    """Moves channels of StyleSpace and looks at the images through CLIP."""

    def __init__(
        self, generator: Generator, clip: Clip, means: Tensor, spread: Tensor, images: int
    ) -> None:
        self._generator, self._clip, self._images = generator, clip, images
        self._means, self._spread = means, spread
        self._sizes = stylespace.channels(generator)

    def rows(self, channels: Sequence[int]) -> Tensor:
        """The direction of each channel, (channels, D): features above its mean minus those below.

        A channel has random images of its own, so that its row depends on no other channel.
        """
        device = self._generator.w_avg.device
        codes = []
        for channel in channels:
            rng = torch.Generator().manual_seed(channel)
            z = torch.randn(self._images, self._generator.z_dim, generator=rng).to(device)
            codes.append(self._generator.map(z, TRUNCATION))
        owner = torch.tensor(channels).repeat_interleave(self._images)
        pieces = zip(torch.cat(codes).split(_AT_ONCE), owner.split(_AT_ONCE), strict=True)
        apart = torch.cat([self._apart(w_plus, owners.tolist()) for w_plus, owners in pieces])
        mean = apart.unflatten(0, (len(channels), self._images)).mean(dim=1)
        return F.normalize(mean, dim=1).cpu()

    def _apart(self, w_plus: Tensor, owners: Sequence[int]) -> Tensor:
        """Unit differences of the features with each image's channel up and down, (N, D)."""
        layers = stylespace.layers(self._generator)
        offsets = [w_plus.new_zeros(2, len(owners), size) for size in self._sizes]
        for k, channel in enumerate(owners):
            layer, place = _place(channel, self._sizes)
            now = layers[layer].affine(w_plus[k : k + 1, layer])[0, place]
            for sign, reach in enumerate((-REACH, REACH)):
                wanted = self._means[channel] + reach * self._spread[channel]
                offsets[layer][sign, k, place] = wanted - now
        with stylespace.moved(self._generator, [offset.flatten(0, 1) for offset in offsets]):
            images = self._generator.synthesize(w_plus.repeat(2, 1, 1))
        low, high = self._clip.encode_image(images.clamp(0, 1)).chunk(2)
        return F.normalize(high - low, dim=1)


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
