"""Adaptive discriminator augmentation (Karras et al. 2020), with the changes that suit clothes.

What the discriminator sees is altered, real and generated images alike, each alteration with probability p.
p rises as long as the discriminator tells them apart too surely. Alterations that happen to less than all
images do not show in generated images. Colours and what is up are part of what clothes are, so hue, inverted
brightness and quarter turns are left out unless asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

#: alterations that keep pixels; that resample; that change colours
_EXACT = ("flip", "rotate90", "shift")
_GEOMETRIC = ("scale", "rotate", "aniso", "fraction")
_COLOURS = ("brightness", "contrast", "luma", "hue", "saturation")
KINDS = (*_EXACT, *_GEOMETRIC, *_COLOURS)
#: what suits photos of clothes
CLOTHES = (
    "flip", "shift", "scale", "rotate", "aniso", "fraction", "brightness", "contrast", "saturation",
)  # fmt: skip
_SHIFT = 0.125  # of the side: largest whole shift, deviation of the other one
_SCALE, _ANISO = 0.2, 0.2  # deviations of log2
_TURN = math.radians(10)  # largest rotation, either way
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.2, 0.5, 1.0  # deviations; the latter two of log2


class _Draws:
    """Random numbers of every sample, by the name of an alteration."""

    def __init__(self, generators: Sequence[torch.Generator], like: Tensor) -> None:
        count = len(KINDS)
        tables = [
            (torch.rand(3, count, generator=g), torch.randn(2, count, generator=g))
            for g in generators
        ]
        self.uniform = torch.stack([uniform for uniform, _ in tables]).to(like)
        self.normal = torch.stack([normal for _, normal in tables]).to(like)

    def due(self, kind: str, probability: float) -> Tensor:
        """Whether each sample is altered, (n,)."""
        return self.uniform[:, 0, KINDS.index(kind)] < probability

    def amount(self, kind: str, which: int = 0) -> Tensor:
        """Uniform in [0, 1), (n,)."""
        return self.uniform[:, 1 + which, KINDS.index(kind)]

    def gauss(self, kind: str, which: int = 0) -> Tensor:
        """Normal numbers (n,)."""
        return self.normal[:, which, KINDS.index(kind)]


class Augmentation:
    """Alters images (n, 3, H, W) in [-1, 1]; gradients pass, second ones do not.

    Args:
        kinds: some of `KINDS`. Quarter turns need square images.

    Raises:
        ValueError: a kind is unknown.
    """

    def __init__(self, kinds: Sequence[str] = CLOTHES) -> None:
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown:
            raise ValueError(f"unknown augmentation {unknown[0]!r}, expected some of {KINDS}")
        self.kinds = tuple(kind for kind in KINDS if kind in kinds)

    def __call__(
        self, images: Tensor, probability: float, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Images altered with a probability, each by the draws of its own generator."""
        if not self.kinds or probability <= 0:
            return images
        draws = _Draws(generators, images)
        images = self._exact(images, probability, draws)
        images = self._geometric(images, probability, draws)
        return self._colours(images, probability, draws)

    def _exact(self, images: Tensor, probability: float, draws: _Draws) -> Tensor:
        chosen = [kind for kind in self.kinds if kind in _EXACT]
        if not chosen:
            return images
        height, width = images.shape[-2:]
        due = {kind: draws.due(kind, probability).tolist() for kind in chosen}
        first = {kind: draws.amount(kind).tolist() for kind in chosen}
        second = draws.amount("shift", 1).tolist()
        rows = []
        for k, image in enumerate(images):
            for kind in chosen:
                if not due[kind][k]:
                    continue
                if kind == "flip":
                    image = image.flip(-1) if first[kind][k] < 0.5 else image
                elif kind == "rotate90":
                    image = torch.rot90(image, int(first[kind][k] * 4), (-2, -1))
                else:
                    across = round((2 * first[kind][k] - 1) * _SHIFT * width)
                    down = round((2 * second[k] - 1) * _SHIFT * height)
                    image = _shifted(image, across, down)
            rows.append(image)
        return torch.stack(rows)

    def _geometric(self, images: Tensor, probability: float, draws: _Draws) -> Tensor:
        matrix = torch.eye(3, device=images.device, dtype=images.dtype).repeat(len(images), 1, 1)
        moved = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        for kind in self.kinds:
            if kind not in _GEOMETRIC:
                continue
            due = draws.due(kind, probability)
            moved |= due
            step = _movement(kind, draws, images.shape[-2:])
            eye = torch.eye(3, device=images.device, dtype=images.dtype)
            matrix = torch.where(due[:, None, None], step, eye) @ matrix
        index = moved.nonzero()[:, 0]
        if not len(index):
            return images
        return images.index_copy(0, index, _warped(images[index], matrix[index]))

    def _colours(self, images: Tensor, probability: float, draws: _Draws) -> Tensor:
        eye = torch.eye(3, device=images.device, dtype=images.dtype)
        matrix = eye.repeat(len(images), 1, 1)
        shift = images.new_zeros(len(images), 3, 1)
        changed = False
        for kind in self.kinds:
            if kind not in _COLOURS:
                continue
            changed = True
            due = draws.due(kind, probability)[:, None, None]
            if kind == "brightness":
                amount = _BRIGHTNESS * draws.gauss(kind)[:, None, None]
                shift = torch.where(due, shift + amount, shift)
                continue
            step = torch.where(due, _recolouring(kind, draws, eye), eye)
            matrix, shift = step @ matrix, step @ shift
        if not changed:
            return images
        return (matrix @ images.flatten(2) + shift).view_as(images)


def _shifted(image: Tensor, across: int, down: int) -> Tensor:
    """An image (3, H, W) moved by whole pixels; what is missing is mirrored."""
    height, width = image.shape[-2:]
    pads = (max(across, 0), max(-across, 0), max(down, 0), max(-down, 0))
    padded = F.pad(image[None], pads, mode="reflect")[0]
    top, left = max(-down, 0), max(-across, 0)
    return padded[:, top : top + height, left : left + width]


def _movement(kind: str, draws: _Draws, size: Sequence[int]) -> Tensor:
    """Matrices (n, 3, 3) that move points (x, y, 1), in pixels from the centre of the image."""
    height, width = size
    count = len(draws.normal)
    matrix = torch.eye(3, device=draws.normal.device, dtype=draws.normal.dtype).repeat(count, 1, 1)
    if kind == "scale":
        factor = torch.exp2(_SCALE * draws.gauss(kind))
        matrix[:, 0, 0], matrix[:, 1, 1] = factor, factor
    elif kind == "aniso":
        factor = torch.exp2(_ANISO * draws.gauss(kind))
        matrix[:, 0, 0], matrix[:, 1, 1] = factor, 1 / factor
    elif kind == "rotate":
        angle = (2 * draws.amount(kind) - 1) * _TURN
        matrix[:, 0, 0], matrix[:, 1, 1] = angle.cos(), angle.cos()
        matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin(), angle.sin()
    else:
        matrix[:, 0, 2] = _SHIFT * width * draws.gauss(kind, 0)
        matrix[:, 1, 2] = _SHIFT * height * draws.gauss(kind, 1)
    return matrix


def _warped(images: Tensor, matrix: Tensor) -> Tensor:
    """Images whose points are moved by matrices (n, 3, 3); beyond the border they are mirrored.

    They are resampled at twice their size, so that little detail is lost.
    """
    height, width = images.shape[-2:]
    to_pixels = torch.tensor([width / 2, height / 2, 1], device=matrix.device, dtype=matrix.dtype)
    # From where every pixel of the result comes, in units of half the sides.
    back = torch.linalg.inv(matrix) * to_pixels / to_pixels[:, None]
    count, channels = images.shape[:2]
    large = F.interpolate(images, scale_factor=2, mode="bicubic", align_corners=False)
    size = [count, channels, 2 * height, 2 * width]
    grid = F.affine_grid(back[:, :2], size, align_corners=False)
    large = F.grid_sample(large, grid, "bilinear", "reflection", align_corners=False)
    return F.interpolate(large, (height, width), mode="bicubic", antialias=True)


def _recolouring(kind: str, draws: _Draws, eye: Tensor) -> Tensor:
    """Matrices (n, 3, 3) on colours."""
    grey = torch.full_like(eye, 1 / 3)  # the projection on the axis of greys
    gauss = draws.gauss(kind)[:, None, None]
    if kind == "contrast":
        return eye * torch.exp2(_CONTRAST * gauss)
    if kind == "saturation":
        return grey + (eye - grey) * torch.exp2(_SATURATION * gauss)
    if kind == "luma":
        mirrored = (draws.amount(kind) < 0.5)[:, None, None]
        return torch.where(mirrored, eye - 2 * grey, eye)
    angle = ((2 * draws.amount(kind) - 1) * math.pi)[:, None, None]
    third = 1 / math.sqrt(3)
    cross = eye.new_tensor([[0, -third, third], [third, 0, -third], [-third, third, 0]])
    return grey + (eye - grey) * angle.cos() + cross * angle.sin()
