"""Colours against published values and values worked out by hand."""

import pytest
import torch

from fice_core.ops import color


def test_lab_of_known_colours():
    lab = color.to_lab(torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]]).double().numpy())
    assert lab[0] == pytest.approx([100, 0, 0], abs=0.02)
    assert lab[1] == pytest.approx([0, 0, 0], abs=0.02)
    assert lab[2] == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


def test_skin_difference_is_between_median_colours():
    images = torch.full((2, 3, 4, 4), 0.46633)
    images[:, :, 0, 0] = 1.0  # an outlier
    target = torch.full((2, 3, 2, 2), 0.56686)
    mask = torch.ones(2, 1, 4, 4)
    mask[1] = 0
    found = color.skin_difference(images, mask, target, torch.ones(2, 1, 2, 2))
    assert found[0].item() == pytest.approx(10, abs=0.02)
    assert found[1].isnan()
