"""What a person in an image wears, measured on its pixels: colour, pattern and sleeves.

No network takes part. The truth of the unedited image says where chest and arms are, which light falls on
them, and what the person's skin looks like. The rest is colour differences in CIELAB and correlation with
the patterns' geometry in garment coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from skimage.color import lab2rgb
from skimage.morphology import erosion

from ..ops.color import to_lab
from ..people.classes import ARMS, FACE, HANDS, NECK
from ..people.colours import COLOURS, ink_for
from ..people.compose import tone
from ..people.maths import Array, encoded, linear
from ..people.portrait import JOINTS, Portrait
from ..people.wording import SLEEVES
from .case import Measurement
from .patterns import find_pattern, flattened

#: share of the arm under cloth at which one class of sleeves ends and the next begins
SLEEVE_LIMITS = (0.11, 0.57, 0.87)
FRONT = 2  # DensePose's part of the torso's front
TRUNK = 0  # the panel of the garment's trunk
#: part of the way from neck to hips that every garment covers
_CHEST = (0.26, 0.86)
#: shading moves lightness more than hue: weigh it less
_WEIGHT = np.array([0.5, 1.0, 1.0])
_DARKEST = 0.02  # light below which no colour can be told
_EITHER_WAY = (
    "stripes",
    "pinstripes",
    "checks",
)  # patterns whose ink and ground have the same shape
_CLEARLY = 14.0  # CIELAB units by which one colour must fit better as ink than the other
_BLURRED = (0.0, 0.1, 0.2, 0.3)  # shares of the ground that fine ink is mixed with
_PURE = 0.1  # of ink: a place with less of it, or more than all but this, shows one colour
_FEW = 12  # cells: fewer show no colour
UPPER_ARMS = {"left": (15, 17), "right": (16, 18)}  # DensePose's parts
LOWER_ARMS = {"left": (19, 21), "right": (20, 22)}
_THICKNESS = 0.07  # of the longer half of an arm: half the width of what is looked at
_BINS = 24  # along an arm
_SEEN = 0.55  # the share of them that must be seen
_SHADES = np.array([0.5, 0.7, 0.85, 1.0, 1.15])  # of a colour, in linear light


def measure(
    images: Sequence[Array], portraits: Sequence[Portrait], wished: Sequence[str]
) -> list[Measurement]:
    """Measure what the people of `portraits` wear in `images`, (S, S, 3) each, of the portraits' size.

    `wished` are the colours that were asked for. They only tell which of two colours of stripes or checks is
    the ink: a light one on dark cloth, a dark one on light cloth.
    """
    return [
        _measure(image, who, colour)
        for image, who, colour in zip(images, portraits, wished, strict=True)
    ]


def _measure(image: Array, who: Portrait, wished: str) -> Measurement:
    chest = chest_of(who)
    if chest.sum() < _FEW:
        return Measurement("none", "plain", None, float("nan"), 0.0)
    light = np.maximum(who.light[chest], _DARKEST)
    albedo = encoded(np.clip(untoned(image[chest]) / light, 0, 1))
    flat = flattened(who.uv[chest], np.concatenate([to_lab(albedo), image[chest]], -1))
    found = find_pattern(replace(flat, values=flat.values[..., :3]))
    there = flat.weight > 0.5
    values, ink = flat.values[there], found.ink[there]
    if found.name == "plain":
        ground = inked = np.median(values, axis=0)
    else:
        ground, inked = (_at(values, ink, amount) for amount in (0.0, 1.0))
        if found.name in _EITHER_WAY and _is_ink(ground, inked, wished):
            ground, inked = inked, ground
    coverage = _coverage(image, who, ground[3:], inked[3:])
    return Measurement(
        nearest_colour(ground[:3]), found.name, sleeve_of(coverage), coverage, found.correlation
    )


def chest_of(who: Portrait) -> Array:
    """Pixels (S, S) of the trunk that every garment covers, without arms, hands and hair."""
    top = who.joint("neck")[1]
    hips = (who.joint("left hip")[1] + who.joint("right hip")[1]) / 2
    along = (np.arange(who.size) + 0.5 - top) / (hips - top)
    within = (along > _CHEST[0]) & (along < _CHEST[1])
    sure = (who.region("garment") > 0.97) & (who.panel == TRUNK) & (who.parts == FRONT)
    return np.asarray(erosion(sure, np.ones((3, 3), bool)) & within[:, None])


def untoned(image: Array) -> Array:
    """The linear light that the camera's curve turned into `image`, sRGB in [0, 1]."""
    table = np.linspace(0, 3, 3001)
    return np.interp(image, tone(table), table)


def nearest_colour(lab: Array) -> str:
    """The name of the nearest of the twelve colours to a CIELAB colour."""
    table = to_lab(np.array(list(COLOURS.values())))
    return list(COLOURS)[int(np.square(table - lab).sum(-1).argmin())]


def sleeve_of(coverage: float) -> str | None:
    """The sleeves' class by the share of the arms under cloth; None for NaN."""
    return None if np.isnan(coverage) else SLEEVES[int(np.searchsorted(SLEEVE_LIMITS, coverage))]


def _is_ink(colour: Array, other: Array, wished: str) -> bool:
    """Whether `colour`, CIELAB first, is the ink on cloth of the `other` colour rather than the reverse.

    The ink is the one that cloth of the other colour would have; where both could be it, the other is the
    ink if `colour` is what was wished.
    """
    as_ground, as_ink = _ink_distance(colour, other), _ink_distance(other, colour)
    if abs(as_ground - as_ink) > _CLEARLY:
        return as_ink < as_ground
    return nearest_colour(colour[:3]) != wished and (
        nearest_colour(other[:3]) == wished or as_ink < as_ground
    )


def _ink_distance(ground: Array, ink: Array) -> float:
    """CIELAB distance of an ink from those that cloth of the ground's colour has, or from blurred ones."""
    rgb = np.clip(lab2rgb(ground[:3]), 0, 1)
    inks = linear(np.stack([ink_for(rgb, u) for u in np.linspace(0, 1, 7)]))
    blurred = inks + np.array(_BLURRED)[:, None, None] * (linear(rgb) - inks)
    usual = to_lab(encoded(blurred)).reshape(-1, 3)
    return float(np.linalg.norm(usual - ink[:3], axis=1).min())


def _at(values: Array, ink: Array, amount: float) -> Array:
    """The median of `values` (N, C) where `ink` is about `amount`; by a line through all if it never is."""
    pure = values[np.abs(ink - amount) < _PURE]
    if len(pure) >= _FEW:
        return np.asarray(np.median(pure, axis=0))
    slope, level = np.polyfit(ink, values, 1)
    return np.asarray(level + slope * amount)


def skin_of(who: Portrait) -> Array:
    """sRGB colours (K, 3) of the person's bare skin: arms and hands where they are seen, else the rest."""
    for kinds in ((ARMS, HANDS), (NECK, FACE)):
        mask = who.coverage[list(kinds)].sum(0) > 0.97
        if mask.sum() >= _FEW:
            break
    return np.asarray(who.image[mask])


def along_arms(parts: Array, joints: Array) -> Array:
    """How far along the arms a pixel lies (S, S): 0 at the shoulder, 0.5 at the elbow, 1 at the wrist.

    `parts` (S, S) are DensePose's, `joints` (B, 2) in pixels, see `people.portrait.JOINTS`.
    NaN off the arms, and farther from their middle than the thinnest arm is wide.
    """
    y, x = np.meshgrid(*[np.arange(len(parts)) + 0.5] * 2, indexing="ij")
    result = np.full(parts.shape, np.nan)
    for side in ("left", "right"):
        shoulder, elbow, wrist = (
            joints[JOINTS[f"{side} {name}"]] for name in ("shoulder", "elbow", "wrist")
        )
        near = _THICKNESS * max(
            float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(wrist - elbow))
        )
        for start, end, kinds, first in (
            (shoulder, elbow, UPPER_ARMS[side], 0.0),
            (elbow, wrist, LOWER_ARMS[side], 0.5),
        ):
            way = end - start
            length = max(float(way @ way), 1e-6)
            t = ((x - start[0]) * way[0] + (y - start[1]) * way[1]) / length
            off = np.hypot(x - start[0] - t * way[0], y - start[1] - t * way[1])
            here = np.isin(parts, kinds) & (off < near) & (t > 0) & (t < 1)
            result[here] = first + 0.5 * t[here]
    return result


def shown_along(along: Array) -> Array:
    """How many pixels of the arms are seen at each of some steps from the shoulder to the wrist."""
    seen = along[np.isfinite(along)]
    return np.bincount(np.minimum((seen * _BINS).astype(int), _BINS - 1), minlength=_BINS)


def shows_arms(parts: Array, joints: Array) -> bool:
    """Whether enough of the arms is seen to tell how long the sleeves are."""
    count = shown_along(along_arms(parts, joints))
    return bool((count > 0).mean() >= _SEEN and (count[_BINS * 5 // 8 :] > 0).sum() >= _BINS // 8)


def _coverage(image: Array, who: Portrait, ground: Array, inked: Array) -> float:
    """The share of the arms, from the shoulder on, that is under cloth; NaN if too little of them is seen.

    Each pixel looks more like cloth or like skin; the share is where one cut divides them best.
    """
    if not shows_arms(who.parts, who.joints):
        return float("nan")
    along = along_arms(who.parts, who.joints)
    seen = np.isfinite(along)
    bins = np.minimum((along[seen] * _BINS).astype(int), _BINS - 1)
    count = shown_along(along)
    shown = count > 0
    cloth = np.stack([ground + (inked - ground) * t for t in np.linspace(0, 1, 5)])
    skin = np.median(skin_of(who), axis=0)[None]
    pixels = to_lab(image[seen])
    covered = _distance(pixels, cloth) < _distance(pixels, skin)
    share = np.bincount(bins, covered, _BINS) / np.maximum(count, 1)
    cost = np.array(
        [
            ((1 - share) * shown)[:cut].sum() + (share * shown)[cut:].sum()
            for cut in range(_BINS + 1)
        ]
    )
    # where nothing is seen all cuts are as good: the middle of them
    return float(np.flatnonzero(cost <= cost.min() + 1e-9).mean() / _BINS)


def _distance(lab: Array, colours: Array) -> Array:
    """The distance of pixels (N, 3) to the nearest of sRGB colours in any shade, in CIELAB."""
    light = linear(colours)[:, None] * _SHADES[None, :, None]
    shades = to_lab(encoded(light)).reshape(-1, 3)
    distance = np.linalg.norm((lab[:, None] - shades[None]) * _WEIGHT, axis=-1)
    return np.asarray(distance.min(1))
