"""CIELAB colours, and colour differences of masked images."""

from collections.abc import Sequence

import numpy as np
import torch


def to_lab(colours: np.ndarray) -> np.ndarray:
    """CIELAB (D65, 2 degrees) of sRGB colours (..., 3) in [0, 1]: (..., 3)."""
    from skimage.color import rgb2lab  # imported here, because it takes long

    return np.asarray(rgb2lab(np.clip(colours, 0, 1)))


def channel_statistics(
    mean: Sequence[float], std: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of red, green and blue, (3, 1, 1) each, by which images are normalised.

    Raises:
        ValueError: they are not three each, or a deviation is not above 0.
    """
    if len(mean) != 3 or len(std) != 3:
        raise ValueError(f"mean and std have {len(mean)} and {len(std)} numbers, not 3 each")
    if not all(value > 0 for value in std):
        raise ValueError("std is not above 0 in every channel")
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)


def lab_difference(images: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean CIELAB distance of images where `mask` is true.

    Args:
        images, target: (N, 3, H, W), clamped to [0, 1].
        mask: (N, 1, H, W), bool.

    Returns:
        (N,), 0 for an empty mask.
    """
    first, second = (
        torch.from_numpy(to_lab(rgb.movedim(1, -1).double().cpu().numpy()))
        for rgb in (images, target)
    )
    inside = mask[:, 0].to(first)
    total = ((first - second).norm(dim=-1) * inside).flatten(1).sum(dim=1)
    mean: torch.Tensor = total / inside.flatten(1).sum(dim=1).clamp_min(1)
    return mean.to(images.device)


def median_lab(images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Median CIELAB colour, per component, where `mask` (N, 1, H, W) is above one half.

    (N, 3) float32; NaN for an empty mask.
    """
    medians = [
        np.median(to_lab(pixels), axis=0) if len(pixels) else np.full(3, np.nan)
        for pixels in _masked_pixels(images, mask)
    ]
    return torch.from_numpy(np.stack(medians)).float().to(images.device)


def skin_difference(
    images: torch.Tensor, mask: torch.Tensor, target: torch.Tensor, target_mask: torch.Tensor
) -> torch.Tensor:
    """CIELAB distance between the median colours of two masked areas.

    It compares newly generated skin with the person's hands.

    Args:
        images, target: (N, 3, H, W) in [0, 1]; their sizes may differ.
        mask, target_mask: their masks (N, 1, H, W); pixels above one half count.

    Returns:
        (N,), NaN where an area is empty.
    """
    difference = median_lab(images, mask) - median_lab(target, target_mask).to(images.device)
    return difference.square().sum(dim=1).sqrt()


def _masked_pixels(images: torch.Tensor, mask: torch.Tensor) -> list[np.ndarray]:
    """The pixels of every image where its mask is above one half, (K, 3) float64 each."""
    return [
        image.permute(1, 2, 0)[area[0] > 0.5].double().cpu().numpy()
        for image, area in zip(images.detach(), mask, strict=True)
    ]
