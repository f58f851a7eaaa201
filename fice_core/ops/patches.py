"""Bounding boxes of edited areas, and the plain blend of two images by a mask."""

from collections.abc import Iterator

import torch

Box = tuple[slice, slice]


def edit_boxes(mask: torch.Tensor, margin: int) -> Iterator[tuple[int, Box]]:
    """Yield the index of each image and the box where its mask is above 0, plus `margin` pixels.

    A box is a slice of rows and one of columns. Images whose mask (N, 1, H, W) is empty are skipped.
    """
    for sample, area in enumerate(mask[:, 0] > 0):
        rows, columns = (area.any(dim=axis).nonzero().flatten() for axis in (1, 0))
        if len(rows):
            yield (
                sample,
                (
                    _extent(rows, margin, area.shape[0]),
                    _extent(columns, margin, area.shape[1]),
                ),
            )


def _extent(indices: torch.Tensor, margin: int, length: int) -> slice:
    """The slice from the first to the last index, with a margin, within 0..length."""
    return slice(max(0, int(indices[0]) - margin), min(length, int(indices[-1]) + 1 + margin))


def check_same_size(generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor) -> None:
    """Raise ValueError unless the images (N, C, H, W) and the mask (N, 1, H, W) have one size."""
    expected = (original.shape[0], 1, *original.shape[-2:])
    if original.ndim != 4 or generated.shape != original.shape or mask.shape != expected:
        raise ValueError(
            f"generated {tuple(generated.shape)}, original {tuple(original.shape)} and mask "
            f"{tuple(mask.shape)} must have one size"
        )


def stitch(generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`generated` where `mask` is 1, `original` where it is 0, blended in between.

    Where the mask is 0, the result is the original bit for bit, even if NaN was generated there.
    Interpolation alone does not guarantee that.

    Args:
        generated, original: (N, 3, H, W).
        mask: (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: the shapes do not match.
    """
    if generated.shape != original.shape or mask.shape[-2:] != original.shape[-2:]:
        raise ValueError(
            f"generated {tuple(generated.shape)}, original {tuple(original.shape)} and mask "
            f"{tuple(mask.shape)} must have one size"
        )
    return torch.where(mask > 0, torch.lerp(original, generated, mask), original)
