"""Trains the demonstration DensePose and segmenter on the renderer's ground truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.densepose import DensePose
from ..networks.segmenter import Segmenter
from .loop import Schedule, Weights, fast_bf16, fit
from .pool import Batch, Pool
from .scenes import stage

_Network = TypeVar("_Network", bound=nn.Module)
_Place = Callable[[Batch, torch.Generator], Batch]

DENSEPOSE: dict[str, Any] = {
    "stem_channels": 12,
    "width": 12,
    "blocks": (1, 1, 1, 1),
    "fpn_channels": 32,
    "decoder_channels": 32,
    "head_convs": 2,
    "head_channels": 48,
}
JUDGE: dict[str, Any] = {
    **DENSEPOSE,
    "stem_channels": 16,
    "width": 8,
    "blocks": (1, 2, 1, 1),
    "head_channels": 40,
}
SEGMENTER: dict[str, Any] = {
    "stem_channels": 12,
    "width": 10,
    "blocks": (1, 1, 1, 1),
    "aspp_channels": 32,
    "aspp_rates": (2, 4, 6),
}


def degrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images with random blur, noise and tint, the differences between generated and rendered images."""
    n, _, height, width = images.shape

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=generator) * (high - low) + low

    blurred = F.interpolate(F.avg_pool2d(images, 2), size=(height, width), mode="bilinear")
    images = torch.lerp(images, blurred, draw(-0.5, 1.0).clamp_min(0))
    images = images + torch.randn(images.shape, generator=generator) * draw(-0.03, 0.06).clamp_min(
        0
    )
    tint = torch.rand(n, 3, 1, 1, generator=generator) * 0.2 + 0.9
    return images * tint


def _studio(figures: Batch, generator: torch.Generator) -> Batch:
    """The figures in front of their own wall."""
    return figures


def _any_background(figures: Batch, generator: torch.Generator) -> Batch:
    """The figures in the generator's framing, half of them in front of another background."""
    return stage(figures, generator, studio=0.5, roaming=0.0, crowd=0.2)


def train_densepose(
    pool: Pool,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 24,
    seed: int = 0,
) -> tuple[DensePose, bool]:
    """Train the part network of edits, by cross-entropy of labels and foreground.

    Returns the averaged network, and whether all steps are done.
    """
    return _train_parts(
        "densepose", DENSEPOSE, pool, folder, schedule, start, batch, seed + 10, _any_background
    )


def train_judge(
    pool: Pool,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 24,
    seed: int = 0,
) -> tuple[DensePose, bool]:
    """Train a part network of another architecture and seed for evaluation only.

    Edits do not use it, so they are not optimised for it. Returns as `train_densepose`.
    """
    return _train_parts("judge", JUDGE, pool, folder, schedule, start, batch, seed + 12, _studio)


def _train_parts(
    name: str,
    config: dict[str, Any],
    pool: Pool,
    folder: Path,
    schedule: Schedule,
    start: Weights,
    batch: int,
    seed: int,
    place: _Place,
) -> tuple[DensePose, bool]:
    generator, network = _begin(DensePose, config, seed, start)

    def loss(images: Tensor, figures: Batch) -> Tensor:
        charts = network._predict(images, ("ann_index", "index_uv"))
        size = charts[0].shape[-1]
        labels = F.interpolate(
            figures.labels[:, None].float(), size=(size, size), mode="nearest-exact"
        )[:, 0].long()
        coarse = F.cross_entropy(charts[0].float(), (labels > 0).long())
        return coarse + F.cross_entropy(charts[1].float(), labels)

    return _train(name, network, loss, pool, folder, schedule, batch, generator, place)


def train_segmenter(
    pool: Pool,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 24,
    seed: int = 0,
) -> tuple[Segmenter, bool]:
    """Train the segmenter, by cross-entropy with the renderer's soft regions.

    Figures are placed anywhere in a scene, because this network also detects persons in photos. Returns
    the averaged network, and whether all steps are done.
    """
    generator, network = _begin(Segmenter, SEGMENTER, seed + 11, start)

    def loss(images: Tensor, figures: Batch) -> Tensor:
        background = (1 - figures.body - figures.head).clamp_min(0)
        truth = torch.cat([background, figures.body, figures.head], 1)
        logits = network.logits(images).float()
        return -(truth * logits.log_softmax(1)).sum(1).mean()

    return _train("segmenter", network, loss, pool, folder, schedule, batch, generator, stage)


def _begin(
    cls: Callable[..., _Network], config: dict[str, Any], seed: int, start: Weights
) -> tuple[torch.Generator, _Network]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = cls(**config)
    if start is not None:
        network.load_state_dict(start)
    return torch.Generator().manual_seed(seed), network


def _train(
    name: str,
    network: _Network,
    loss: Callable[[Tensor, Batch], Tensor],
    pool: Pool,
    folder: Path,
    schedule: Schedule,
    batch: int,
    generator: torch.Generator,
    place: _Place,
) -> tuple[_Network, bool]:
    """Train a network with AdamW, a cosine schedule, degraded images and averaged weights."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)

    def objective() -> tuple[Tensor, dict[str, Tensor]]:
        figures = pool.batch(torch.randint(len(pool), (batch,), generator=generator))
        figures = place(figures, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16()):
            value = loss(degrade(figures.images, generator), figures)
        return value, {"loss": value.detach()}

    return fit(
        name, folder, network, optimizer, generator, schedule, objective, decay=0.995, warmup=50
    )
