"""Scores of masks on people whose truth is known.

A person is shown larger than the generator's image and shrunk to its size. The masks that the networks
find there are enlarged, once by interpolation and once by `refine_mask` with the large image, and
compared with the truth at the large size. The same is done with the truth shrunk to 112 pixels and to
the generator's size, which shows the error of the refinement alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import FiceError
from ..extraction.anatomy import ARMS, TORSO
from ..extraction.extractors import extract_body_regions, segment_regions
from ..masks.garment import edit_mask
from ..masks.guided_filter import refine_mask
from ..models import Models
from ..networks.densepose import UPPER_BODY_LABELS
from ..ops.resize import resize
from ..settings import MaskSettings
from .case import Truth
from .evaluator import cases_for, side_of
from .metrics import mask_iou

_BATCH = 4
_POSE_SIDE = 112
_LARGE = 512


@dataclass(frozen=True)
class MaskRow:
    """Jaccard indices (intersection over union at level 0.5) of one kind of mask, means over people.

    `worst` is the smallest of the refined ones.
    """

    mask: str
    source: str
    interpolated: float
    refined: float
    worst: float


@dataclass(frozen=True)
class MaskReport:
    """The scores of all masks; `size` is the side of the large images in pixels."""

    count: int
    size: int
    rows: list[MaskRow]

    def table(self) -> str:
        """The rows as a Markdown table."""
        lines = [
            "| mask | found in | interpolated | refined | worst person |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.mask} | {row.source} | {row.interpolated:.3f} | {row.refined:.3f} | {row.worst:.3f} |"
            for row in self.rows
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def measure_masks(
    models: Models,
    count: int = 24,
    seed: int = 0,
    scale: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MaskReport:
    """The scores of masks against the truth at `scale` times the generator's size.

    `body` and `head` are the segmenter's. `torso and arms` is the area that a garment may cover, from both
    networks (`extraction.find_body_regions`). `garment` is `masks.edit_mask` without its soft border,
    between the person and the same person in another colour; it holds the torso, bare or not.

    Args:
        models: the demonstration set, or another set for its people.
        count: number of held-out people.
        seed: of the people.
        scale: size of the large images relative to the generator's, at least 2; None for 512 pixels, which
            are the most that the gallery's people have.
        progress: called with the number of people done, and of all.

    Raises:
        FiceError: count is below 1, scale below 2, or the images of the generator are not square.
    """
    height = side_of(models)
    if scale is None:
        scale = max(2, _LARGE // height)
    if scale < 2:
        raise FiceError(f"scale is {scale}, but must be at least 2")
    todo = cases_for(models, count, seed)
    found: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = {}
    for start in range(0, count, _BATCH):
        span = slice(start, start + _BATCH)
        large = todo.sitting(span, scale * height).truth
        truth = _truth(large)
        recoloured = todo.recoloured(span, height)
        sources = {"networks": _found(models, resize(large.images, (height, height)), recoloured)}
        for side in sorted({_POSE_SIDE, height}):
            shrunk = {name: resize(mask, (side, side)) for name, mask in truth.items()}
            sources[f"truth, {side} px"] = shrunk
        for source, masks in sources.items():
            for name, mask in masks.items():
                found.setdefault((name, source), []).append(
                    _compare(large.images, mask, truth[name])
                )
        if progress is not None:
            progress(min(start + _BATCH, count), count)
    rows = []
    for (name, source), pairs in found.items():
        before, after = (torch.cat(column) for column in zip(*pairs, strict=True))
        rows.append(
            MaskRow(name, source, float(before.mean()), float(after.mean()), float(after.min()))
        )
    return MaskReport(count, scale * height, rows)


def _truth(shown: Truth) -> dict[str, Tensor]:
    clothed = [label for part in (TORSO, ARMS) for label in UPPER_BODY_LABELS[part]]
    visible = torch.isin(shown.labels, torch.tensor(clothed))[:, None].float()
    torso = torch.isin(shown.labels, torch.tensor(UPPER_BODY_LABELS[TORSO]))[:, None]
    return {
        "body": shown.body,
        "head": shown.head,
        "torso and arms": visible,
        "garment": torch.maximum(shown.garment, torso.float()),
    }


def _found(models: Models, images: Tensor, edited: Tensor) -> dict[str, Tensor]:
    """Masks of images at the generator's resolution; the garment is where `edited` differs."""
    before, after = images.to(models.device), edited.to(models.device)
    regions = segment_regions(models.segmenter, before)
    body = extract_body_regions(models.densepose, models.segmenter, before)
    sharp = MaskSettings(mask_dilation=0.0, mask_feather=0.0)
    worn = extract_body_regions(models.densepose, models.segmenter, after)
    masks = {
        "body": regions.body,
        "head": regions.head,
        "torso and arms": (body.torso | body.arms).float(),
        "garment": edit_mask(body, worn, before, before, after, sharp),
    }
    return {name: mask.cpu() for name, mask in masks.items()}


def _compare(images: Tensor, mask: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Jaccard indices of the interpolated and of the refined mask, (N,) each."""
    plain = F.interpolate(mask, images.shape[2:], mode="bilinear")
    return mask_iou(plain, truth), mask_iou(refine_mask(images, mask), truth)
