"""The soft Jaccard index, worked out by hand."""

import pytest
import torch

from fice_core.ops.overlap import soft_iou


def test_soft_iou_by_hand() -> None:
    parts = torch.zeros(2, 14, 2, 2)
    target = torch.zeros(2, 14, 2, 2)
    parts[0, 0] = torch.tensor([[1.0, 0.5], [0, 0]])
    target[0, 0] = torch.tensor([[1.0, 1.0], [0, 0]])
    target[0, 1, 1, 1] = 0.5
    parts[1], target[1] = 0.25, 0.25
    assert soft_iou(parts, target).tolist() == pytest.approx([1.5 / 2.5, 1.0])


def test_soft_iou_by_channel() -> None:
    masks = torch.tensor([[[[1.0, 0.5]], [[0.0, 1.0]]]])  # (1, 2, 1, 2)
    target = torch.tensor([[[[1.0, 0.0]]]])
    assert soft_iou(masks, target, start_dim=2).tolist() == [pytest.approx([1 / 1.5, 0.0])]
