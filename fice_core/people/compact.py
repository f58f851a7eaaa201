"""A rendered person in a hundred kilobytes: what a bundled gallery keeps of a record.

Classes, parts and joints keep the record's size. Light and garment coordinates are kept at half of it, one
coordinate a pixel; from them comes a record of half the size, which can be composed with any texture.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .classes import DRESS, LOWER, SUBSAMPLES, UPPER
from .maths import Array
from .portrait import LOWER_PANELS, NO_PANEL, cloth_coordinates, resampled
from .record import LIGHT_MAX, REST_MAX, UV_STEP, Record

HALF = 2
BLOBS = (
    "classes.webp", "parts.webp", "rest.webp", "light.webp", "panel.webp", "uv.z", "joints.z", "code.z",
)  # fmt: skip


@dataclass(frozen=True)
class Compact:
    """What is kept of a record of S pixels.

    `classes` (3S, 3S), `parts` (S, S), `joints` (B, 2) and `code` (CODE_DIM,) are the record's. `rest` and
    `light` (H, H, 3), `panel` (H, H) and `uv` (H, H, 2) are at half its size, H = S / 2.
    """

    classes: Array
    parts: Array
    joints: Array
    code: Array
    rest: Array
    light: Array
    panel: Array
    uv: Array

    def record(self) -> Record:
        """The record of half the size."""
        size = len(self.panel)
        classes = self.classes[::HALF, ::HALF]
        fields = {
            low: _continued(self.uv, self.panel, (self.panel >= LOWER_PANELS) == low)
            for low in (False, True)
        }
        # places of the subsamples of a pixel, from its centre
        places = (np.arange(SUBSAMPLES) + 0.5) / SUBSAMPLES - 0.5
        cloth = np.zeros(classes.shape, bool)
        panel = np.zeros(classes.shape, np.uint8)
        uv = np.zeros((*classes.shape, 2), np.float32)
        for low, (known, kinds, here, slope) in fields.items():
            worn = np.isin(classes, (LOWER,) if low else (UPPER, DRESS))
            for i, y in enumerate(places):
                for j, x in enumerate(places):
                    cell = (slice(i, None, SUBSAMPLES), slice(j, None, SUBSAMPLES))
                    mask = worn[cell] & known
                    cloth[cell] |= mask
                    panel[cell][mask] = kinds[mask]
                    uv[cell][mask] = (here + slope[0] * y + slope[1] * x)[mask]
        return Record(
            rest=self.rest,
            light=self.light,
            classes=classes,
            parts=self.parts[HALF - 1 :: HALF, HALF - 1 :: HALF],
            cloth=cloth,
            panel=panel[cloth],
            uv=uv[cloth],
            joints=self.joints * (size / len(self.parts)),
            code=self.code,
        )


def compacted(record: Record) -> Compact:
    """What is kept of a record."""
    panel, uv = cloth_coordinates(record, HALF)
    half = record.size // HALF
    return Compact(
        classes=record.classes,
        parts=record.parts,
        joints=record.joints,
        code=record.code,
        rest=resampled(record.rest, half),
        light=resampled(record.light, half),
        panel=panel,
        uv=uv,
    )


def to_bytes(person: Compact) -> dict[str, bytes]:
    """The person as named blobs: lossless WebP images, deflated arrays."""
    cloth = person.panel != NO_PANEL
    steps = np.rint(person.uv[cloth] / UV_STEP).astype("<i2")
    delta = np.diff(steps, axis=0, prepend=np.zeros((1, 2), "<i2")).astype("<i2")
    planes = np.ascontiguousarray(delta.T).view(np.uint8).reshape(2, -1, 2).transpose(0, 2, 1)
    return {
        "classes.webp": _webp(person.classes),
        "parts.webp": _webp(person.parts),
        "rest.webp": _webp(_levels(person.rest, REST_MAX)),
        "light.webp": _webp(_levels(person.light, LIGHT_MAX)),
        "panel.webp": _webp(person.panel),
        "uv.z": zlib.compress(planes.tobytes(), 9),
        "joints.z": zlib.compress(person.joints.astype("<f4").tobytes(), 9),
        "code.z": zlib.compress(person.code.astype("<f4").tobytes(), 9),
    }


def from_bytes(blobs: Mapping[str, bytes]) -> Compact:
    """The person that `to_bytes` wrote."""
    panel = _labels(blobs["panel.webp"])
    planes = np.frombuffer(zlib.decompress(blobs["uv.z"]), np.uint8).reshape(2, 2, -1)
    delta = np.ascontiguousarray(planes.transpose(0, 2, 1)).view("<i2")[..., 0]
    uv = np.zeros((*panel.shape, 2), np.float32)
    uv[panel != NO_PANEL] = np.cumsum(delta, axis=1, dtype=np.int16).T * np.float32(UV_STEP)
    return Compact(
        classes=_labels(blobs["classes.webp"]),
        parts=_labels(blobs["parts.webp"]),
        joints=np.frombuffer(zlib.decompress(blobs["joints.z"]), "<f4").reshape(-1, 2),
        code=np.frombuffer(zlib.decompress(blobs["code.z"]), "<f4"),
        rest=_light(blobs["rest.webp"], REST_MAX),
        light=_light(blobs["light.webp"], LIGHT_MAX),
        panel=panel,
        uv=uv,
    )


def parts_and_joints(blobs: Mapping[str, bytes]) -> tuple[Array, Array]:
    """Parts (S, S) and joints (B, 2) alone, of what `to_bytes` wrote."""
    joints = np.frombuffer(zlib.decompress(blobs["joints.z"]), "<f4").reshape(-1, 2)
    return _labels(blobs["parts.webp"]), joints


def _webp(array: Array) -> bytes:
    """Labels (H, W) or colours (H, W, 3), uint8, without loss."""
    colours = np.repeat(array[..., None], 3, 2) if array.ndim == 2 else array
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "WEBP", lossless=True, quality=90, method=6, exact=True)
    return buffer.getvalue()


def _colours(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _labels(data: bytes) -> Array:
    return np.ascontiguousarray(_colours(data)[..., 0])


def _levels(light: Array, largest: float) -> Array:
    return np.asarray(np.rint(255 * np.sqrt(np.clip(light / largest, 0, 1)))).astype(np.uint8)


def _light(data: bytes, largest: float) -> Array:
    return np.square(_colours(data).astype(np.float32) / 255) * np.float32(largest)


def _continued(uv: Array, panel: Array, mask: Array) -> tuple[Array, Array, Array, Array]:
    """Coordinates of one garment (`mask` (S, S)), continued by a pixel beyond its edges.

    Returns where they are known (S, S), the panels (S, S), the coordinates (S, S, 2), and their slopes
    (2, S, S, 2) a pixel down and across.
    """
    known, panel = mask & (panel != NO_PANEL), panel.copy()
    here = uv.copy()
    slope = np.stack([_slope(uv, panel, known, axis) for axis in (0, 1)])
    for _ in range(2):
        fresh = known.copy()
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            # the neighbour's values, a pixel further on
            near = np.roll(known, (dy, dx), (0, 1)) & ~fresh
            way = slope[0] * dy + slope[1] * dx
            here[near] = np.roll(here + way, (dy, dx), (0, 1))[near]
            panel[near] = np.roll(panel, (dy, dx), (0, 1))[near]
            slope[:, near] = np.roll(slope, (dy, dx), (1, 2))[:, near]
            fresh |= near
        known = fresh
    return known, panel, here, slope


def _slope(uv: Array, panel: Array, known: Array, axis: int) -> Array:
    """The change of coordinates a pixel along an axis: the mean of the differences to both neighbours on the
    same panel, 0 without any."""
    total, count = np.zeros_like(uv), np.zeros(panel.shape, np.float32)
    for step in (1, -1):
        near = np.roll(known, step, axis) & known & (np.roll(panel, step, axis) == panel)
        total += np.where(near[..., None], step * (uv - np.roll(uv, step, axis)), 0)
        count += near
    return np.asarray(total / np.maximum(count, 1)[..., None], np.float32)
