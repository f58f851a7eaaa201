"""Trains DensePose, segmenter and judge of the bundled set on rendered people, for photographs too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...networks.densepose import DensePose
from ...networks.segmenter import Segmenter
from ...people.classes import CLASSES
from ..loop import Schedule, Weights, fast_bf16, fit
from .dataset import People
from .scenery import Scenery
from .scenes import Mixture, Scene, photographs, stage

_Network = TypeVar("_Network", bound=nn.Module)

DENSEPOSE: dict[str, Any] = {
    "stem_channels": 16,
    "width": 14,
    "blocks": (1, 2, 2, 1),
    "fpn_channels": 32,
    "decoder_channels": 32,
    "head_convs": 2,
    "head_channels": 48,
}
JUDGE: dict[str, Any] = {
    **DENSEPOSE,
    "stem_channels": 20,
    "width": 10,
    "blocks": (2, 2, 3, 2),
    "head_channels": 40,
}
SEGMENTER: dict[str, Any] = {
    "stem_channels": 12,
    "width": 12,
    "blocks": (1, 2, 2, 1),
    "aspp_channels": 32,
    "aspp_rates": (4, 12),
    "dropout": 0.0,
    "labels": CLASSES,
    "decoder_channels": 12,
}
BACKGROUNDS = 1500  # painted, of which every scene shows a crop
#: training grows: size of the scenes over that of the renders, share of the steps, learning rate
STAGES = ((0.5, 0.55, 3e-3), (0.75, 0.375, 2e-3), (1.0, 0.075, 1e-3))
#: one person in the frame of an edit
FRAMED = Mixture(studio=0.3, roaming=0.2, crowd=0.2, occluded=0.15, empty=0.0, padded=0.06)


def train_densepose(
    people: People,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 16,
    seed: int = 0,
) -> tuple[DensePose, bool]:
    """Train the part network of edits, by cross-entropy of labels and foreground.

    Returns the averaged network, and whether all steps are done.
    """
    network = _begin(DensePose, DENSEPOSE, seed + 10, start)
    return _train("densepose", network, people, folder, schedule, batch, seed + 10, FRAMED)


def train_judge(
    people: People,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 16,
    seed: int = 0,
) -> tuple[DensePose, bool]:
    """Train a part network of another architecture and seed for evaluation only.

    Edits do not use it, so they are not optimised for it. Returns as `train_densepose`.
    """
    network = _begin(DensePose, JUDGE, seed + 12, start)
    mild = replace(FRAMED, studio=0.5, harm=0.6)
    return _train("judge", network, people, folder, schedule, batch, seed + 12, mild)


def train_segmenter(
    people: People,
    folder: Path,
    schedule: Schedule,
    start: Weights = None,
    batch: int = 16,
    seed: int = 0,
) -> tuple[Segmenter, bool]:
    """Train the segmenter, by cross-entropy of the named classes.

    People are of any size and anywhere in a scene, because this network also detects persons in photos.
    Returns the averaged network, and whether all steps are done.
    """
    network = _begin(Segmenter, SEGMENTER, seed + 11, start)
    return _train("segmenter", network, people, folder, schedule, batch, seed + 11, Mixture())


def class_loss(network: Segmenter, scene: Scene) -> Tensor:
    """Mean cross-entropy of the named classes at every second pixel of every second row."""
    classes = scene.classes[:, ::2, ::2]
    size = (classes.shape[-2], classes.shape[-1])
    low = network.coarse_logits(scene.images).float()
    logits = F.interpolate(low, size, mode="bilinear", align_corners=False)
    return F.cross_entropy(logits, classes)


def part_loss(network: DensePose, scene: Scene) -> Tensor:
    """Mean cross-entropy of the parts, and of the person against the background."""
    coarse, fine = network._predict(scene.images, ("ann_index", "index_uv"))
    size = (fine.shape[-2], fine.shape[-1])
    small = F.interpolate(scene.parts[:, None].float(), size=size, mode="nearest-exact")
    parts = small[:, 0].long()
    person = F.cross_entropy(coarse.float(), (parts > 0).long())
    return person + F.cross_entropy(fine.float(), parts)


def _begin(
    cls: Callable[..., _Network], config: dict[str, Any], seed: int, start: Weights
) -> _Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = cls(**config)
    if start is not None:
        network.load_state_dict(start)
    return network


def _train(
    name: str,
    network: _Network,
    people: People,
    folder: Path,
    schedule: Schedule,
    batch: int,
    seed: int,
    mixture: Mixture,
) -> tuple[_Network, bool]:
    """Train in growing sizes; each has its own checkpoint and cosine, and begins where the last one ended."""
    began = time.monotonic()
    scenery = Scenery(BACKGROUNDS, seed)
    done, finished = 0, True
    for number, (part, share, rate) in enumerate(STAGES):
        last = number == len(STAGES) - 1
        size = round(part * people.size)
        steps = schedule.steps - done if last else round(share * schedule.steps)
        done += steps
        minutes = schedule.minutes
        if minutes is not None:
            minutes = max(0.0, minutes - (time.monotonic() - began) / 60)
        network, finished = _train_at(
            size,
            name if last else f"{name}-{size}",
            network.requires_grad_(True),
            people,
            folder,
            replace(schedule, steps=steps, minutes=minutes),
            batch,
            seed + 100 * number,
            mixture,
            scenery,
            rate,
        )
        if not finished:
            break
    return network, finished


def _train_at(
    size: int,
    name: str,
    network: _Network,
    people: People,
    folder: Path,
    schedule: Schedule,
    batch: int,
    seed: int,
    mixture: Mixture,
    scenery: Scenery,
    rate: float,
) -> tuple[_Network, bool]:
    """Train with AdamW, a cosine schedule and averaged weights on scenes of `size` pixels.

    Each scene gives two photographs of a batch.
    """
    generator = torch.Generator().manual_seed(seed)
    network = network.to(memory_format=torch.channels_last)  # a third faster on CPUs
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-3)
    batches = people.batches(batch // 2, generator)

    def objective() -> tuple[Tensor, dict[str, Tensor]]:
        scene = photographs(stage(next(batches), scenery, generator, mixture, size), generator)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_bf16()):
            if isinstance(network, Segmenter):
                value = class_loss(network, scene)
            else:
                value = part_loss(network, scene)  # type: ignore[arg-type]
        return value, {"loss": value.detach()}

    return fit(
        name, folder, network, optimizer, generator, schedule, objective, decay=0.995, warmup=50
    )
