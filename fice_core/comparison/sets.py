"""Distances of two sets of images by their features: Frechet and kernel distance."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checkpoints import plain_weights
from ..errors import FiceError
from ..networks.clip import Clip
from ..ops.autograd import without_grad
from ..training.frechet import frechet_distance

Features = NDArray[np.float64]
#: images (N, 3, H, W) in [0, 1] to features (N, D)
Extract = Callable[[Tensor], Tensor]


def frechet(first: Features, second: Features) -> float:
    """The Frechet distance of features (N, D), which with Inception's is the FID: see `frechet_distance`.

    With fewer samples than dimensions the covariances have no full rank, and the value says little.
    """
    return frechet_distance(torch.from_numpy(first), torch.from_numpy(second))


def kernel_distance(
    first: Features, second: Features, subsets: int = 100, size: int = 1000, seed: int = 0
) -> float:
    """KID (Binkowski et al. 2018): unbiased squared MMD with the kernel (x.y / D + 1)^3, mean over subsets.

    Args:
        first, second: features (N, D), N at least 2.
        subsets, size: random subsets and their size, or all samples if there are fewer.
        seed: of the subsets.
    """
    rng = np.random.default_rng(seed)
    size = min(size, len(first), len(second))
    found = []
    for _ in range(subsets if size < max(len(first), len(second)) else 1):
        x, y = (each[rng.permutation(len(each))[:size]] for each in (first, second))
        xx, yy, xy = _kernel(x, x), _kernel(y, y), _kernel(x, y)
        within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (size * (size - 1))
        found.append(within - 2 * xy.mean())
    return float(np.mean(found))


def _kernel(x: Features, y: Features) -> Features:
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def features_of(images: Iterable[Tensor], extract: Extract) -> Features:
    """Features (N, D) of images (3, H, W) in [0, 1]."""
    with without_grad():
        rows = [extract(image[None])[0].cpu().double().numpy() for image in images]
    return np.stack(rows)


def clip_features(clip: Clip) -> Extract:
    """CLIP's features before they are given unit norm, as CLIP-FID takes them."""

    def extract(images: Tensor) -> Tensor:
        found: Tensor = clip.model.encode_image(clip.preprocess(images.to(clip.mean.device)))
        return found

    return extract


def inception_features(path: str | os.PathLike[str], device: torch.device) -> Extract:
    """The 2048 features of the Inception of FID, by the package torch-fidelity (extra `metrics`).

    Args:
        path: a file of the weights in torch-fidelity's form (`pt_inception-2015-12-05-6726825d.pth`).
        device: where it is computed.

    Raises:
        FiceError: the package is missing, or the file holds something else.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise FiceError(
            "FID and KID need the package torch-fidelity: install the extra `metrics`, or leave "
            "--inception out"
        ) from error
    plain_weights(path)  # says what is wrong with it, and runs no code of the file
    try:
        network = FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=os.fspath(path)
        )
    except (RuntimeError, KeyError, TypeError) as error:
        raise FiceError(f"{path} does not hold torch-fidelity's weights of Inception") from error
    network = network.eval().to(device)

    def extract(images: Tensor) -> Tensor:
        levels = (images.clamp(0, 1) * 255).round().to(torch.uint8).to(device)
        found: Tensor = network(levels)[0]
        return found

    return extract
