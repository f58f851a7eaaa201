"""Prompts from the part map, and the use of SAM's mask."""

import pytest
import torch
import torch.nn.functional as F
from sitters import sitters
from torch import nn

from fice_core.demo.people import Truth
from fice_core.evaluation.metrics import mask_iou
from fice_core.extraction.anatomy import HANDS, HEAD
from fice_core.masks.guided_filter import refine_mask
from fice_core.masks.sam import _deepest, refine_by_sam, sam_prompts
from fice_core.networks.sam import Prompts


@pytest.fixture(scope="module")
def people() -> Truth:
    return sitters(3, 224)


class Oracle(nn.Module):
    """Replaces SAM: returns a given mask and stores the prompts."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: torch.Tensor, prompts: Prompts, like: torch.Tensor) -> torch.Tensor:
        self.prompts = prompts
        return self.answer


def test_the_deepest_pixel_by_hand():
    area = torch.zeros(3, 1, 7, 9, dtype=torch.bool)
    area[0, :, 1:6, 2:7] = True  # a square around (4, 3)
    area[1, :, 2:5, 0:9] = True  # a bar: all of its middle row is as deep, but for the ends
    points, found = _deepest(area)
    assert found.tolist() == [True, True, False]
    assert points[:2].tolist() == [[4, 3], [4, 3]]


def test_the_deepest_pixel_lies_inside_even_if_the_mean_does_not():
    ring = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    ring[..., 1:8, 1:8] = True
    ring[..., 3:6, 3:6] = False
    x, y = _deepest(ring)[0][0].long().tolist()
    assert ring[0, 0, y, x]


def test_points_lie_on_their_parts(people):
    prompts = sam_prompts(people.parts(), people.garment, (224, 224))
    assert prompts.labels is not None and prompts.points is not None
    assert prompts.labels.shape == (3, 7)
    names = ["garment"] * 3 + ["head", "hand", "hand", "nothing"]
    expected = [1, 1, 1, 0, 0, 0, 0]
    parts = F.interpolate(people.parts(), (224, 224))
    places = {
        "garment": people.garment[:, 0],
        "head": parts[:, HEAD].sum(1),
        "hand": parts[:, HANDS].sum(1),
        "nothing": 1 - parts.sum(1) - people.garment[:, 0],
    }
    for i in range(3):
        for k, name in enumerate(names):
            if prompts.labels[i, k] == -1:
                continue
            assert prompts.labels[i, k] == expected[k]
            x, y = prompts.points[i, k].round().long().tolist()
            assert places[name][i, y, x] > 0.5, name
    assert (prompts.labels == 1).sum() >= 7  # hardly any part is hidden


def test_parts_that_are_not_visible_give_no_point():
    parts = torch.zeros(1, 14, 20, 20)
    parts[:, 1, 8:16, 6:14] = 1
    mask = torch.zeros(1, 1, 20, 20)
    mask[..., 8:16, 6:14] = 1
    prompts = sam_prompts(parts, mask, (40, 60))
    assert prompts.labels.tolist() == [[1, -1, -1, -1, -1, -1, 0]]
    x, y = prompts.points[0, 0].tolist()
    assert (18 <= x <= 42) and (16 <= y <= 32)
    # columns 6 to 14 of 20 are 18 to 42 of 60, rows 8 to 16 are 16 to 32 of 40; 3 % more each side
    expected = torch.tensor([[17.28, 15.52, 42.72, 32.48]]) - 0.5
    torch.testing.assert_close(prompts.boxes, expected)
    nothing = sam_prompts(torch.zeros(1, 14, 20, 20), torch.zeros(1, 1, 9, 9), (40, 60))
    assert nothing.labels.tolist() == [[-1] * 6 + [0]]
    assert nothing.boxes.isnan().all()


def test_a_mask_that_agrees_is_used(people):
    rough = F.interpolate(people.garment, (28, 28), mode="area")
    sam = Oracle(people.garment)
    mask, agreement = refine_by_sam(sam, people.images, rough, people.parts())
    assert sam.prompts.points is not None
    assert agreement.shape == (3,) and (agreement > 0.7).all()
    assert mask_iou(mask, people.garment).min() > 0.985


def test_a_mask_that_does_not_agree_is_not_used(people):
    rough = F.interpolate(people.garment, (56, 56), mode="area")
    sam = Oracle(torch.stack([people.garment[0], people.head[1], people.garment[2]]))
    mask, agreement = refine_by_sam(sam, people.images, rough)
    assert sam.prompts.points is None and sam.prompts.boxes is not None
    assert agreement[1] < 0.5 < agreement[0]
    large = F.interpolate(rough[1:2], (224, 224), mode="bilinear", antialias=True)
    torch.testing.assert_close(mask[1:2], refine_mask(people.images[1:2], large, radius=0.02))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"parts must be \(N, 14"):
        sam_prompts(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), (8, 8))
    with pytest.raises(ValueError, match=r"mask must be \(1, 1"):
        sam_prompts(torch.zeros(1, 14, 8, 8), torch.zeros(2, 1, 8, 8), (8, 8))
