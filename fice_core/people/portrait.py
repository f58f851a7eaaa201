"""A person's image with its truth at any size: what measuring needs, pixel by pixel.

Needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .classes import GROUPS, SUBSAMPLES
from .compose import own_image
from .maths import Array
from .record import Record

#: joints that are used by name, and where they lie in a record's `joints`
JOINTS: dict[str, int] = {
    "left hip": 2, "right hip": 22, "left shoulder": 48, "left elbow": 50, "left wrist": 52,
    "right shoulder": 74, "right elbow": 76, "right wrist": 78, "neck": 98, "head": 101,
}  # fmt: skip
LOWER_PANELS = 128  # from here on a panel belongs to the lower garment
NO_PANEL = 255  # where the upper garment is not seen


@dataclass(frozen=True)
class Portrait:
    """An image of S x S pixels and what is known of it.

    `image` (S, S, 3) sRGB in [0, 1]. `coverage` (10, S, S) is the share of each of `CLASSES` in a pixel; it
    sums to one. `parts` (S, S) are DensePose's 24 parts, 0 background. `joints` (B, 2) are in pixels, see
    `JOINTS`. Of the upper garment `panel` (S, S) is the piece of cloth, `NO_PANEL` elsewhere, `uv` (S, S, 2)
    its garment coordinates in metres, and `light` (S, S, 3) the linear light that an albedo of one would
    send to the camera. `code` (CODE_DIM,) is the person's.
    """

    image: Array
    coverage: Array
    parts: Array
    joints: Array
    panel: Array
    uv: Array
    light: Array
    code: Array

    @property
    def size(self) -> int:
        """The image's width and height in pixels."""
        return len(self.parts)

    def region(self, name: str) -> Array:
        """The coverage (S, S) of a group: garment, skin, hair, head, body or background."""
        return np.asarray(self.coverage[list(GROUPS[name])].sum(0))

    def joint(self, name: str) -> Array:
        """Where a joint of `JOINTS` is, (x, y) in pixels."""
        return np.asarray(self.joints[JOINTS[name]])

    def with_image(self, image: Array) -> Portrait:
        """The same truth with another image of the same size."""
        return replace(self, image=image)

    def at(self, size: int) -> Portrait:
        """The portrait at another size: averages where it shrinks, else interpolation; labels are the
        commonest of their pixels or the nearest."""
        if size == self.size:
            return self
        there = _centres(size, self.size)
        return Portrait(
            image=np.clip(resampled(self.image, size), 0, 1).astype(np.float32),
            coverage=resampled(self.coverage.transpose(1, 2, 0), size).transpose(2, 0, 1),
            parts=_commonest(self.parts, size),
            joints=self.joints * (size / self.size),
            panel=self.panel[there[:, None], there],
            uv=self.uv[there[:, None], there],
            light=resampled(self.light, size),
            code=self.code,
        )


def portrait(record: Record, image: Array | None = None) -> Portrait:
    """The portrait of a record, with `image` (S, S, 3) in place of the person's own clothes."""
    panel, uv = cloth_coordinates(record)
    return Portrait(
        image=own_image(record)[0] if image is None else image,
        coverage=record.all_coverage(),
        parts=record.parts,
        joints=record.joints,
        panel=upper_panel(panel),
        uv=uv,
        light=record.light,
        code=record.code,
    )


def cloth_coordinates(record: Record, factor: int = 1) -> tuple[Array, Array]:
    """Panel (S, S) and mean garment coordinates (S, S, 2) of the cloth in each pixel, at 1 / `factor` of the
    record's size; `NO_PANEL` where there is none.

    A pixel belongs to the panel of the first of its subsamples on cloth.
    """
    s, k = record.size // factor, SUBSAMPLES * factor
    row, column = np.nonzero(record.cloth)
    pixel = (row // k) * s + column // k
    panel = np.full(s * s, NO_PANEL, np.uint8)
    panel[pixel[::-1]] = record.panel[::-1]
    same = record.panel == panel[pixel]
    count = np.bincount(pixel[same], minlength=s * s)
    mean = [np.bincount(pixel[same], record.uv[same, c], s * s) for c in range(2)]
    uv = np.stack(mean, 1) / np.maximum(count, 1)[:, None]
    return panel.reshape(s, s), uv.reshape(s, s, 2).astype(np.float32)


def upper_panel(panel: Array) -> Array:
    """The panels of the upper garment alone: `NO_PANEL` on the lower one."""
    return np.asarray(np.where(panel < LOWER_PANELS, panel, NO_PANEL), np.uint8)


def resampled(values: Array, size: int) -> Array:
    """Values (S, S, C) at `size` x `size` pixels: area averages where they shrink, else linear. float32."""
    weights = _area(len(values), size) if size < len(values) else _linear(len(values), size)
    return np.asarray(
        np.einsum("ps,stc,qt->pqc", weights, values, weights, optimize=True), np.float32
    )


def _area(before: int, after: int) -> Array:
    """The matrix (after, before) of averages over the intervals that new pixels cover."""
    edge = np.linspace(0, before, after + 1)
    low, high = edge[:-1, None], edge[1:, None]
    cell = np.arange(before)[None]
    overlap = np.clip(np.minimum(high, cell + 1) - np.maximum(low, cell), 0, 1)
    return np.asarray(overlap / overlap.sum(1, keepdims=True))


def _linear(before: int, after: int) -> Array:
    """The matrix (after, before) of linear interpolation between pixel centres."""
    at = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    return np.asarray(np.clip(1 - np.abs(at[:, None] - np.arange(before)[None]), 0, 1))


def _centres(size: int, before: int) -> Array:
    """The old pixel (size,) in which each new pixel's centre lies."""
    places = ((np.arange(size) + 0.5) * before / size).astype(int)
    return np.asarray(np.minimum(places, before - 1))


def _commonest(labels: Array, size: int) -> Array:
    """Labels (S, S) at another size: the one with the largest area in a pixel, (size, size) uint8."""
    kinds = np.unique(labels)
    share = resampled((labels[..., None] == kinds).astype(np.float32), size)
    return np.asarray(kinds[share.argmax(-1)], np.uint8)
