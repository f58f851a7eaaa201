"""Bootstrap intervals of means over edits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """The mean, and the bounds of its 95 % percentile interval over resampled edits (Efron 1979).

    Raises:
        ValueError: there is no value.
    """
    if not len(values):
        raise ValueError("there is no value")
    data = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = data[rng.integers(len(data), size=(RESAMPLES, len(data)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(data.mean()), float(low), float(high)


def difference(
    first: Sequence[float], second: Sequence[float], seed: int = 0
) -> tuple[float, float, float]:
    """`interval` of the differences of the same edits by two methods: first minus second."""
    return interval([a - b for a, b in zip(first, second, strict=True)], seed)
