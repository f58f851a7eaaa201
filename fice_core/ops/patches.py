"""The boxes of an image that an edit touches, and the plain blend within them."""

from collections.abc import Iterator

import torch

Box = tuple[slice, slice]


def edit_boxes(mask: torch.Tensor, margin: int) -> Iterator[tuple[int, Box]]:
    """The rows and columns that hold each picture's mask above 0, and `margin` pixels more.

    Pictures whose mask (N, 1, H, W) is empty are left out.
    """
    for sample, chosen in enumerate(mask[:, 0] > 0):
        rows, columns = (chosen.any(dim=axis).nonzero().flatten() for axis in (1, 0))
        if len(rows):
            yield (
                sample,
                (
                    _stretch(rows, margin, chosen.shape[0]),
                    _stretch(columns, margin, chosen.shape[1]),
                ),
            )


def _stretch(indices: torch.Tensor, margin: int, length: int) -> slice:
    return slice(max(0, int(indices[0]) - margin), min(length, int(indices[-1]) + 1 + margin))


def check_same_size(generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor) -> None:
    """Raise ValueError unless the pictures (N, C, H, W) and the mask (N, 1, H, W) belong together."""
    expected = (original.shape[0], 1, *original.shape[-2:])
    if original.ndim != 4 or generated.shape != original.shape or mask.shape != expected:
        raise ValueError(
            f"generated {tuple(generated.shape)}, original {tuple(original.shape)} and mask "
            f"{tuple(mask.shape)} must have one size"
        )


def stitch(generated: torch.Tensor, original: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """`generated` where `mask` is 1, `original` where it is 0, blended in between.

    Where the mask is 0 the result is the original bit for bit, whatever was generated there, even
    NaN: arithmetic alone does not promise that.

    Args:
        generated, original: (N, 3, H, W).
        mask: (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: shapes do not agree.
    """
    if generated.shape != original.shape or mask.shape[-2:] != original.shape[-2:]:
        raise ValueError(
            f"generated {tuple(generated.shape)}, original {tuple(original.shape)} and mask "
            f"{tuple(mask.shape)} must have one size"
        )
    return torch.where(mask > 0, torch.lerp(original, generated, mask), original)
