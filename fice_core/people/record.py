"""One rendered person as it is kept: two layers and truth, in compact arrays, and its bytes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .classes import CLASSES, GROUPS, SUBSAMPLES
from .maths import Array

REST_MAX, LIGHT_MAX = 2.0, 3.0  # linear light that 255 stands for
UV_STEP = 0.0004  # metres: the step of stored garment coordinates


@dataclass
class Record:
    """A person rendered at S x S pixels.

    `rest` and `light` (S, S, 3) linear float32: image = rest + albedo * light, before the tone curve.
    `classes` (3S, 3S) uint8 of `CLASSES`; `parts` (S, S) uint8, DensePose's 24 parts.
    `panel` (N,) uint8 and `uv` (N, 2) float32, metres, belong to the True subsamples of `cloth` (3S, 3S) in
    raster order; the lower garment's panels have 128 added. `joints` (B, 2) pixels. `code` is the person's.
    """

    rest: Array
    light: Array
    classes: Array
    parts: Array
    cloth: Array
    panel: Array
    uv: Array
    joints: Array
    code: Array

    @property
    def size(self) -> int:
        """The image's width and height in pixels."""
        return int(self.rest.shape[0])

    def coverage(self, *wanted: int) -> Array:
        """The share of each pixel (S, S) that shows the given classes."""
        mask = np.isin(self.classes, wanted)
        s, k = self.size, SUBSAMPLES
        return np.asarray(mask.reshape(s, k, s, k).mean((1, 3), dtype=np.float32))

    def all_coverage(self) -> Array:
        """The share of each class (len(CLASSES), S, S); sums to one over the classes."""
        return all_coverage(self.classes)

    def region(self, name: str) -> Array:
        """The coverage (S, S) of a group: garment, skin, hair, head, body or background."""
        return self.coverage(*GROUPS[name])


def all_coverage(classes: Array) -> Array:
    """The share of each class in each pixel, (len(CLASSES), S, S), of classes at subsamples (3S, 3S)."""
    s, k = len(classes) // SUBSAMPLES, SUBSAMPLES
    cells = classes.reshape(s, k, s, k)
    shares = [(cells == c).mean((1, 3), dtype=np.float32) for c in range(len(CLASSES))]
    return np.stack(shares)


def _png(array: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=7)
    return buffer.getvalue()


def _from_png(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _quantised(light: Array, largest: float) -> Array:
    return np.asarray(np.rint(255 * np.sqrt(np.clip(light / largest, 0, 1)))).astype(np.uint8)


def _light(levels: Array, largest: float) -> Array:
    return np.square(levels.astype(np.float32) / 255) * np.float32(largest)


def to_bytes(record: Record) -> dict[str, bytes]:
    """The record as named blobs: PNG images, deflated arrays."""
    steps = np.rint(record.uv / UV_STEP).astype(np.int16)
    delta = np.diff(steps, axis=0, prepend=np.zeros((1, 2), np.int16))
    planes = np.ascontiguousarray(delta.T).view(np.uint8).reshape(2, -1, 2).transpose(0, 2, 1)
    return {
        "rest.png": _png(_quantised(record.rest, REST_MAX)),
        "light.png": _png(_quantised(record.light, LIGHT_MAX)),
        "classes.png": _png(record.classes + 64 * record.cloth.astype(np.uint8)),
        "parts.png": _png(record.parts),
        "panel.z": zlib.compress(record.panel.tobytes(), 6),
        "uv.z": zlib.compress(planes.tobytes(), 6),
        "joints.z": zlib.compress(record.joints.astype("<f4").tobytes()),
        "code.z": zlib.compress(record.code.astype("<f4").tobytes()),
    }


def from_bytes(blobs: Mapping[str, bytes]) -> Record:
    """The record that `to_bytes` wrote."""
    marked = _from_png(blobs["classes.png"])
    panel = np.frombuffer(zlib.decompress(blobs["panel.z"]), np.uint8)
    planes = np.frombuffer(zlib.decompress(blobs["uv.z"]), np.uint8).reshape(2, 2, -1)
    delta = np.ascontiguousarray(planes.transpose(0, 2, 1)).view("<i2")[..., 0]
    steps = np.cumsum(delta, axis=1, dtype=np.int16)
    return Record(
        rest=_light(_from_png(blobs["rest.png"]), REST_MAX),
        light=_light(_from_png(blobs["light.png"]), LIGHT_MAX),
        classes=marked % 64,
        parts=_from_png(blobs["parts.png"]),
        cloth=marked >= 64,
        panel=panel,
        uv=steps.T.astype(np.float32) * np.float32(UV_STEP),
        joints=np.frombuffer(zlib.decompress(blobs["joints.z"]), "<f4").reshape(-1, 2),
        code=np.frombuffer(zlib.decompress(blobs["code.z"]), "<f4"),
    )
