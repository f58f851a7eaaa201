"""How far a set of generated images is from real ones: the Frechet distance of their features.

With Inception's features this is the FID (Heusel et al. 2017). With those of a network at hand it is a number
of another scale that falls likewise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..errors import FiceError, printable

#: images (N, 3, H, W) in [0, 1] -> feature vectors (N, C)
Embedding = Callable[[Tensor], Tensor]


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Distance of the normal distributions of two sets of vectors, (N, C) and (M, C).

    |m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2)), with means m and covariances S.
    """
    first, second = first.double(), second.double()
    moved = (first.mean(0) - second.mean(0)).square().sum()
    # torch makes a number of the covariance of a single component.
    one, two = (torch.cov(each.T).view(each.shape[1], -1) for each in (first, second))
    # (S1 S2)^(1/2) has the trace of (R S2 R)^(1/2), R being the root of S1, and that is symmetric.
    values, axes = torch.linalg.eigh(one)
    root = axes * values.clamp_min(0).sqrt() @ axes.T
    common = torch.linalg.eigvalsh(root @ two @ root).clamp_min(0).sqrt().sum()
    return float(moved + one.trace() + two.trace() - 2 * common)


@torch.no_grad()
def embedded(embedding: Embedding, batches: Iterable[Tensor]) -> Tensor:
    """Feature vectors of all images, on the CPU."""
    return torch.cat([embedding(images).float().cpu() for images in batches])


def load_inception(path: str | os.PathLike[str], device: torch.device) -> Embedding:
    """Inception's pooled features from a TorchScript file, such as `inception-2015-12-05.pt`.

    The file has the layout of the one that the FID of StyleGAN papers is computed with: it takes images
    in [0, 255] and `return_features`, and resizes them itself.

    Raises:
        FiceError: the file is missing or no such network.
    """
    if not os.path.isfile(path):
        raise FiceError(f"there is no file {path}")
    try:
        network = torch.jit.load(str(path), map_location=device).eval()
    except Exception as error:  # torch raises anything
        reason = printable(str(error).partition("\n")[0], 120)
        raise FiceError(f"{path} is not a TorchScript file that can be read: {reason}") from error

    def embedding(images: Tensor) -> Tensor:
        levels = (images.clamp(0, 1) * 255 + 0.5).to(torch.uint8)
        try:
            features: Tensor = network(levels, return_features=True)
        except Exception as error:
            reason = printable(str(error).strip().rpartition("\n")[2], 120)
            raise FiceError(
                f"{path} does not take images and return_features, as Inception's file does: {reason}"
            ) from error
        return features

    return embedding
