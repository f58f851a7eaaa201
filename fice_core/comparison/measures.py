"""What is measured on one edit, in three tiers, and what each number means."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..bridges.drift import measure_drift
from ..evaluation.case import Cases
from ..evaluation.metrics import part_iou
from ..extraction.extractors import extract_pose
from ..framing import Frame
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..ops.autograd import without_grad
from .pairs import Pair

_PARSED = 256  # pixels a side at which DensePose sees larger images, or ones that are not square
_LEAST = 1 / 3000  # of a part map: a part that is smaller is noise

#: of a pair of images (3, H, W) in [0, 1], how far they are apart
Perceptual = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class Measure:
    """A column of the tables.

    Attributes:
        title: its heading.
        better: 1 if more is better, -1 if less is, 0 for neither.
        digits: shown after the point.
        percent: whether it is a share.
    """

    title: str
    better: int
    digits: int = 3
    percent: bool = False


#: by name, in the order of the tables
MEASURES: dict[str, Measure] = {
    "colour": Measure("colour", 1, 1, True),
    "sleeve": Measure("sleeves", 1, 1, True),
    "pattern": Measure("pattern", 1, 1, True),
    "judge": Measure("CLIP, judge", 1),
    "judge_crop": Measure("CLIP, judge, garment", 1),
    "directional": Measure("directional", 1),
    "clip": Measure("CLIP, optimised", 1),
    "equal": Measure("equal outside", 1, 1, True),
    "psnr": Measure("PSNR outside", 1, 1),
    "ssim": Measure("SSIM outside", 1),
    "mean": Measure("drift, levels", -1, 2),
    "lab": Measure("drift, CIELAB", -1, 2),
    "shift": Measure("shift, px", -1, 2),
    "pose_iou": Measure("part IoU", 1),
    "pose_distance": Measure("PD, px", -1, 2),
    "lpips": Measure("LPIPS outside", -1),
    "seconds": Measure("s/edit", -1, 2),
    "steps": Measure("steps", 0, 0),
}


@dataclass(frozen=True)
class Judges:
    """The networks that measure. None of them is optimised by a method, except `clip`.

    Attributes:
        clip: the CLIP of the models, which most methods optimise.
        densepose: finds the parts of the body.
        judge: another CLIP; None leaves its columns out.
        perceptual: LPIPS; None leaves it out.
    """

    clip: Clip
    densepose: DensePose
    judge: Clip | None = None
    perceptual: Perceptual | None = None


def measure(
    photo: Tensor, edit: Tensor, mask: Tensor, pair: Pair, judges: Judges
) -> dict[str, float]:
    """The measures of one edit by name; those that cannot be taken are missing.

    Args:
        photo, edit: (3, H, W) in [0, 1], of one size.
        mask: 1 where the photo may change, (1, H, W).
        pair: says what was asked for.
        judges: the networks.
    """
    device = next(judges.clip.parameters()).device
    photo, edit, mask = (image.to(device) for image in (photo, edit, mask))
    drift, _ = measure_drift(photo, edit, mask)
    found: dict[str, float | None] = {
        name: getattr(drift, name) for name in ("equal", "psnr", "ssim", "mean", "lab")
    }
    if drift.registration is not None:
        found["shift"] = math.hypot(*drift.registration.alignment.shift)
    with without_grad():
        before, after = (_parts(judges.densepose, image) for image in (photo, edit))
        found["pose_iou"] = float(part_iou(after[None], before[None])[0])
        found["pose_distance"] = _apart(before, after, max(photo.shape) / before.shape[-1])
        text = judges.clip.encode_text([pair.text])
        found["clip"] = _cosine(judges.clip, edit, text)
        if judges.judge is not None:
            found |= _judged(judges.judge, photo, edit, mask, pair)
        if judges.perceptual is not None:
            found["lpips"] = judges.perceptual(photo, torch.where(mask > 0, photo, edit))
    return {name: value for name, value in found.items() if value is not None and value == value}


class Truth:
    """What is asked of a person of known truth, who is rendered once for all edits.

    Args:
        cases: the people.
        number: of the person among them.
        size: of the edits in pixels.
    """

    def __init__(self, cases: Cases, number: int, size: int) -> None:
        self._sitting = cases.sitting(slice(number, number + 1), size)
        self._wanted = cases.wanted[number]

    def measure(self, edit: Tensor) -> dict[str, float]:
        """Whether an edit (3, H, W) has what the text asks for, without any network: 0 or 1."""
        (seen,) = self._sitting.measure(edit[None])
        colour, pattern, sleeve = self._wanted
        return {
            "colour": float(seen.colour == colour),
            "pattern": float(seen.pattern == pattern),
            "sleeve": float(seen.sleeve == sleeve),
        }


def garment_crop(image: Tensor, mask: Tensor) -> Tensor:
    """The box around a mask, in the middle of a white square, as MGD shows garments to CLIP: (3, S, S)."""
    rows, columns = ((mask[0] > 0).any(dim=k).nonzero().flatten() for k in (1, 0))
    if len(rows) == 0:
        return image
    cut = image[:, int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    height, width = cut.shape[1:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return F.pad(cut, (left, side - width - left, top, side - height - top), value=1.0)


def _judged(
    judge: Clip, photo: Tensor, edit: Tensor, mask: Tensor, pair: Pair
) -> dict[str, float | None]:
    """Cosines for a CLIP that no method optimised: whole, garment alone, and of the two directions."""
    text = judge.encode_text([pair.text])
    whole, before = (judge.encode_image(image[None]) for image in (edit, photo))
    directional = None
    if pair.worn and not torch.equal(edit, photo):
        away = text - judge.encode_text([pair.worn])
        directional = float(F.cosine_similarity(whole - before, away))
    return {
        "judge": float((whole * text).sum()),
        "judge_crop": _cosine(judge, garment_crop(edit, mask), text),
        "directional": directional,
    }


def _cosine(clip: Clip, image: Tensor, text: Tensor) -> float:
    return float((clip.encode_image(image[None]) * text).sum())


def _parts(densepose: DensePose, image: Tensor) -> Tensor:
    """The part map (14, S, S) of an image: as it is if it is square and small, else fitted into a square."""
    height, width = image.shape[-2:]
    if height == width <= _PARSED:
        return extract_pose(densepose, image[None])[0]
    frame = Frame.around((height, width), (_PARSED, _PARSED))
    device = next(densepose.parameters()).device
    return extract_pose(densepose, frame.fit(image[None]).to(device))[0]


def _apart(before: Tensor, after: Tensor, pixels: float) -> float | None:
    """Mean distance in pixels of the middles of body parts that are seen in both part maps (14, S, S).

    It stands for MGD's distance of OpenPifPaf's joints, whose package is no longer kept. None where no part
    is seen twice.

    Args:
        before, after: in [0, 1].
        pixels: of the photo, for one of the map.
    """
    size = before.shape[-1]
    places = torch.arange(size, dtype=before.dtype, device=before.device)
    middles = []
    for parts in (before, after):
        weight = torch.where(parts > 0.5, parts, 0.0)
        total = weight.sum(dim=(1, 2))
        y = (weight.sum(dim=2) @ places) / total.clamp_min(1e-6)
        x = (weight.sum(dim=1) @ places) / total.clamp_min(1e-6)
        middles.append((total > _LEAST * size**2, x, y))
    (seen, x, y), (also, u, v) = middles
    both = seen & also
    if not bool(both.any()):
        return None
    return pixels * float(torch.hypot(x - u, y - v)[both].mean())
