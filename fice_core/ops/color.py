"""CIELAB and the colour differences of masked images."""

import numpy as np
import torch


def to_lab(colours: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1], (..., 3), to CIELAB (D65, 2 degrees), (..., 3)."""
    from skimage.color import rgb2lab  # here, because it takes long to import

    return np.asarray(rgb2lab(np.clip(colours, 0, 1)))


def lab_difference(images: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean CIELAB distance of pictures (N, 3, H, W), clamped to [0, 1], where `mask` (N, 1, H, W) is true.

    (N,), 0 where it nowhere is.
    """
    first, second = (
        torch.from_numpy(to_lab(pictures.movedim(1, -1).double().cpu().numpy()))
        for pictures in (images, target)
    )
    inside = mask[:, 0].to(first)
    total = ((first - second).norm(dim=-1) * inside).flatten(1).sum(dim=1)
    mean: torch.Tensor = total / inside.flatten(1).sum(dim=1).clamp_min(1)
    return mean.to(images.device)


def median_lab(images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Median CIELAB colour, component by component, where `mask` (N, 1, H, W) is above one half.

    (N, 3) float32, NaN where it nowhere is.
    """
    medians = [
        np.median(to_lab(pixels), axis=0) if len(pixels) else np.full(3, np.nan)
        for pixels in _masked_pixels(images, mask)
    ]
    return torch.from_numpy(np.stack(medians)).float().to(images.device)


def skin_difference(
    images: torch.Tensor, mask: torch.Tensor, target: torch.Tensor, target_mask: torch.Tensor
) -> torch.Tensor:
    """CIELAB distance between the median colours of two masked areas: a new arm and the person's hands.

    Args:
        images, target: (N, 3, H, W) in [0, 1]; they may be of different sizes.
        mask, target_mask: (N, 1, H, W) of theirs; pixels above one half count.

    Returns:
        (N,), NaN where one of the areas is empty.
    """
    difference = median_lab(images, mask) - median_lab(target, target_mask).to(images.device)
    return difference.square().sum(dim=1).sqrt()


def _masked_pixels(images: torch.Tensor, mask: torch.Tensor) -> list[np.ndarray]:
    """The pixels of every picture where the mask is above one half, (K, 3) float64 each."""
    return [
        image.permute(1, 2, 0)[chosen[0] > 0.5].double().cpu().numpy()
        for image, chosen in zip(images.detach(), mask, strict=True)
    ]
