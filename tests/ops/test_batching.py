"""Batches that belong together, and batches computed in pieces."""

import pytest
import torch

from fice_core.errors import FiceError
from fice_core.ops.batching import broadcast_count, broadcast_rows, in_batches


@pytest.mark.parametrize(
    ("counts", "edits"),
    [((1, 1), 1), ((4, 1), 4), ((1, 3), 3), ((3, 3), 3), ((2, 1, 2), 2)],
)
def test_broadcast_count(counts, edits):
    assert broadcast_count({f"thing {k}": count for k, count in enumerate(counts)}) == edits


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"images": 2, "prompts": 3}, "^2 images and 3 prompts do not pair up"),
        ({"images": 2, "masks": 1, "codes": 4}, "^2 images and 4 codes do not pair up"),
        ({"images": 0, "prompts": 1}, "^there are no images"),
    ],
)
def test_numbers_that_do_not_pair_up(counts, message):
    with pytest.raises(FiceError, match=message):
        broadcast_count(counts)


def test_broadcast_rows_repeats_single_rows():
    many, one = torch.arange(3.0)[:, None], torch.tensor([[7.0, 8.0]])
    found = broadcast_rows({"images": many, "masks": one})
    assert found[0].tolist() == [[0.0], [1.0], [2.0]]
    assert found[1].tolist() == [[7.0, 8.0]] * 3


def test_broadcast_rows_refuses_other_numbers():
    with pytest.raises(FiceError, match="2 images and 3 masks do not pair up"):
        broadcast_rows({"images": torch.zeros(2, 1), "masks": torch.zeros(3, 1)})


@pytest.mark.parametrize("outer", [False, True])
def test_in_batches_gives_ordinary_tensors_in_order(outer):
    sizes = []

    def double(piece):
        sizes.append(len(piece))
        return 2 * piece

    with torch.inference_mode(outer):
        found = in_batches(double, torch.arange(5.0), 2)
    assert found.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert sizes == [2, 2, 1]
    assert not found.is_inference() and not found.requires_grad
