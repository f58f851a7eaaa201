"""The person's own skin tone, and newly bare skin given it."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..extraction.anatomy import HANDS, HEAD
from ..ops.color import to_lab
from ..ops.patches import check_same_size, edit_boxes
from ..ops.resize import resize

_SIDE = 512  # tones are measured on pictures of at most this size
_LEAST_PIXELS = 12
_FACE = (0.28, 0.72, 0.45, 0.80)  # left, right, top, bottom of the face within the head's box
_ALIKE = 20.0  # CIELAB; what is farther from the face than this is no hand, or gloved
_ONE_COLOUR = 15.0  # CIELAB; two clusters nearer than this are one skin in light and shade
_LEAST_SPREAD = (8.0, 3.0, 4.0)  # CIELAB; light varies more over a body than over the hands
_WIDTH = 3.0  # spreads from the tone at which a pixel looks like skin to exp(-1/2)
_BRIGHTENING = (0.5, 2.0)
_MAD = 1.4826


class SkinTone(NamedTuple):
    """Skin of N people in CIELAB: median and robust standard deviation, each (N, 3) float32 on the CPU,
    NaN where no skin was seen."""

    mean: torch.Tensor
    spread: torch.Tensor

    @property
    def known(self) -> torch.Tensor:
        """(N,) bool."""
        return self.mean.isfinite().all(dim=1)


def skin_tone(
    images: torch.Tensor, hands: torch.Tensor, head: torch.Tensor, arms: torch.Tensor | None = None
) -> SkinTone:
    """The tone of the hands; where they are hidden or gloved, of the face; failing both, of the arms.

    The face is the lower middle of the head; of two colours there (2-means) that which has more
    pixels, the other being hair or a beard. What of the hands is unlike the face is cloth.

    Args:
        images: (N, 3, H, W) in [0, 1].
        hands, head: (N, 1, H, W) in [0, 1]; pixels above one half count.
        arms: the same, bare ones only.

    Raises:
        ValueError: shapes do not agree.
    """
    masks = [hands, head] + ([] if arms is None else [arms])
    for mask in masks:
        check_same_size(images, images, mask)
    shrink = max(1.0, max(images.shape[-2:]) / _SIDE)
    size = (round(images.shape[-2] / shrink), round(images.shape[-1] / shrink))
    small = resize(images.detach(), size)
    masks = [resize(mask.detach().float(), size) > 0.5 for mask in masks]
    tones = []
    for sample, image in enumerate(small):
        lab = _lab(image)
        face = _main_colour(lab[_face(masks[1][sample, 0])])
        palms = lab[_core(masks[0][sample, 0])]
        if len(face) >= _LEAST_PIXELS:
            distance = np.linalg.norm(palms - np.median(face, axis=0), axis=1)
            palms = palms[distance < _ALIKE]
        candidates = [palms, face, *(lab[_core(mask[sample, 0])] for mask in masks[2:])]
        tones.append(_statistics(candidates))
    stacked = torch.from_numpy(np.array(tones)).float()
    return SkinTone(stacked[:, 0], stacked[:, 1])


def skin_tone_of_parts(images: torch.Tensor, parts: torch.Tensor) -> SkinTone:
    """`skin_tone` by the hands and the head of a DensePose part map (N, 14, h, w) of `images`.

    Its arms are of no use: the map does not tell sleeves from skin.
    """
    size = (images.shape[-2], images.shape[-1])
    hands, head = (
        F.interpolate(parts[:, part].sum(dim=1, keepdim=True), size, mode="bilinear")
        for part in (HANDS, HEAD)
    )
    return skin_tone(images, hands, head)


def skin_likelihood(images: torch.Tensor, tone: SkinTone) -> torch.Tensor:
    """How much every pixel looks like that skin, in light or shade: (N, 1, H, W) in [0, 1].

    exp(-d^2 / 2), d being the distance from the tone in units of three of its spreads; 0 for people
    whose tone is unknown.

    Args:
        images: (N, 3, H, W) in [0, 1].
        tone: of the same N people.
    """
    found = [
        _alikeness(_lab(image), mean.numpy(), spread.numpy())
        for image, mean, spread in zip(images.detach(), *tone, strict=True)
    ]
    return torch.from_numpy(np.stack(found))[:, None].to(images)


def newly_bare(
    generated: torch.Tensor,
    original: torch.Tensor,
    arms: torch.Tensor,
    generated_tone: SkinTone,
    tone: SkinTone,
) -> torch.Tensor:
    """Where the edit uncovers skin: an arm that looks like skin now and did not before.

    Args:
        generated, original: (N, 3, H, W) in [0, 1].
        arms: of the generated picture, (N, 1, H, W) in [0, 1] or bool.
        generated_tone, tone: of the person as generated, and of the original.

    Returns:
        (N, 1, H, W) in [0, 1], soft.
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
    """The generated picture with newly bare skin in the person's own tone, and where that is.

    Args:
        generated, original: of one size, (N, 3, H, W) in [0, 1].
        arms: of the generated picture, (N, 1, H, W) in [0, 1] or bool.
        generated_parts, parts: DensePose part maps of the two, (N, 14, h, w).

    Returns:
        (N, 3, H, W), and (N, 1, H, W) in [0, 1].
    """
    own = skin_tone_of_parts(original, parts)
    painted = skin_tone_of_parts(generated, generated_parts)
    bare = newly_bare(generated, original, arms, painted, own)
    return shift_skin(generated, bare, own), bare


def shift_skin(generated: torch.Tensor, mask: torch.Tensor, tone: SkinTone) -> torch.Tensor:
    """The skin within the mask in the person's own tone, its light and shade kept.

    The median of what is masked becomes the tone. Light on skin multiplies its tristimulus values,
    and so, nearly, L* + 16 and a* and b*; lightness and chroma are therefore scaled around the median by the
    one factor that takes its L* + 16 to the tone's, which leaves shading as strong as it looked.
    Masked pixels unlike the median (an edge of the sleeve) are changed the less.

    Args:
        generated: (N, 3, H, W) in [0, 1].
        mask: newly bare skin, (N, 1, H, W) in [0, 1].
        tone: of the person in the photo; people of unknown tone stay as they are.

    Returns:
        (N, 3, H, W); where `mask` is 0, `generated` bit for bit.

    Raises:
        ValueError: shapes do not agree.
    """
    from skimage.color import lab2rgb  # here, because it takes long to import

    check_same_size(generated, generated, mask)
    result = generated.detach().clone()
    for sample, (rows, columns) in edit_boxes(mask, margin=0):
        patch = generated[sample, :, rows, columns].detach()
        soft = mask[sample, 0, rows, columns]
        lab = _lab(patch)
        masked = lab[(soft > 0.5).cpu().numpy()]
        if not tone.known[sample] or len(masked) < _LEAST_PIXELS:
            continue
        middle, spread = _statistics([masked])
        wanted = tone.mean[sample].double().numpy()
        factor = np.clip((wanted[0] + 16) / (middle[0] + 16), *_BRIGHTENING)
        own = lab2rgb(wanted + factor * (lab - middle))
        # Fully what is more alike than not: the last per cent of another skin would show.
        alike = np.clip(2 * _alikeness(lab, middle, spread), 0, 1)
        share = soft * torch.from_numpy(alike).to(soft)
        own = torch.from_numpy(own).permute(2, 0, 1).to(patch)
        shifted = torch.lerp(patch, own, share)
        result[sample, :, rows, columns] = torch.where(share > 0, shifted, patch)
    return result


def _lab(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] -> CIELAB (H, W, 3) float32."""
    return to_lab(image.permute(1, 2, 0).float().cpu().numpy())


def _alikeness(lab: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """exp(-d^2 / 2) of (H, W, 3) -> (H, W); 0 for an unknown mean."""
    distance = (lab - mean) / (_WIDTH * np.maximum(spread, _LEAST_SPREAD))
    return np.asarray(np.nan_to_num(np.exp(-0.5 * (distance**2).sum(axis=-1))))


def _statistics(candidates: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation, (3,) each, of the first candidate (K, 3) with enough pixels."""
    for colours in candidates:
        if len(colours) >= _LEAST_PIXELS:
            middle = np.median(colours, axis=0)
            return middle, _MAD * np.median(np.abs(colours - middle), axis=0)
    return np.full(3, np.nan), np.full(3, np.nan)


def _core(mask: torch.Tensor) -> np.ndarray:
    """A bool mask (H, W) without its border pixels, which are mixed colours, if enough are left."""
    inner = F.max_pool2d((~mask)[None, None].float(), 3, 1, 1)[0, 0] == 0
    return np.asarray((inner if inner.sum() >= _LEAST_PIXELS else mask).cpu())


def _face(head: torch.Tensor) -> np.ndarray:
    """The lower middle of a head's bounding box, within the head: bool (H, W)."""
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
    """Of the two colours of (K, 3), the pixels of the commoner; all, if the two are much alike."""
    if len(lab) < _LEAST_PIXELS:
        return lab
    order = np.argsort(lab[:, 0])
    centres = lab[order[[len(lab) // 10, -1 - len(lab) // 10]]]
    for _ in range(10):
        nearer = ((lab[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
        if len(np.unique(nearer)) < 2:
            return lab
        centres = np.stack([lab[nearer == k].mean(axis=0) for k in (0, 1)])
    if np.linalg.norm(centres[0] - centres[1]) < _ONE_COLOUR:
        return lab
    return np.asarray(lab[nearer == np.bincount(nearer).argmax()])
