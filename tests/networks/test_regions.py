"""Names of classes, whatever a parser calls them, and the regions that they add up to."""

import pytest
import torch
from parser_files import ATR, FASHN, LIP

from fice_core.networks.regions import (
    NAMED,
    PersonSegmenter,
    group_of,
    named_channels,
    regions_of,
    winners,
)


@pytest.mark.parametrize("labels", [ATR, FASHN, LIP])
def test_published_parsers_have_every_named_class_that_masks_need(labels):
    channels, unknown = named_channels(labels)
    assert unknown == []
    assert {"upper", "lower", "dress", "arms", "legs", "hair", "face", "shoes", "hat", "scarf"} <= {
        *channels
    }
    assert {*channels} <= {*NAMED}
    assert {group_of(name) for name in channels} == {"background", "body", "head"}


def test_labels_of_atr():
    expected = (
        "background hat hair glasses upper lower lower dress lower shoes shoes face legs legs arms arms "
        "bag scarf"
    )
    assert named_channels(ATR)[0] == expected.split()


@pytest.mark.parametrize("name", NAMED)
def test_named_classes_are_their_own_names(name):
    assert named_channels([name]) == ([name], [])


@pytest.mark.parametrize(
    ("label", "name"),
    [("UpperClothes", "upper"), ("T-shirt", "upper"), ("left_shoe", "shoes"), ("TROUSERS", "lower"),
     ("Right upper arm", "arms"), ("Lower_Clothing", "lower"), ("__background__", "background")],
)  # fmt: skip
def test_spelling_does_not_matter(label, name):
    assert named_channels([label]) == ([name], [])


def test_skin_and_torso_depend_on_the_other_labels():
    assert named_channels(["skin", "nose"])[0] == ["face", "face"]
    assert named_channels(["skin", "dress"])[0] == ["neck", "dress"]
    assert named_channels(["torso", "top"])[0] == ["neck", "upper"]
    assert named_channels(["torso", "head"])[0] == ["torso", "head"]


def test_labels_of_other_things_are_unknown():
    assert named_channels(["wall", "person", "hat"]) == (["", "body", "hat"], ["wall"])


class Painted(PersonSegmenter):
    """Gives the same logits for every image."""

    def __init__(self, channels, logits):
        super().__init__(channels)
        self.painted = logits

    def logits(self, images):
        return self.painted


def test_channels_of_one_class_are_added():
    logits = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    network = Painted(["background", "face", "shoes", "shoes"], logits)
    soft = logits.softmax(1)
    classes = network.classes(torch.zeros(1, 3, 3, 3))
    assert network.labels == ("background", "face", "shoes") == tuple(classes)
    assert torch.equal(classes["shoes"], soft[:, 2:3] + soft[:, 3:])
    regions = network(torch.zeros(1, 3, 3, 3))
    assert torch.equal(regions.body, classes["shoes"])
    assert torch.equal(regions.head, classes["face"])


def test_hat_and_glasses_are_parts_of_the_head_and_bags_of_the_body():
    maps = {n: torch.full((1, 1, 1, 1), v) for n, v in
            {"background": 0.1, "hat": 0.2, "glasses": 0.3, "bag": 0.4}.items()}  # fmt: skip
    regions = regions_of(maps)
    assert regions.head.item() == pytest.approx(0.5)
    assert regions.body.item() == pytest.approx(0.4)


def test_exactly_one_class_wins_at_every_pixel():
    a = torch.tensor([[[[0.6, 0.5]]]])
    won = winners({"first": a, "second": 1 - a})
    assert won["first"].flatten().tolist() == [True, True]  # the first of equal ones
    assert torch.equal(won["first"] ^ won["second"], torch.ones(1, 1, 1, 2, dtype=torch.bool))
