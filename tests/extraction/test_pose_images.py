"""DensePose images: drawn, and read from images of other programs."""

import matplotlib
import numpy as np
import pytest
import torch

from fice_core.errors import FiceError
from fice_core.extraction.pose_images import draw_parts, parts_of_labels, read_labels
from fice_core.framing import Frame
from fice_core.networks.densepose import UPPER_BODY_LABELS


def _labels():
    """Every label, in blocks of 4 x 4 pixels: (1, 20, 20)."""
    return torch.arange(25).view(1, 5, 5).repeat_interleave(4, 1).repeat_interleave(4, 2)


def _viridis(labels):
    """Labels drawn with OpenCV's colour map, looked up at the byte floor(255 label / 24)."""
    bytes_ = np.floor(255 / 24 * labels.numpy()).astype(np.uint8)
    colours = (matplotlib.colormaps["viridis"](bytes_)[..., :3] * 255).round() / 255
    return torch.from_numpy(colours).float().permute(0, 3, 1, 2)


def test_viridis_labels_are_read():
    assert torch.equal(read_labels(_viridis(_labels())), _labels())


def test_labels_are_read_after_lossy_compression():
    noise = 0.008 * torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    agree = read_labels(_viridis(_labels()) + noise) == _labels()
    assert agree.float().mean() > 0.95


@pytest.mark.parametrize("levels", [1, 255 / 24])
def test_grey_labels_are_read(levels):
    grey = torch.floor(_labels() * levels)[:, None].expand(-1, 3, -1, -1) / 255
    assert torch.equal(read_labels(grey, "grey"), _labels())


def test_a_photo_is_refused():
    photo = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    with pytest.raises(FiceError, match="not a DensePose image in the colours 'viridis'"):
        read_labels(photo)


def test_parts_of_labels_are_one_hot_in_the_frame():
    labels = torch.full((1, 20, 20), 2)  # the torso's front
    labels[:, :, 10:] = 23  # one half of the head
    parts = parts_of_labels(labels, Frame.around((20, 20), (64, 64)), 8)
    assert parts.shape == (1, 14, 8, 8)
    assert torch.equal(parts.sum(dim=1), torch.ones(1, 8, 8))
    where = {label: k for k, label in enumerate(UPPER_BODY_LABELS)}
    assert bool((parts[:, where[2], :, :4] == 1).all())
    assert bool((parts[:, where[23], :, 6:] == 1).all())


def test_parts_of_a_tall_photo_are_padded_to_the_frame():
    labels = torch.zeros(1, 40, 20, dtype=torch.long)
    labels[:, :, 5:15] = 1
    parts = parts_of_labels(labels, Frame.around((40, 20), (32, 32)), 40)
    assert torch.equal(parts[0, 0, 0] > 0.5, (torch.arange(40) >= 15) & (torch.arange(40) < 25))


def test_every_part_is_drawn_in_another_colour():
    parts = torch.eye(14).view(1, 14, 1, 14)
    colours = draw_parts(parts)[0, :, 0].T
    assert colours.shape == (14, 3)
    distances = torch.cdist(colours, colours) + torch.eye(14)
    assert float(distances.min()) > 0.1
    assert torch.equal(draw_parts(torch.zeros(1, 14, 4, 4)), torch.zeros(1, 3, 4, 4))
