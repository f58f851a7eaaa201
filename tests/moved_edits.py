"""Images with structure everywhere, and edits of them whose geometry is known."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from fice_core.registration import Alignment


def textured(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth random image (3, H, W) in [0, 1] with detail of several sizes."""
    rng = np.random.default_rng(seed)
    image = sum(
        size * ndimage.gaussian_filter(rng.normal(size=(3, height, width)), (0, size, size))
        for size in (1.5, 4.0, 12.0)
    )
    low, high = image.min(), image.max()
    return torch.from_numpy(((image - low) / (high - low)).astype(np.float32))


def box_mask(height: int, width: int) -> Tensor:
    """(1, H, W): 1 in the middle third."""
    mask = torch.zeros(1, height, width)
    mask[:, height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 1
    return mask


def seen_by(photo: Tensor, truth: Alignment) -> Tensor:
    """The edit that `truth` describes: (3, *truth.edit_size)."""
    inverse = np.linalg.inv(np.vstack([truth.matrix, [0, 0, 1]]))[:2][::-1, [1, 0, 2]]
    offset = inverse[:, :2] @ [0.5, 0.5] + inverse[:, 2] - 0.5
    moved = [
        ndimage.affine_transform(p, inverse[:, :2], offset, truth.edit_size, order=3, mode="mirror")
        for p in photo.numpy()
    ]
    return torch.from_numpy(np.stack(moved)).clamp(0, 1)


def recoloured(photo: Tensor, mask: Tensor) -> Tensor:
    """The photo with another pattern inside the mask."""
    other = 1 - textured(*photo.shape[1:], seed=99).flip(0) * 0.7
    return torch.where(mask > 0, other, photo)
