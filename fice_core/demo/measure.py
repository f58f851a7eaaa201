"""What an image of a known figure shows, measured on its pixels: colour, pattern and sleeves.

No network takes part. The renderer says where the torso and the arms of the figure are and what its
skin looks like; the rest is colour differences in CIELAB and correlation with the pattern's geometry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.color import to_lab
from .attributes import COLOURS, PATTERNS, SLEEVES, Attributes
from .canvas import to_picture
from .renderer import TORSO, arm, pattern_maps, render

#: share of the arm that is covered: below -> sleeveless, between -> short, above -> long
SLEEVE_LIMITS = (0.10, 0.12, 0.60, 0.80)
_INK_SHARE = 0.35  # of a patterned garment's pixels, those least like ink show the ground colour
_PATTERN_THRESHOLD = 0.40  # correlation from which a pattern is there
_CONTRAST = 2.5  # CIELAB units of standard deviation below which a garment is plain
_SHIFT = 7  # pixels at 128 by which a pattern may be displaced


@dataclass(frozen=True)
class Measurement:
    """What is seen on one figure. `coverage` is the share of the arms under cloth; `sleeve` is None
    where it lies between two classes. `correlation` is that of the best pattern."""

    colour: str
    pattern: str
    sleeve: str | None
    coverage: float
    correlation: float


def measure(images: Tensor, figures: Attributes, wished_colour: list[str]) -> list[Measurement]:
    """Measure what `figures` wear in `images` (N, 3, S, S) in [0, 1].

    `wished_colour` only tells which ink a pattern would have: white on dark cloth, dark on light cloth.
    """
    size = images.shape[-1]
    chest = _chest(figures, size)
    maps = pattern_maps(figures, size)
    result = []
    for i in range(len(figures)):
        lab = to_lab(images[i].permute(1, 2, 0).double().numpy())
        pixels = lab[chest[i].numpy()]
        pattern, correlation = _pattern(
            torch.from_numpy(lab).permute(2, 0, 1).float(), chest[i], maps[i]
        )
        ground = _ground(pixels, pattern, wished_colour[i])
        ink = np.quantile(((pixels - ground) ** 2).sum(-1), 0.9)
        inked = np.median(pixels[((pixels - ground) ** 2).sum(-1) >= ink], axis=0)
        coverage = _coverage(
            lab, figures[i : i + 1], ground, inked if pattern != PATTERNS[0] else ground
        )
        result.append(
            Measurement(_nearest(ground), pattern, _sleeve(coverage), coverage, correlation)
        )
    return result


def _chest(figures: Attributes, size: int) -> Tensor:
    """Torso pixels that every garment covers: below a V neckline, without arms or hands. (N, S, S) bool."""
    n = len(figures)
    plain = figures.replace(
        sleeve=torch.zeros(n), neckline=torch.tensor([[0.0, 1.0, 0.0]]).expand(n, -1)
    )
    drawn = render(plain, size)
    sure = (drawn.labels == TORSO) & (drawn.garment[:, 0] > 0.99)
    eroded = -F.max_pool2d(-sure[:, None].float(), 3, 1, 1)
    return eroded[:, 0] > 0.5


def _nearest(lab: np.ndarray) -> str:
    table = to_lab(np.array(list(COLOURS.values())))
    return list(COLOURS)[int(((table - lab) ** 2).sum(-1).argmin())]


def _ground(pixels: np.ndarray, pattern: str, wished: str) -> np.ndarray:
    """The cloth's own colour: all of it, or the pixels least like the ink."""
    if pattern not in ("stripes", "dots", "checks"):
        return np.asarray(np.median(pixels, axis=0))
    light_cloth = wished in ("white", "yellow", "pink")
    ink = to_lab(np.array([0.16, 0.16, 0.22] if light_cloth else [0.96, 0.95, 0.92]))
    distance = ((pixels - ink) ** 2).sum(-1)
    kept = pixels[distance >= np.quantile(distance, 1 - _INK_SHARE)]
    return np.asarray(np.median(kept, axis=0))


def _high_pass(x: Tensor, mask: Tensor, radius: int) -> Tensor:
    """x (C, H, W) minus its local mean inside the mask (H, W)."""
    weight = mask.float()[None]
    kernel, pad = 2 * radius + 1, radius
    mean = F.avg_pool2d(x * weight, kernel, 1, pad) / F.avg_pool2d(
        weight, kernel, 1, pad
    ).clamp_min(1e-6)
    return (x - mean) * weight


def _pattern(lab: Tensor, mask: Tensor, maps: Tensor) -> tuple[str, float]:
    """The pattern whose geometry correlates best with the garment's strongest colour variation."""
    radius = round(lab.shape[-1] * 0.09)
    varied = _high_pass(lab, mask, radius)
    inside = varied[:, mask]
    values, vectors = torch.linalg.eigh(inside @ inside.t() / inside.shape[1])
    if float(values[-1].clamp_min(0).sqrt()) < _CONTRAST:
        return PATTERNS[0], 0.0
    signal = (vectors[:, -1, None, None] * varied).sum(0)
    reach = round(_SHIFT * lab.shape[-1] / 128)
    best, found = PATTERNS[0], _PATTERN_THRESHOLD
    for name, template in zip(PATTERNS[1:], maps, strict=True):
        whole = torch.ones_like(mask)
        score = _correlation(signal, mask, _high_pass(template[None], whole, radius)[0], reach)
        if score > found:
            best, found = name, score
    return best, found if best != PATTERNS[0] else 0.0


def _correlation(signal: Tensor, mask: Tensor, template: Tensor, reach: int) -> float:
    """Largest absolute cosine between the signal and the template under the mask, over displacements."""
    inside = mask.float()
    spectra = torch.fft.rfft2(torch.stack([signal * inside, inside]))
    moved = torch.fft.rfft2(torch.stack([template, template.square()]))
    products = torch.fft.irfft2(spectra * moved.conj(), s=signal.shape)
    cosine = products[0].abs() / (
        products[1].clamp_min(1e-6).sqrt() * (signal * inside).norm().clamp_min(1e-6)
    )
    near = torch.cat([torch.arange(reach + 1), torch.arange(-reach, 0)])
    return float(cosine[near[:, None], near].max())


def _coverage(lab: np.ndarray, figure: Attributes, ground: np.ndarray, inked: np.ndarray) -> float:
    """Share of both arms, shoulder to wrist, that does not look like the figure's skin."""
    size = lab.shape[0]
    skin = to_lab(figure.skin.double().numpy())[0]
    covered = []
    for side in ("right", "left"):
        joints = arm(figure, side)
        points = [
            tuple(float(v) for v in to_picture(j))
            for j in (joints.shoulder, joints.elbow, joints.wrist)
        ]
        for start, end, span in (
            (points[0], points[1], np.linspace(0.15, 1, 16)),
            (points[1], points[2], np.linspace(0.06, 0.94, 15)),
        ):
            for t in span:
                x = int((start[0] + (end[0] - start[0]) * t) * size)
                y = int((start[1] + (end[1] - start[1]) * t) * size)
                if not (1 <= x < size - 1 and 1 <= y < size - 1):
                    continue
                here = np.median(lab[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3), axis=0)
                # shading moves lightness more than hue: weigh it less
                weight = np.array([0.5, 1.0, 1.0])
                to_skin = np.linalg.norm((here - skin) * weight)
                # cloth is anything between its ground and its ink
                shades = ground + (inked - ground) * np.linspace(0, 1, 5)[:, None]
                to_cloth = np.linalg.norm((here - shades) * weight, axis=1).min()
                covered.append(to_cloth < to_skin)
    return float(np.mean(covered))


def _sleeve(coverage: float) -> str | None:
    """The class of a coverage, or None between two classes."""
    bare, short_from, short_to, full = SLEEVE_LIMITS
    if coverage <= bare:
        return SLEEVES[0]
    if short_from <= coverage <= short_to:
        return SLEEVES[1]
    return SLEEVES[2] if coverage >= full else None
