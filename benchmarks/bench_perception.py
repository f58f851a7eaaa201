"""Measure segmenter, DensePose and judge on rendered people that no training has seen.

    python benchmarks/bench_perception.py COMPOSED [--last 64] [--weights FOLDER]

COMPOSED has composed people, of whom the last ones were held out; each is seen in two sets of clothes, as
rendered. Prints the IoU (Jaccard index) of every named class and of every part of the upper body, over all
pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fice_core import checkpoints
from fice_core.models import DEMO_WEIGHTS
from fice_core.networks.densepose import UPPER_BODY_LABELS, DensePose
from fice_core.people.classes import CLASSES
from fice_core.training.demonstration.dataset import OUTFITS, Batch, People


def overlaps(found: Tensor, true: Tensor, count: int) -> Tensor:
    """Intersections and unions (2, count) of `count` labels in two maps of whole numbers."""
    both = torch.stack([((found == k) & (true == k)).sum() for k in range(count)])
    either = torch.stack([((found == k) | (true == k)).sum() for k in range(count)])
    return torch.stack([both, either]).double()


def held_out(people: People, last: int, step: int = 16) -> Iterator[Batch]:
    """Batches of the last people in two of their outfits."""
    first = len(people) // OUTFITS - last
    index = torch.cat([OUTFITS * torch.arange(first, first + last) + k for k in (0, 3)])
    for part in index.split(step):
        yield people.batch(part)


def parts_of(network: DensePose, images: Tensor) -> Tensor:
    """Labels 0..24 of the most likely part, of the upper body alone, (N, S, S)."""
    parts = network(images)
    background = 1 - parts.sum(1, keepdim=True)
    labels = torch.tensor((0, *UPPER_BODY_LABELS))
    return labels[torch.cat([background, parts], 1).argmax(1)]


def line(name: str, totals: Tensor, labels: dict[int, str]) -> str:
    """One line of IoUs, of the labels that occur."""
    scores = {v: float(totals[0, k] / totals[1, k]) for k, v in labels.items() if totals[1, k] > 0}
    mean = sum(scores.values()) / len(scores)
    return f"- {name}: mean {mean:.3f}; " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items())


@torch.inference_mode()
def main() -> None:
    """Print the IoUs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("composed", type=Path)
    parser.add_argument("--last", type=int, default=64)
    parser.add_argument("--weights", type=Path, default=Path(DEMO_WEIGHTS))
    options = parser.parse_args()
    people = People(options.composed)
    segmenter = checkpoints.load_segmenter(options.weights / "segmenter.safetensors")
    readers = {n: options.weights / f"{n}.safetensors" for n in ("densepose", "judge")}
    networks = {n: checkpoints.load_densepose(p) for n, p in readers.items() if p.exists()}
    classes = torch.zeros(2, len(CLASSES), dtype=torch.double)
    parts = {n: torch.zeros(2, 25, dtype=torch.double) for n in networks}
    upper = torch.tensor([k in UPPER_BODY_LABELS for k in range(25)])
    for batch in held_out(people, options.last):
        found = torch.cat([*segmenter.classes(batch.images).values()], 1).argmax(1)
        named = torch.tensor([CLASSES.index(n) if n in CLASSES else -1 for n in segmenter.labels])
        classes += overlaps(named[found], batch.classes, len(CLASSES))
        for name, network in networks.items():
            size = (network.part_size, network.part_size)
            true = F.interpolate(batch.parts[:, None].float(), size=size, mode="nearest-exact")
            true = true[:, 0].long()
            parts[name] += overlaps(parts_of(network, batch.images), true * upper[true], 25)
    print(line("segmenter", classes, dict(enumerate(CLASSES))))
    for name, totals in parts.items():
        print(line(name, totals, {k: str(k) for k in UPPER_BODY_LABELS}))


if __name__ == "__main__":
    main()
