"""Sheets of images."""

import numpy as np
import torch

from fice_core.reporting import plots


def test_a_sheet_is_filled_row_by_row() -> None:
    """Four red images of different brightness in three columns: the fourth begins the second row."""
    levels = [51, 102, 153, 204]
    images = [
        torch.tensor([level / 255, 0, 0])[:, None, None].expand(3, 64, 64) for level in levels
    ]
    rows = [plots.Row("", [image]) for image in images]
    sheet = np.asarray(plots.comparison(("image",), rows, height=64, blocks=3))
    places = []
    for level in levels:
        ys, xs = np.nonzero((sheet == (level, 0, 0)).all(axis=2))
        assert len(ys) == 64 * 64
        places.append((ys.mean(), xs.mean()))
    (y1, x1), (y2, x2), (y3, x3), (y4, x4) = places
    assert y1 == y2 == y3 < y4
    assert x4 == x1 < x2 < x3
