"""Measures what an edit changed outside the garment: any photo before and after any program."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..errors import FiceError
from ..extraction.extractors import extract_pose
from ..framing import Frame
from ..networks.clip import Clip
from ..networks.densepose import DensePose
from ..ops.autograd import without_grad
from ..registration import Registration, register
from ..registration.estimation import SMALLEST
from ..registration.features import resized
from .pixels import compare

_PARSED = (256, 256)  # pixels at which DensePose sees the images


@dataclass(frozen=True)
class Drift:
    """What changed outside the mask. Pixel values are compared as they lie, without aligning anything.

    The difference of a pixel is that of its most different channel, in grey levels of 255.

    Attributes:
        equal: share of the pixels that are equal bit for bit, in [0, 1].
        psnr: peak signal-to-noise ratio in dB; infinite if all pixels are equal.
        ssim: structural similarity, the mean over pixels and channels of windows of 7 x 7 pixels (Wang et
            al. 2004, as scikit-image computes it); NaN if no window fits.
        mean, percentile95, largest: of the differences.
        lab: mean CIELAB difference (CIE 1976); of more than four megapixels, that of evenly spaced rows.
        outside: share of the photo's pixels that lie outside the mask.
        resized: whether the edit had another size, and was brought to the photo's for the comparison.
        registration: how the edit is shifted and zoomed; None for images too small to tell.
        pose_iou: overlap of the body parts, in [0, 1]; None without a DensePose.
        similarity: cosine of edit and text for CLIP; None without a CLIP.
    """

    equal: float
    psnr: float
    ssim: float
    mean: float
    percentile95: float
    largest: float
    lab: float
    outside: float
    resized: bool
    registration: Registration | None
    pose_iou: float | None = None
    similarity: float | None = None

    def line(self) -> str:
        """Everything in one readable line."""
        place = " outside the mask" if self.outside < 1 else ""
        parts = [
            f"{100 * self.equal:.2f} % of the pixels{place} are equal",
            f"PSNR {self.psnr:.2f} dB",
            f"SSIM {self.ssim:.4f}",
            f"difference {self.mean:.2f} on average, {self.percentile95:.1f} at 95 %, at most "
            f"{self.largest:.1f} of 255",
            f"CIELAB {self.lab:.2f}",
        ]
        if self.registration is not None:
            parts.append(self.registration.line())
        if self.pose_iou is not None:
            parts.append(f"pose IoU {self.pose_iou:.3f}")
        if self.similarity is not None:
            parts.append(f"similarity to the text {self.similarity:.3f}")
        if self.resized:
            parts.append("the edit had another size")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; None where a number is not finite."""
        values = {name: value for name, value in asdict(self).items() if name != "registration"}
        values["registration"] = None if self.registration is None else self.registration.to_dict()
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }

    def row(self) -> dict[str, Any]:
        """Plain values in one level, for a table; a shift has two of them."""
        values = self.to_dict()
        registration = values.pop("registration") or {}
        for name in ("shift_px", "zoom_percent"):
            pair = registration.pop(name, (None, None))
            values |= {f"{name}_x": pair[0], f"{name}_y": pair[1]}
        names = ("turn_degrees", "residual_px", "uncertainty_px", "agreement", "confidence")
        return values | {name: registration.get(name) for name in names}


def measure_drift(
    before: torch.Tensor,
    after: torch.Tensor,
    mask: torch.Tensor | None = None,
    densepose: DensePose | None = None,
    clip: Clip | None = None,
    text: torch.Tensor | None = None,
) -> tuple[Drift, torch.Tensor]:
    """How an edit differs from its photo outside the mask, and a heat map of where.

    Args:
        before: the photo, (3, H, W) in [0, 1].
        after: the edit, (3, h, w) in [0, 1]; another size is resized to the photo's.
        mask: where the photo may change, (1, H, W) in [0, 1]; None compares every pixel.
        densepose: measures the pose of both.
        clip: measures the similarity of the edit with `text`.
        text: features of a text, (1, D), from the same CLIP.

    Returns:
        The measures, and the map (3, h, w) in [0, 1] with at most 1024 pixels a side, see `pixels.heat_map`.

    Raises:
        FiceError: the mask covers everything.
        ValueError: the shapes do not match.
    """
    size = (before.shape[-2], before.shape[-1])
    if mask is not None and mask.shape != (1, *size):
        raise ValueError(f"the mask is {tuple(mask.shape)}, but must be (1, {size[0]}, {size[1]})")
    if mask is not None and bool((mask > 0).all()):
        raise FiceError(
            "the mask covers the whole photo, so nothing is left to compare: leave black what the edit "
            "should not change, or leave the mask out"
        )
    with without_grad():
        at_size = resized(after[None].float(), size)[0].clamp(0, 1)
        outside = None if mask is None else mask[0] == 0
        found, heat = compare(before.float(), at_size, outside)
        small = min(*size, *after.shape[-2:]) < SMALLEST
        moved = None if small else register(before, after, mask)
        pose = None if densepose is None else _pose_overlap(densepose, before, at_size)
        similarity = None
        if clip is not None and text is not None:
            features = clip.encode_image(after[None].clone().to(text))
            similarity = float((features * text).sum(dim=1))
    other = tuple(after.shape[-2:]) != size
    drift = Drift(**found, resized=other, registration=moved, pose_iou=pose, similarity=similarity)
    return drift, heat


def _pose_overlap(densepose: DensePose, before: torch.Tensor, after: torch.Tensor) -> float:
    """Mean overlap of the body parts of two images (3, H, W), each seen as a whole."""
    from ..evaluation.metrics import part_iou  # imported here, because evaluation takes long

    frame = Frame.around((before.shape[-2], before.shape[-1]), _PARSED)
    device = next(densepose.parameters()).device
    parts = [
        extract_pose(densepose, frame.fit(image[None]).to(device)) for image in (before, after)
    ]
    return float(part_iou(parts[1], parts[0])[0])
