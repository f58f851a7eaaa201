"""Measures a person's skin tone and matches newly bare skin to it."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..extraction.anatomy import HANDS, HEAD
from ..ops.color import to_lab
from ..ops.patches import check_same_size, edit_boxes
from ..ops.resize import resize
from ..ops.robust import STD_PER_MAD

_SIDE = 512  # tones are measured on images of at most this size
_MIN_PIXELS = 12
_FACE = (0.28, 0.72, 0.45, 0.80)  # left, right, top, bottom of the face within the head's box
_MAX_HAND_DISTANCE = 20.0  # CIELAB distance to the face; pixels beyond it are no hand, or gloved
_ONE_COLOUR = 15.0  # CIELAB distance; two closer clusters are one skin in light and shade
_MIN_SPREAD = (8.0, 3.0, 4.0)  # CIELAB; light varies more over a body than over the hands
_WIDTH = 3.0  # spreads; at this distance from the tone, the likelihood of skin is exp(-1/2)
_BRIGHTENING = (0.5, 2.0)  # limits of the factor


class SkinTone(NamedTuple):
    """Skin tones of N persons in CIELAB.

    Attributes:
        mean: median colours, (N, 3) float32 on the CPU; NaN if no skin is visible.
        spread: robust standard deviations, of the same shape.
    """

    mean: torch.Tensor
    spread: torch.Tensor

    @property
    def known(self) -> torch.Tensor:
        """Whether a tone was measured, (N,) bool."""
        return self.mean.isfinite().all(dim=1)


def skin_tone(
    images: torch.Tensor, hands: torch.Tensor, head: torch.Tensor, arms: torch.Tensor | None = None
) -> SkinTone:
    """The skin tone of the hands; if they are hidden or gloved, of the face, or else of the arms.

    The face is the lower centre of the head. Its pixels are clustered into two colours (2-means) and
    the larger cluster is used; the other one is hair or a beard. Pixels of the hands that differ from
    the face are cloth.

    Args:
        images: (N, 3, H, W) in [0, 1].
        hands, head: (N, 1, H, W) in [0, 1]; pixels above one half count.
        arms: the same for bare arms only.

    Raises:
        ValueError: the shapes do not match.
    """
    masks = [hands, head] + ([] if arms is None else [arms])
    for mask in masks:
        check_same_size(images, images, mask)
    factor = max(1.0, max(images.shape[-2:]) / _SIDE)
    size = (round(images.shape[-2] / factor), round(images.shape[-1] / factor))
    small = resize(images.detach(), size)
    masks = [resize(mask.detach().float(), size) > 0.5 for mask in masks]
    tones = []
    for sample, image in enumerate(small):
        lab = _lab(image)
        face = _main_colour(lab[_face(masks[1][sample, 0])])
        hand = lab[_core(masks[0][sample, 0])]
        if len(face) >= _MIN_PIXELS:
            distance = np.linalg.norm(hand - np.median(face, axis=0), axis=1)
            hand = hand[distance < _MAX_HAND_DISTANCE]
        candidates = [hand, face, *(lab[_core(mask[sample, 0])] for mask in masks[2:])]
        tones.append(_statistics(candidates))
    stacked = torch.from_numpy(np.array(tones)).float()
    return SkinTone(stacked[:, 0], stacked[:, 1])


def skin_tone_of_parts(images: torch.Tensor, parts: torch.Tensor) -> SkinTone:
    """`skin_tone` of the hands and the head in a DensePose part map (N, 14, h, w) of `images`.

    The arms are not used, because the map does not distinguish sleeves and skin.
    """
    size = (images.shape[-2], images.shape[-1])
    hands, head = (
        F.interpolate(parts[:, part].sum(dim=1, keepdim=True), size, mode="bilinear")
        for part in (HANDS, HEAD)
    )
    return skin_tone(images, hands, head)


def skin_likelihood(images: torch.Tensor, tone: SkinTone) -> torch.Tensor:
    """Similarity of every pixel to a skin tone in light or shade, (N, 1, H, W) in [0, 1].

    It is exp(-d^2 / 2), where d is the distance from the tone in units of three spreads; 0 for persons
    whose tone is unknown.

    Args:
        images: (N, 3, H, W) in [0, 1].
        tone: of the same N persons.
    """
    similarities = [
        _similarity(_lab(image), mean.numpy(), spread.numpy())
        for image, mean, spread in zip(images.detach(), *tone, strict=True)
    ]
    return torch.from_numpy(np.stack(similarities))[:, None].to(images)


def newly_bare(
    generated: torch.Tensor,
    original: torch.Tensor,
    arms: torch.Tensor,
    generated_tone: SkinTone,
    tone: SkinTone,
) -> torch.Tensor:
    """Soft mask (N, 1, H, W) in [0, 1] of newly bare skin: arms that are skin only after the edit.

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        arms: of the generated image, (N, 1, H, W) in [0, 1] or bool.
        generated_tone: of the person in the generated image.
        tone: of the person in the original.

    Raises:
        ValueError: the shapes do not match.
    """
    check_same_size(generated, original, arms)
    is_skin = skin_likelihood(generated, generated_tone)
    return arms.to(is_skin) * is_skin * (1 - skin_likelihood(original, tone))


def match_skin(
    generated: torch.Tensor,
    original: torch.Tensor,
    arms: torch.Tensor,
    generated_parts: torch.Tensor,
    parts: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The generated image with newly bare skin in the photo's skin tone, and the mask of this skin.

    Args:
        generated, original: of one size, (N, 3, H, W) in [0, 1].
        arms: of the generated image, (N, 1, H, W) in [0, 1] or bool.
        generated_parts, parts: DensePose part maps of the two, (N, 14, h, w).

    Returns:
        (N, 3, H, W), and (N, 1, H, W) in [0, 1].
    """
    tone = skin_tone_of_parts(original, parts)
    generated_tone = skin_tone_of_parts(generated, generated_parts)
    bare = newly_bare(generated, original, arms, generated_tone, tone)
    return shift_skin(generated, bare, tone), bare


def shift_skin(generated: torch.Tensor, mask: torch.Tensor, tone: SkinTone) -> torch.Tensor:
    """`generated` with the skin inside the mask changed to a given tone; light and shade are kept.

    The median colour inside the mask becomes the tone. Light multiplies the tristimulus values of skin,
    and so, approximately, L* + 16, a* and b*. Lightness and chroma are therefore scaled around the
    median by one factor, the ratio of the values of L* + 16. This keeps the contrast of the shading.
    Pixels that differ from the median, such as the edge of a sleeve, change less.

    Args:
        generated: (N, 3, H, W) in [0, 1].
        mask: newly bare skin, (N, 1, H, W) in [0, 1].
        tone: of the person in the photo; persons with an unknown tone do not change.

    Returns:
        (N, 3, H, W); where `mask` is 0, equal to `generated` bit for bit.

    Raises:
        ValueError: the shapes do not match.
    """
    from skimage.color import lab2rgb  # imported here, because it takes long

    check_same_size(generated, generated, mask)
    result = generated.detach().clone()
    for sample, (rows, columns) in edit_boxes(mask, margin=0):
        patch = generated[sample, :, rows, columns].detach()
        soft = mask[sample, 0, rows, columns]
        lab = _lab(patch)
        masked = lab[(soft > 0.5).cpu().numpy()]
        if not tone.known[sample] or len(masked) < _MIN_PIXELS:
            continue
        median, spread = _statistics([masked])
        target = tone.mean[sample].double().numpy()
        factor = np.clip((target[0] + 16) / (median[0] + 16), *_BRIGHTENING)
        matched = lab2rgb(target + factor * (lab - median))
        # A similarity of one half is enough for the full change: a remainder of the old tone would show.
        similarity = np.clip(2 * _similarity(lab, median, spread), 0, 1)
        share = soft * torch.from_numpy(similarity).to(soft)
        matched = torch.from_numpy(matched).permute(2, 0, 1).to(patch)
        shifted = torch.lerp(patch, matched, share)
        result[sample, :, rows, columns] = torch.where(share > 0, shifted, patch)
    return result


def _lab(image: torch.Tensor) -> np.ndarray:
    """CIELAB (H, W, 3) float32 of an image (3, H, W) in [0, 1]."""
    return to_lab(image.permute(1, 2, 0).float().cpu().numpy())


def _similarity(lab: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Similarity (H, W) of colours (H, W, 3), see `skin_likelihood`; 0 for an unknown mean."""
    distance = (lab - mean) / (_WIDTH * np.maximum(spread, _MIN_SPREAD))
    return np.asarray(np.nan_to_num(np.exp(-0.5 * (distance**2).sum(axis=-1))))


def _statistics(candidates: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation, (3,) each, of the first candidate (K, 3) with enough pixels.

    NaN if there is none.
    """
    for colours in candidates:
        if len(colours) >= _MIN_PIXELS:
            median = np.median(colours, axis=0)
            return median, STD_PER_MAD * np.median(np.abs(colours - median), axis=0)
    return np.full(3, np.nan), np.full(3, np.nan)


def _core(mask: torch.Tensor) -> np.ndarray:
    """A bool mask (H, W) without its border pixels, which mix colours, if enough pixels remain."""
    inner = F.max_pool2d((~mask)[None, None].float(), 3, 1, 1)[0, 0] == 0
    return np.asarray((inner if inner.sum() >= _MIN_PIXELS else mask).cpu())


def _face(head: torch.Tensor) -> np.ndarray:
    """The lower centre of a head's bounding box, within the head: bool (H, W)."""
    face = torch.zeros_like(head)
    if head.any():
        ys, xs = head.nonzero().unbind(dim=1)
        top, bottom = float(ys.min()), float(ys.max()) + 1
        left, right = float(xs.min()), float(xs.max()) + 1
        width, height = right - left, bottom - top
        rows = slice(round(top + _FACE[2] * height), round(top + _FACE[3] * height))
        columns = slice(round(left + _FACE[0] * width), round(left + _FACE[1] * width))
        face[rows, columns] = head[rows, columns]
    return np.asarray(face.cpu())


def _main_colour(lab: np.ndarray) -> np.ndarray:
    """The pixels of the larger of two clusters of (K, 3); all pixels if the clusters are similar."""
    if len(lab) < _MIN_PIXELS:
        return lab
    order = np.argsort(lab[:, 0])
    centres = lab[order[[len(lab) // 10, -1 - len(lab) // 10]]]
    for _ in range(10):
        cluster = ((lab[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
        if len(np.unique(cluster)) < 2:
            return lab
        centres = np.stack([lab[cluster == k].mean(axis=0) for k in (0, 1)])
    if np.linalg.norm(centres[0] - centres[1]) < _ONE_COLOUR:
        return lab
    return np.asarray(lab[cluster == np.bincount(cluster).argmax()])
