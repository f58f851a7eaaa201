"""Fine-tunes a DensePose on photos: by what another DensePose sees in them, or by label maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..datasets import Sample
from ..datasets.labels import DENSEPOSE_LABELS, UNKNOWN
from ..networks.densepose import UPPER_BODY_LABELS, DensePose
from ..ops.resize import resize
from .dice import Dice
from .distributed import Processes, generator_of, shuffled
from .examples import divided, moved, photographed, size_of
from .fine_tuning import Outcome, Tuning, fine_tune, uses_half
from .loop import Schedule
from .photos import Photos

_BATCH = 8  # held-out photos that are looked at at once
#: labels of the right and the left one of a part
_SIDES = [(k, k + 1) for k in (*range(3, 15, 2), *range(15, 25, 2))]


def mirrored_labels() -> Tensor:
    """The label (256,) that each label has in a mirror."""
    table = torch.arange(256)
    for one, other in _SIDES:
        table[one], table[other] = other, one
    return table


def train(
    network: DensePose,
    teacher: DensePose | None,
    samples: Sequence[Sample],
    folder: Path,
    schedule: Schedule,
    tuning: Tuning,
    processes: Processes | None = None,
    height: int | None = None,
    share: float = 0.1,
) -> Outcome[DensePose]:
    """Train, or resume training, by the cross-entropy of the parts and of the person against the background.

    The u and v charts are not trained; an edit does not use them.

    Args:
        network: the DensePose to start from.
        teacher: sees each photo unharmed; what it finds there is the truth. None for the label maps.
        samples: photos; without a teacher, those with label maps of DensePose are used.
        folder: of checkpoint and log.
        schedule: length of the training.
        tuning: see there.
        processes: that train together.
        height: of the images; None for that of the photos.
        share: of the photos that are held out.

    Returns:
        Figures are intersections over unions on held-out photos: `person`, and `parts`, the mean over the
        parts of the upper body.

    Raises:
        FiceError: there are too few photos, or see `fine_tune`.
    """
    processes = processes or Processes()
    usable = [s for s in samples if teacher is not None or s.read_densepose is not None]
    what = "label maps of DensePose (or give a teacher)" if teacher is None else "a person"
    kept, out = divided(usable, share, what)
    size = size_of(kept, height)
    labels = Sample.densepose if teacher is None else None
    examples = Photos(kept, size, labels, DENSEPOSE_LABELS)
    shown = Photos(out, size, labels, DENSEPOSE_LABELS)
    device = processes.device
    network = network.to(device).requires_grad_(True)
    if teacher is not None:
        teacher = teacher.to(device).eval().requires_grad_(False)
    half, swapped = uses_half(tuning, device), mirrored_labels()

    def loss(i: int) -> tuple[Tensor, dict[str, Tensor]]:
        order = shuffled(len(examples), tuning.batch, tuning.seed, i)
        clean, harmed, maps = [], [], []
        for position in processes.share(tuning.batch):
            dice = Dice(generator_of(tuning.seed, i, position), 1)
            image, given = examples[order[position]]
            known = None if given is None else given[None]
            pixels, turned = moved(image[None].float() / 255, known, dice, swapped)
            clean.append(pixels)
            harmed.append(photographed(pixels, dice))
            maps += [] if turned is None else [turned]
        images = torch.cat(harmed).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            coarse, fine = network._predict(images, ("ann_index", "index_uv"))
        side = (fine.shape[-2], fine.shape[-1])
        if teacher is None:
            target, known_pixels = of_labels(torch.cat(maps).to(device), side)
        else:
            with torch.no_grad():
                target = resize(probabilities(teacher, torch.cat(clean).to(device)), side)
            known_pixels = torch.ones_like(target[:, :1])
        return part_loss(coarse.float(), fine.float(), target, known_pixels), {}

    return fine_tune(
        "densepose",
        folder,
        network,
        loss,
        schedule,
        tuning,
        processes,
        lambda average: measure(average, teacher, shown, device),
        {
            "photos": len(kept),
            "size": f"{size[1]}x{size[0]}",
            "teacher": "none" if teacher is None else teacher.config,
            "network": network.config,
        },
    )


def probabilities(network: DensePose, images: Tensor) -> Tensor:
    """Probabilities of background and the 24 parts, (N, 25, S, S), of images (N, 3, H, W) in [0, 1]."""
    coarse, fine = network._predict(images, ("ann_index", "index_uv"))
    person = 1 - coarse.float().softmax(1)[:, :1]
    parts = fine.float()[:, 1:].softmax(1)
    return torch.cat([1 - person, person * parts], 1)


def of_labels(labels: Tensor, side: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Labels (N, H, W) as probabilities (N, 25, *side), and where they are known, (N, 1, *side)."""
    small = F.interpolate(labels[:, None].float(), size=side, mode="nearest-exact")[:, 0].long()
    known = small != UNKNOWN
    table = F.one_hot(torch.where(known, small, 0), DENSEPOSE_LABELS)
    return table.permute(0, 3, 1, 2).float(), known[:, None].float()


def part_loss(coarse: Tensor, fine: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of the parts, and of the person against the background.

    It is the mean over images of the mean over known pixels.

    Args:
        coarse: logits (N, 2 or 15, S, S), of which the first is the background.
        fine: logits (N, 25, S, S).
        target: probabilities (N, 25, S, S).
        known: weight of each pixel, (N, 1, S, S).
    """
    parts = -(target * fine.log_softmax(1)).sum(1, keepdim=True)
    log_coarse = coarse.log_softmax(1)
    background, person = log_coarse[:, :1], log_coarse[:, 1:].logsumexp(1, keepdim=True)
    nobody = target[:, :1]
    losses = parts - nobody * background - (1 - nobody) * person
    return ((losses * known).sum((1, 2, 3)) / known.sum((1, 2, 3)).clamp_min(1.0)).mean()


@torch.no_grad()
def measure(
    network: DensePose, teacher: DensePose | None, examples: Photos, device: torch.device
) -> dict[str, float]:
    """Intersections over unions of the most probable labels on held-out photos."""
    network.eval()
    overlap, union = torch.zeros(DENSEPOSE_LABELS + 1), torch.zeros(DENSEPOSE_LABELS + 1)
    for start in range(0, len(examples), _BATCH):
        index = range(start, min(start + _BATCH, len(examples)))
        images = examples.images(index).to(device)
        found = probabilities(network, images)
        side = (found.shape[-2], found.shape[-1])
        if teacher is None:
            given = torch.stack([examples[k].labels for k in index])  # type: ignore[misc]
            target, known = of_labels(given.to(device), side)
        else:
            target = resize(probabilities(teacher, images), side)
            known = torch.ones_like(target[:, :1])
        ours, theirs, sure = found.argmax(1), target.argmax(1), known[:, 0] > 0
        for k in range(DENSEPOSE_LABELS + 1):
            one, other = (
                (ours > 0, theirs > 0) if k == DENSEPOSE_LABELS else (ours == k, theirs == k)
            )
            overlap[k] += (one & other & sure).sum().cpu()
            union[k] += ((one | other) & sure).sum().cpu()
    quotients = overlap / union.clamp_min(1)
    told = [float(quotients[k]) for k in UPPER_BODY_LABELS if union[k] > 0]
    return {"person": float(quotients[-1]), "parts": sum(told) / max(1, len(told))}
