"""Distances of sets against torchmetrics and torch-fidelity, and intervals against scipy."""

import types
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from fice_core.comparison import sets
from fice_core.comparison.intervals import difference, interval
from fice_core.comparison.sets import features_of, frechet, inception_features, kernel_distance
from fice_core.errors import FiceError


def features(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((8, 8))
    return rng.standard_normal((count, 8)) @ mixed + shift


def test_frechet_distance_by_hand() -> None:
    """Two Gaussians of one dimension: (m1 - m2)^2 + (s1 - s2)^2."""
    first, second = np.array([[0.0], [2.0]]), np.array([[10.0], [16.0]])
    s1, s2 = np.sqrt(2), np.sqrt(18)
    assert frechet(first, second) == pytest.approx(12**2 + (s1 - s2) ** 2)


def test_frechet_distance_is_torch_fidelitys() -> None:
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    first, second = features(200, 0), features(300, 1, 0.5)
    known = [{"mu": x.mean(0), "sigma": np.cov(x, rowvar=False)} for x in (first, second)]
    expected = fid_statistics_to_metric(*known, verbose=False)["frechet_inception_distance"]
    assert frechet(first, second) == pytest.approx(expected, rel=1e-6)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)


def test_kernel_distance_is_torchmetrics() -> None:
    from torchmetrics.image.kid import poly_mmd

    first, second = features(40, 0), features(40, 1, 0.3)
    expected = float(poly_mmd(torch.from_numpy(first), torch.from_numpy(second)))
    assert kernel_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_of_subsets() -> None:
    """Its mean over random subsets is about that of all; for two halves of one set it is about 0."""
    first, second = features(400, 0), features(400, 1, 0.3)
    whole = kernel_distance(first, second)
    assert kernel_distance(first, second, 200, 100) == pytest.approx(whole, rel=0.25)
    same = kernel_distance(first[:200], first[200:])
    assert abs(same) < whole / 10


def test_inception_is_read_from_a_file(tmp_path: Path) -> None:
    """Random weights in torch-fidelity's form, and its own answer to the same bytes."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path / "inception.pth"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blank = FeatureExtractorInceptionV3.__new__(FeatureExtractorInceptionV3)
        real = FeatureExtractorInceptionV3.load_state_dict
        try:  # a fresh network saves its random weights where the file would be read
            FeatureExtractorInceptionV3.load_state_dict = lambda self, state: torch.save(
                self.state_dict(), path
            )
            torch.save({}, path)
            blank.__init__("inception", ["2048"], feature_extractor_weights_path=str(path))
        finally:
            FeatureExtractorInceptionV3.load_state_dict = real
    extract = inception_features(path, torch.device("cpu"))
    images = [torch.rand(3, 40, 40) for _ in range(2)]
    found = features_of(images, extract)
    levels = (torch.stack(images) * 255).round().to(torch.uint8)
    expected = FeatureExtractorInceptionV3(
        "inception", ["2048"], feature_extractor_weights_path=str(path)
    )
    with torch.no_grad():
        np.testing.assert_allclose(found, expected(levels)[0].numpy(), rtol=1e-3, atol=1e-4)
    assert found.shape == (2, 2048)


def test_a_file_that_is_no_inception(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(FiceError, match="Inception"):
        inception_features(path, torch.device("cpu"))


def test_clip_features_are_not_normalised() -> None:
    model = types.SimpleNamespace(encode_image=lambda x: 3 * x.flatten(1)[:, :4])
    clip = types.SimpleNamespace(model=model, preprocess=lambda x: x + 1, mean=torch.zeros(3, 1, 1))
    images = torch.rand(2, 3, 4, 4)
    found = sets.clip_features(clip)(images)
    torch.testing.assert_close(found, 3 * (images + 1).flatten(1)[:, :4])


def test_intervals_are_scipys() -> None:
    values = np.random.default_rng(0).exponential(size=60)
    mean, low, high = interval(values)
    known = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=0)
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(known.confidence_interval.low, abs=0.02)
    assert high == pytest.approx(known.confidence_interval.high, abs=0.02)


def test_intervals_of_equal_values_and_of_differences() -> None:
    assert interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)
    noise = np.random.default_rng(0).standard_normal(30)
    # what both methods share does not widen the interval of their difference
    mean, low, high = difference((noise + 1).tolist(), noise.tolist())
    assert (mean, low, high) == pytest.approx((1, 1, 1))
    with pytest.raises(ValueError, match="no value"):
        interval([])
