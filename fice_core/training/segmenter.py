"""Fine-tunes a segmenter on label maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..datasets import Sample
from ..datasets.labels import UNKNOWN
from ..errors import FiceError
from ..networks.regions import (
    CLOTHES,
    HEAD,
    NAMED,
    PersonSegmenter,
    group_of,
    regions_of,
    winners,
)
from .dice import Dice
from .distributed import Processes, generator_of, shuffled
from .examples import divided, moved, photographed, size_of
from .fine_tuning import Outcome, Tuning, fine_tune, uses_half
from .loop import Schedule
from .photos import Photos

_COUNTED = 400  # label maps from which the frequencies of the labels are estimated
_LIGHTEST, _HEAVIEST = 0.5, 4.0  # weights of labels
_BATCH = 8  # held-out photos that are segmented at once
#: finer classes that a coarse label may mean
_PARTS = {
    "head": HEAD,
    "clothes": CLOTHES,
    "torso": ("upper", "dress", "neck", "scarf"),
    "body": tuple(name for name in NAMED if group_of(name) == "body"),
}


def train(
    network: PersonSegmenter,
    samples: Sequence[Sample],
    folder: Path,
    schedule: Schedule,
    tuning: Tuning,
    processes: Processes | None = None,
    height: int | None = None,
    share: float = 0.1,
) -> Outcome[PersonSegmenter]:
    """Train, or resume training, by the cross-entropy of the classes; rare ones weigh more.

    Args:
        network: the segmenter to start from.
        samples: photos; those with label maps are used.
        folder: of checkpoint and log.
        schedule: length of the training.
        tuning: see there.
        processes: that train together.
        height: of the images; None for that of the photos.
        share: of the photos that are held out.

    Returns:
        Figures are the intersections over unions `body` and `head` on held-out photos, and `classes`, the
        mean over the classes of the labels that the network tells apart.

    Raises:
        FiceError: there are too few label maps, they name no head or no body, or see `fine_tune`.
    """
    processes = processes or Processes()
    labelled = [sample for sample in samples if sample.read_classes is not None]
    kept, out = divided(labelled, share, "a label map")
    size = size_of(kept, height)
    examples = Photos(kept, size, Sample.classes, len(NAMED))
    shown = Photos(out, size, Sample.classes, len(NAMED))
    device = processes.device
    network = network.to(device).to(memory_format=torch.channels_last).requires_grad_(True)
    meaning = meanings(network.channels).to(device)
    weights = label_weights(examples).to(device)
    half = uses_half(tuning, device)

    def loss(i: int) -> tuple[Tensor, dict[str, Tensor]]:
        order = shuffled(len(examples), tuning.batch, tuning.seed, i)
        rows = []
        for position in processes.share(tuning.batch):
            dice = Dice(generator_of(tuning.seed, i, position), 1)
            image, labels = examples[order[position]]
            assert labels is not None
            pixels, turned = moved(image[None].float() / 255, labels[None], dice)
            rows.append((photographed(pixels, dice), turned))
        images = torch.cat([row[0] for row in rows]).to(device)
        truth = torch.cat([row[1] for row in rows if row[1] is not None]).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            logits = network.logits(images.contiguous(memory_format=torch.channels_last))
        return class_loss(logits.float(), truth, meaning, weights), {}

    return fine_tune(
        "segmenter",
        folder,
        network,
        loss,
        schedule,
        tuning,
        processes,
        lambda average: measure(average, shown, device),
        {"photos": len(kept), "size": f"{size[1]}x{size[0]}", "network": network.config},
    )


def meanings(channels: Sequence[str]) -> Tensor:
    """Which channels of a network a label may mean: bool (len(NAMED), C), at least one for each label.

    A label that the network has means its channels. A coarse one, such as "clothes", means all finer channels
    of it. One that the network has not means the coarser channel that contains it, and if there is none, any
    channel of its region: background, body or head.
    """
    table = torch.zeros(len(NAMED), len(channels), dtype=torch.bool)
    for number, label in enumerate(NAMED):
        coarser = [name for name, parts in _PARTS.items() if label in parts and name != "body"]
        options = (
            [label],
            [name for name in _PARTS.get(label, ()) if name != label],
            coarser,
            [name for name in NAMED if group_of(name) == group_of(label)],
        )
        names = next(names for names in options if {*names} & {*channels})
        if label in _PARTS and label in channels:  # its own channel, or a finer one
            names = [label, *_PARTS[label]]
        table[number] = torch.tensor([channel in names for channel in channels])
    return table


def label_weights(examples: Photos) -> Tensor:
    """Weights (256,) of the labels: roots of inverse frequencies, limited; 0 for `UNKNOWN`.

    Raises:
        FiceError: the label maps have no body or no head.
    """
    counts = torch.zeros(256)
    step = max(1, len(examples) // _COUNTED)
    for k in range(0, len(examples), step):
        labels = examples[k].labels
        assert labels is not None
        counts += torch.bincount(labels.flatten().long(), minlength=256)
    counts[UNKNOWN] = 0
    for region in ("body", "head"):
        if not any(counts[n] > 0 for n, name in enumerate(NAMED) if group_of(name) == region):
            raise FiceError(
                f"the label maps have no {region}: background, body and head (or their parts) are needed to "
                "train a segmenter"
            )
    present = counts > 0
    shares = counts / counts.sum()
    weights = (shares[present].median() / shares.clamp_min(1e-9)).sqrt()
    return weights.clamp(_LIGHTEST, _HEAVIEST) * present


def class_loss(logits: Tensor, labels: Tensor, meaning: Tensor, weights: Tensor) -> Tensor:
    """Negative logarithm of the probability of all channels that a label may mean.

    It is the mean over images of the weighted mean over pixels, so images can be shared out to processes.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W) int64, indices into `NAMED` or `UNKNOWN`, which does not count.
        meaning: see `meanings`.
        weights: see `label_weights`.
    """
    known = labels != UNKNOWN
    allowed = meaning[torch.where(known, labels, 0)].permute(0, 3, 1, 2)
    right = logits.masked_fill(~allowed, -torch.inf).logsumexp(1)
    losses = logits.logsumexp(1) - right
    each = weights[labels] * known
    return ((losses * each).sum((1, 2)) / each.sum((1, 2)).clamp_min(1e-6)).mean()


@torch.no_grad()
def measure(network: PersonSegmenter, examples: Photos, device: torch.device) -> dict[str, float]:
    """Intersections over unions of all pixels of held-out photos: `body`, `head` and mean of `classes`.

    Of the classes, those count that the labels have and the network tells apart.
    """
    network.eval()
    overlap, union = torch.zeros(len(NAMED) + 2), torch.zeros(len(NAMED) + 2)
    labelled = torch.zeros(len(NAMED))
    regions = torch.tensor([("background", "body", "head").index(group_of(n)) for n in NAMED])
    for start in range(0, len(examples), _BATCH):
        index = range(start, min(start + _BATCH, len(examples)))
        found = network.classes(examples.images(index).to(device))
        truth = torch.stack([examples[k].labels for k in index])[:, None].long()  # type: ignore[misc]
        known = truth != UNKNOWN
        kinds = regions[torch.where(known, truth, 0)]
        best = winners(regions_of(found)._asdict())
        masks = [(best[name].cpu(), kinds == k) for k, name in ((1, "body"), (2, "head"))]
        by_class = winners(found)
        for name in NAMED:
            there = by_class[name].cpu() if name in by_class else torch.zeros_like(known)
            masks.append((there, truth == NAMED.index(name)))
            labelled[NAMED.index(name)] += masks[-1][1].sum()
        for k, (ours, theirs) in enumerate(masks):
            overlap[k] += (ours & theirs & known).sum()
            union[k] += ((ours | theirs) & known).sum()
    quotients = (overlap / union.clamp_min(1)).tolist()
    told = [
        quotients[2 + n]
        for n, name in enumerate(NAMED)
        if name in network.labels and labelled[n] > 0
    ]
    figures = {"body": quotients[0], "head": quotients[1]}
    return figures | {"classes": sum(told) / len(told)} if told else figures
