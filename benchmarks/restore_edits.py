"""Synthetic edits of the gallery's people: known geometry, another garment, and what editors do besides."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from fice_core.demo.gallery import gallery
from fice_core.registration import Alignment

Planes = np.ndarray
SIDES = (512, 512, 512, 768, 1024)  # of the photo; above 512 pixels the person is upscaled
PROPORTIONS = ((1, 1), (1, 1), (1, 1), (2, 3), (3, 4), (4, 3))  # width : height of the photo


@dataclass(frozen=True)
class Edit:
    """A photo, somebody's edit of it, and the truth.

    Attributes:
        photo: (3, H, W) in [0, 1].
        edited: (3, h, w) in [0, 1].
        garment: bool (1, H, W), where the garment is before or after the edit.
        truth: the geometry.
        story: what was done, in words.
    """

    photo: torch.Tensor
    edited: torch.Tensor
    garment: torch.Tensor
    truth: Alignment
    story: str


def edits(count: int, seed: int = 0) -> Iterator[Edit]:
    """`count` edits of the gallery's people, in turn."""
    people = gallery()
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        person = people[number % len(people)]
        yield _edit(person.image, person.portrait().region("garment"), rng)


def _edit(image: np.ndarray, garment: np.ndarray, rng: np.random.Generator) -> Edit:
    photo, cloth = _photo(image, garment, rng)
    height, width = photo.shape[1:]
    changed, where = _dressed(photo, cloth, rng)
    scale = rng.choice([0.5, 0.75, 1.0, 1.0, 1.0, 1.5])
    scale = max(scale, 448 / max(height, width))
    stretched = rng.uniform(0.96, 1.04) if rng.random() < 0.3 else 1.0  # sides of multiples of 16
    size = max(64, round(height * scale)), max(64, round(width * scale * stretched))
    zoom = rng.uniform(0.9, 1.1)
    stretch = rng.uniform(0.985, 1.015) if rng.random() < 0.5 else 1.0
    turn = rng.uniform(-3, 3) if rng.random() < 0.3 else 0.0
    shift = tuple(float(rng.uniform(-0.05, 0.05) * side) for side in (width, height))
    truth = Alignment((height, width), size, (zoom, zoom * stretch), turn, shift)
    edited = _as_seen(changed, truth)
    edited, story = _developed(edited, rng)
    story = (
        f"{width} x {height} to {size[1]} x {size[0]}, zoom {zoom:.3f}, turn {turn:.1f}, {story}"
    )
    return Edit(_tensor(photo), _tensor(edited), torch.from_numpy(where[None]), truth, story)


def _photo(
    image: np.ndarray, garment: np.ndarray, rng: np.random.Generator
) -> tuple[Planes, Planes]:
    """The person at a random size and in random proportions, with grain; and the garment, (H, W)."""
    side = int(rng.choice(SIDES))
    across, down = PROPORTIONS[rng.integers(len(PROPORTIONS))]
    square = len(image)
    width, height = (round(square * part / max(across, down)) for part in (across, down))
    left = int(rng.integers(square - width + 1))
    box = (left, 0, left + width, height)
    size = round(side * width / square), round(side * height / square)
    pixels = Image.fromarray(image).crop(box).resize(size, Image.Resampling.LANCZOS)
    cloth = Image.fromarray((garment * 255).astype(np.uint8)).crop(box).resize(size)
    photo = np.asarray(pixels, np.float32).transpose(2, 0, 1) / 255
    grain = rng.normal(0, rng.uniform(0, 0.012), photo.shape[1:])
    levels = np.round((photo + grain).clip(0, 1) * 255) / 255
    return levels.astype(np.float32), np.asarray(cloth, np.float32) / 255


def _dressed(photo: Planes, cloth: Planes, rng: np.random.Generator) -> tuple[Planes, np.ndarray]:
    """The photo with another garment, and where it differs: another colour, pattern, or outline."""
    height, width = cloth.shape
    if rng.random() < 0.5:  # the new garment is wider than the old one
        reach = round(rng.uniform(0.004, 0.02) * height)
        cloth = ndimage.gaussian_filter(ndimage.grey_dilation(cloth, 2 * reach + 1), 0.8)
    colour = rng.uniform(0.05, 0.95, (3, 1, 1))
    shading = ndimage.gaussian_filter(photo.mean(axis=0), 2)
    shading = shading / max(float(shading[cloth > 0.5].mean()) if (cloth > 0.5).any() else 1, 0.05)
    kind = rng.integers(4)
    dress = colour * shading.clip(0.4, 1.6)
    if kind == 1:  # inverted
        dress = 1 - photo
    elif kind == 2:  # stripes
        y, x = np.mgrid[:height, :width]
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.015, 0.05) * height
        wave = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period) > 0
        dress = np.where(wave, dress, 1 - colour)
    elif kind == 3:  # the same garment in another colour, with its own structure
        dress = photo.mean(axis=0) * colour / max(float(colour.mean()), 0.1)
    changed = photo * (1 - cloth) + cloth * dress.clip(0, 1)
    return changed.astype(np.float32), cloth > 0.01


def _as_seen(photo: Planes, truth: Alignment) -> Planes:
    """The photo, moved as the truth says, at the edit's size."""
    inverse = np.linalg.inv(np.vstack([truth.matrix, [0, 0, 1]]))[:2][::-1, [1, 0, 2]]
    offset = inverse[:, :2] @ [0.5, 0.5] + inverse[:, 2] - 0.5
    density = float(np.abs(np.linalg.det(inverse[:, :2])) ** 0.5)
    planes = [ndimage.gaussian_filter(p, 0.5 * max(0.0, density**2 - 1) ** 0.5) for p in photo]
    moved = [
        ndimage.affine_transform(p, inverse[:, :2], offset, truth.edit_size, order=3, mode="mirror")
        for p in planes
    ]
    return np.stack(moved).clip(0, 1)


def _developed(edited: Planes, rng: np.random.Generator) -> tuple[Planes, str]:
    """Another tone; what an autoencoder loses; blur; JPEG. And these in words."""
    told = []
    gamma, gain = rng.uniform(0.85, 1.15), rng.uniform(0.9, 1.1, (3, 1, 1))
    edited = (edited**gamma * gain + rng.uniform(-0.04, 0.04, (3, 1, 1))).clip(0, 1)
    told.append(f"gamma {gamma:.2f}")
    if rng.random() < 0.7:  # the low-pass of an autoencoder, and its own texture
        reduced = ndimage.gaussian_filter(edited, (0, 0.9, 0.9))
        noise = ndimage.gaussian_filter(rng.normal(0, 0.02, edited.shape), (0, 0.7, 0.7))
        edited = (reduced + noise).clip(0, 1)
        told.append("low-pass")
    blur = rng.uniform(0, 1.2)
    edited = ndimage.gaussian_filter(edited, (0, blur, blur))
    quality = int(rng.integers(60, 96))
    levels = (edited.transpose(1, 2, 0) * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    told.append(f"blur {blur:.1f}, JPEG {quality}")
    pixels = np.asarray(Image.open(buffer), np.float32).transpose(2, 0, 1) / 255
    return pixels, ", ".join(told)


def _tensor(planes: Planes) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(planes, np.float32))
