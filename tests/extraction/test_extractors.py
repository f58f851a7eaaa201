"""Extractors: the named classes, their sums, and batches."""

import torch

from fice_core.extraction.extractors import segment_classes, segment_regions
from fice_core.networks.segmenter import Segmenter, regions_of

LABELS = ("background", "hair", "upper", "face", "legs")


def test_regions_are_the_sums_of_the_classes_in_any_batches() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Segmenter(
            stem_channels=4,
            width=2,
            blocks=(1, 1, 1, 1),
            aspp_channels=4,
            aspp_rates=(1, 2),
            labels=LABELS,
        )
    network.eval().requires_grad_(False)
    images = torch.rand(5, 3, 32, 24, generator=torch.Generator().manual_seed(1))
    whole, parts = (segment_classes(network, images, max_batch=k) for k in (5, 2))
    assert tuple(whole) == LABELS
    for name in LABELS:
        assert whole[name].shape == (5, 1, 32, 24) and not whole[name].requires_grad
        torch.testing.assert_close(whole[name], parts[name])
    regions = segment_regions(network, images, max_batch=5)
    torch.testing.assert_close(tuple(regions_of(whole)), tuple(regions))
    torch.testing.assert_close(regions.head, whole["hair"] + whole["face"])
